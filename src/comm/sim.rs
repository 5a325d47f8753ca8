//! Simulated ranks in one thread: seeded delays, damaged shares, and every mismatched collective a recorded failure.
//!
//! It does not step rounds and has no clock: `tests/simulation` does and has. Nothing here ever waits, so nothing hangs.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::{Agreed, Collective, Comm, CommError, Control, MergeFn, Reply};

/// When a broadcast is complete for a rank: MPI allows all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcasts {
    /// As soon as the root has started it.
    Eager,
    /// Once the root and the ranks between it and this one have, down a binomial tree.
    Tree,
    /// Once all have.
    Together,
}

/// What happens to the bytes of one rank on their way into a collective.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// One byte is changed, at this place modulo the length.
    Flip {
        /// Place.
        at: usize,
        /// What it is combined with by exclusive or; not zero.
        mask: u8,
    },
    /// Only so many bytes are left, modulo the length.
    Truncate {
        /// How many.
        to: usize,
    },
}

/// Damage to the shares of one rank.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Whose.
    pub rank: u32,
    /// The kind byte of the messages that are hit.
    pub kind: u8,
    /// What happens to them.
    pub damage: Damage,
}

/// The kind, and everything else that all ranks must start alike.
#[derive(Clone, Copy)]
enum Form {
    Max { words: usize },
    Broadcast { root: u32, len: usize },
    Merge { with: MergeFn },
}

impl Form {
    fn of(collective: &Collective) -> Form {
        match collective {
            Collective::Max(words) => Form::Max { words: words.len() },
            Collective::Broadcast { root, len, .. } => Form::Broadcast { root: *root, len: *len },
            Collective::Merge { with, .. } => Form::Merge { with: *with },
        }
    }

    fn matches(&self, other: &Form) -> bool {
        match (self, other) {
            (Form::Max { words: a }, Form::Max { words: b }) => a == b,
            (Form::Broadcast { root: a, len: b }, Form::Broadcast { root: c, len: d }) => (a, b) == (c, d),
            (Form::Merge { with: a }, Form::Merge { with: b }) => std::ptr::fn_addr_eq(*a, *b),
            _ => false,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Max { words } => write!(f, "max of {words} words"),
            Form::Broadcast { root, len } => write!(f, "broadcast of {len} bytes from rank {root}"),
            Form::Merge { with } => write!(f, "merge with {with:?}"),
        }
    }
}

/// One collective of all ranks.
struct Op {
    form: Form,
    first: u32,
    started: Vec<bool>,
    words: Vec<u64>,
    shares: Vec<Vec<u8>>,
    reply: Option<Reply>,
}

/// Where one rank is.
#[derive(Default)]
struct Place {
    /// Collectives started.
    steps: usize,
    open: bool,
    ended: bool,
    /// Calls of `test` that say no although the collective could complete.
    patience: u32,
    mail: VecDeque<(u32, Vec<u8>)>,
}

struct Inner {
    size: u32,
    random: fastrand::Rng,
    broadcasts: Broadcasts,
    faults: Vec<Fault>,
    damaged: u32,
    ops: Vec<Op>,
    places: Vec<Place>,
    messages: u64,
    failures: Vec<String>,
}

/// What all simulated ranks share.
#[derive(Clone)]
pub struct World(Rc<RefCell<Inner>>);

impl World {
    /// `size` ranks; delays follow from `seed`.
    pub fn new(size: u32, seed: u64, broadcasts: Broadcasts, faults: Vec<Fault>) -> Self {
        World(Rc::new(RefCell::new(Inner {
            size,
            random: fastrand::Rng::with_seed(seed),
            broadcasts,
            faults,
            damaged: 0,
            ops: Vec::new(),
            places: (0..size).map(|_| Place::default()).collect(),
            messages: 0,
            failures: Vec::new(),
        })))
    }

    /// The communicator as one rank has it.
    pub fn comm(&self, rank: u32) -> SimComm {
        SimComm { world: self.clone(), rank }
    }

    /// Notes that a rank will start no more collectives.
    pub fn end(&self, rank: u32) {
        let inner = &mut *self.0.borrow_mut();
        let place = &mut inner.places[rank as usize];
        place.ended = true;
        if place.open {
            let step = place.steps - 1;
            inner.failures.push(format!("rank {rank} ended inside {} (collective {step})", inner.ops[step].form));
        }
    }

    /// Whether the rank waits in a collective that cannot complete before another rank does something.
    pub fn blocked(&self, rank: u32) -> bool {
        let inner = self.0.borrow();
        let place = &inner.places[rank as usize];
        place.open && !inner.ready(rank, place.steps - 1)
    }

    /// Collectives that any rank has started.
    pub fn collectives(&self) -> usize {
        self.0.borrow().ops.len()
    }

    /// Collectives that this rank has started.
    pub fn steps(&self, rank: u32) -> usize {
        self.0.borrow().places[rank as usize].steps
    }

    /// Messages that a tree of ranks would have sent for them.
    pub fn messages(&self) -> u64 {
        self.0.borrow().messages
    }

    /// Shares that were damaged.
    pub fn damaged(&self) -> u32 {
        self.0.borrow().damaged
    }

    /// Whether something went wrong already.
    pub fn broken(&self) -> bool {
        !self.0.borrow().failures.is_empty()
    }

    /// Everything that went wrong, waits without an end among it.
    pub fn failures(&self) -> Vec<String> {
        let inner = self.0.borrow();
        let mut failures = inner.failures.clone();
        for (rank, place) in inner.places.iter().enumerate().filter(|(_, place)| place.open) {
            let step = place.steps - 1;
            let op = &inner.ops[step];
            let absent: crate::ranks::RankSet = (0..inner.size).filter(|&other| !op.started[other as usize]).collect();
            failures.push(format!("stuck: rank {rank} waits in {} (collective {step}) for {absent}", op.form));
        }
        failures
    }
}

impl Inner {
    fn start(&mut self, rank: u32, collective: Collective) {
        let step = self.places[rank as usize].steps;
        let form = Form::of(&collective);
        if step == self.ops.len() {
            let size = self.size as usize;
            let tree = u64::from(self.size - 1);
            self.messages += if matches!(form, Form::Broadcast { .. }) { tree } else { 2 * tree };
            let op = Op {
                form,
                first: rank,
                started: vec![false; size],
                words: Vec::new(),
                shares: vec![Vec::new(); size],
                reply: None,
            };
            self.ops.push(op);
        }
        let place = &mut self.places[rank as usize];
        place.steps += 1;
        place.open = true;
        place.patience = self.random.u32(0..3);
        let op = &self.ops[step];
        if !form.matches(&op.form) {
            let said =
                format!("rank {rank} started {form} where rank {} started {} (collective {step})", op.first, op.form);
            self.failures.push(said);
            return;
        }
        match collective {
            Collective::Max(words) => {
                let op = &mut self.ops[step];
                op.words.resize(words.len(), 0);
                op.words.iter_mut().zip(words).for_each(|(most, word)| *most = word.max(*most));
            }
            Collective::Broadcast { root, len, bytes } => {
                let given = bytes.as_ref().map(Vec::len);
                if given != (root == rank).then_some(len) {
                    self.failures.push(format!("rank {rank} gave {given:?} bytes to {form} (collective {step})"));
                }
                if let Some(bytes) = bytes {
                    let bytes = self.damage(rank, bytes);
                    self.ops[step].reply = Some(Reply::Bytes(bytes));
                }
            }
            Collective::Merge { bytes, .. } => self.ops[step].shares[rank as usize] = self.damage(rank, bytes),
        }
        self.ops[step].started[rank as usize] = true;
        if self.ops[step].started.iter().all(|&started| started) {
            self.complete(step);
        }
    }

    fn damage(&mut self, rank: u32, mut bytes: Vec<u8>) -> Vec<u8> {
        let hit = |fault: &&Fault| fault.rank == rank && bytes.get(4) == Some(&fault.kind);
        let Some(fault) = self.faults.iter().find(hit) else { return bytes };
        self.damaged += 1;
        let len = bytes.len();
        match fault.damage {
            Damage::Flip { at, mask } => bytes[at % len] ^= mask,
            Damage::Truncate { to } => bytes.truncate(to % len),
        }
        bytes
    }

    /// The last rank has started it.
    fn complete(&mut self, step: usize) {
        let op = &mut self.ops[step];
        match op.form {
            Form::Max { .. } => op.reply = Some(Reply::Words(std::mem::take(&mut op.words))),
            Form::Broadcast { .. } => {}
            Form::Merge { with } => {
                let mut shares = std::mem::take(&mut op.shares);
                let folded = (self.damaged == 0).then(|| fold(&shares, with));
                // A binomial tree: a child has merged its own children before its parent merges it.
                let mut reach = 1;
                while reach < shares.len() {
                    for parent in (0..shares.len() - reach).step_by(2 * reach) {
                        shares[parent] = with(&shares[parent], &shares[parent + reach]);
                    }
                    reach *= 2;
                }
                let merged = shares.swap_remove(0);
                if folded.is_some_and(|folded| folded != merged) {
                    self.failures.push(format!(
                        "merged up a tree the shares give something else than in a row (collective {step})"
                    ));
                }
                op.reply = Some(Reply::Bytes(merged));
            }
        }
    }

    fn ready(&self, rank: u32, step: usize) -> bool {
        let op = &self.ops[step];
        // A rank that started something else than the others is not counted in; it waits for ever.
        op.started[rank as usize]
            && op.reply.is_some()
            && match (op.form, self.broadcasts) {
                (Form::Broadcast { root, .. }, Broadcasts::Tree) => {
                    self.path_from(root, rank).all(|on_way| op.started[on_way])
                }
                (Form::Broadcast { .. }, Broadcasts::Together) => op.started.iter().all(|&started| started),
                _ => true,
            }
    }

    /// The ranks between a root and a rank in a binomial tree.
    fn path_from(&self, root: u32, rank: u32) -> impl Iterator<Item = usize> {
        let size = self.size;
        let parent = |place: &u32| (*place > 0).then_some(place & (place.wrapping_sub(1)));
        std::iter::successors(Some((rank + size - root) % size), parent)
            .map(move |place| ((place + root) % size) as usize)
    }
}

fn fold(shares: &[Vec<u8>], with: MergeFn) -> Vec<u8> {
    let (first, rest) = shares.split_first().unwrap();
    rest.iter().fold(first.clone(), |merged, share| with(&merged, share))
}

/// One rank's communicator.
pub struct SimComm {
    world: World,
    rank: u32,
}

impl Comm for SimComm {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn size(&self) -> u32 {
        self.world.0.borrow().size
    }

    fn start(&mut self, collective: Collective) -> Result<(), CommError> {
        let inner = &mut *self.world.0.borrow_mut();
        let place = &inner.places[self.rank as usize];
        if place.open || place.ended {
            let said = if place.open { "before its last one was complete" } else { "after its end" };
            inner.failures.push(format!("rank {} started {} {said}", self.rank, Form::of(&collective)));
            return Err(CommError::Busy);
        }
        inner.start(self.rank, collective);
        Ok(())
    }

    fn test(&mut self) -> Result<Option<Agreed<Reply>>, CommError> {
        let inner = &mut *self.world.0.borrow_mut();
        let place = &inner.places[self.rank as usize];
        if !place.open {
            inner.failures.push(format!("rank {} tested without a collective", self.rank));
            return Ok(None);
        }
        let step = place.steps - 1;
        if !inner.ready(self.rank, step) {
            return Ok(None);
        }
        let place = &mut inner.places[self.rank as usize];
        if place.patience > 0 {
            place.patience -= 1;
            return Ok(None);
        }
        place.open = false;
        Ok(inner.ops[step].reply.clone().map(Agreed))
    }
}

impl Control for SimComm {
    fn post(&mut self, to: u32, note: &[u8]) -> Result<(), CommError> {
        self.world.0.borrow_mut().places[to as usize].mail.push_back((self.rank, note.to_vec()));
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<(u32, Vec<u8>)>, CommError> {
        Ok(self.world.0.borrow_mut().places[self.rank as usize].mail.pop_front())
    }
}
