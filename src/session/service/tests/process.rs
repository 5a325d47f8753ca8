//! One simulated process: its locks, its loader, its modules, and the real service on it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};

use super::super::protocol::{Mail, Post};
use super::super::worker::Errand;
use super::super::{Hands, Served};
use super::network::{Line, Network};
use super::run::Program;
use super::script::{Library, Module, Rank, Scenario, Step, Wish, flags, identity};
use super::thread::Thread;
use crate::comm::sim::{SimComm, World};
use crate::importer;
use crate::plan::Key;
use crate::ranks::RankSet;
use crate::request::Lane;
use crate::session::pending::Pending;
use crate::session::{Shared, Slot, State, lock};
use crate::wire::Roster;

/// The only session.
const SESSION: u64 = 1;

/// What the threads of a process leave for each other.
#[derive(Default)]
pub struct Desk {
    has_python: bool,
    queues: Mutex<Queues>,
}

#[derive(Default)]
pub struct Queues {
    pub mail: Vec<Mail>,
    pub errands: VecDeque<Errand>,
    pub imports: VecDeque<(u64, Box<dyn importer::Errand>)>,
    tickets: u64,
}

impl Desk {
    pub fn queues(&self) -> std::sync::MutexGuard<'_, Queues> {
        lock(&self.queues)
    }
}

impl Hands for Arc<Desk> {
    fn post(&self, mail: Mail) {
        self.queues().mail.push(mail);
    }

    fn give(&self, errand: Errand) {
        self.queues().errands.push_back(errand);
    }

    fn say(&self, _: String) {}

    fn has_python(&self) -> bool {
        self.has_python
    }

    fn import(&self, errand: Box<dyn importer::Errand>) -> u64 {
        let mut queues = self.queues();
        queues.tickets += 1;
        let ticket = queues.tickets;
        queues.imports.push_back((ticket, errand));
        ticket
    }

    fn withdraw(&self, ticket: u64) {
        self.queues().imports.retain(|(waiting, _)| *waiting != ticket);
    }
}

/// What a module is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleState {
    pub loaded: bool,
    /// Who has its lock.
    pub owner: Option<usize>,
}

/// A process. Threads are numbered: those of the program, the library worker, the import worker.
pub struct Process {
    pub rank: u32,
    pub spec: Rank,
    pub shared: Arc<Shared>,
    pub desk: Arc<Desk>,
    pub post: Post<SimComm, Line>,
    /// Who has the loader's lock, and how often.
    pub loader: Option<(usize, u32)>,
    pub gil: Option<usize>,
    /// Somebody waits for it.
    pub gil_wanted: bool,
    pub modules: BTreeMap<Module, ModuleState>,
    /// Which module's lock a thread waits for.
    pub waits: BTreeMap<usize, Module>,
    /// Open, or being opened.
    pub open: BTreeSet<Library>,
    /// Opened by others than the service, and not seen yet.
    pub unseen: Vec<Library>,
    /// How often constructors, callbacks, and bodies to their ends, ran.
    pub runs: BTreeMap<Wish, u32>,
    /// Committed by rounds.
    pub committed: BTreeSet<Wish>,
    /// What was asked for while the program ran.
    pub wished: Vec<Wish>,
    /// Threads of the program that are not done.
    pub busy: usize,
}

impl Process {
    pub fn new(
        scenario: &Scenario,
        rank: u32,
        worlds: &[World; 2],
        network: &Rc<RefCell<Network>>,
    ) -> (Process, Vec<Thread>) {
        let spec = scenario.ranks[rank as usize].clone();
        let size = scenario.ranks.len() as u32;
        let desk = Arc::new(Desk { has_python: spec.has_python, ..Desk::default() });
        let shared = Arc::new(shared(rank, size, scenario.split, desk.clone()));
        let line = Network::line(network, rank);
        let [native, python] = worlds;
        let post = Post::new(shared.clone(), line, None, native.comm(rank), python.comm(rank), State::default());
        let mut threads: Vec<Thread> = Vec::new();
        for (number, script) in spec.scripts.iter().enumerate() {
            let mut steps = script.steps.clone();
            if number == 0 {
                steps.push(Step::Leave);
            }
            threads.push(Thread::of_program(number, script.python, steps));
        }
        let busy = threads.len();
        threads.push(Thread::worker(busy, false));
        threads.push(Thread::worker(busy + 1, true));
        let process = Process {
            rank,
            spec,
            shared,
            desk,
            post,
            loader: None,
            gil: None,
            gil_wanted: false,
            modules: BTreeMap::new(),
            waits: BTreeMap::new(),
            open: BTreeSet::new(),
            unseen: Vec::new(),
            runs: BTreeMap::new(),
            committed: BTreeSet::new(),
            wished: Vec::new(),
            busy,
        };
        (process, threads)
    }

    pub fn served(&self) -> &Served {
        self.shared.served.get().expect("it serves")
    }

    /// A turn of the protocol thread: the loop of `protocol::run`, once. True if it did something.
    pub fn protocol(&mut self, program: &mut Program) -> bool {
        if self.is_over() {
            return false;
        }
        let mail = std::mem::take(&mut self.desk.queues().mail);
        let mut moved = !mail.is_empty();
        let shared = self.shared.clone();
        let served = shared.served.get().expect("it serves");
        for mail in mail {
            self.post.mail(mail, served).expect("the simulated MPI does not fail");
        }
        for lane in Lane::BOTH {
            if program.scenario.deadlines && !self.is_over() && (program.time_passes || program.random.u8(0..32) == 0) {
                let before = self.post.track(lane).says();
                self.post.be_late(lane).expect("the simulated MPI does not fail");
                moved |= self.post.track(lane).says() != before;
            }
        }
        moved |= self.post.step();
        moved
    }

    /// Every rank has said goodbye.
    pub fn is_over(&self) -> bool {
        *lock(&self.served().over)
    }

    /// Mail for the protocol thread.
    pub fn tell(&self, mail: impl FnOnce(u64) -> Mail) {
        self.desk.post(mail(SESSION));
    }

    /// Somebody asks for something without waiting.
    pub fn record(&mut self, wish: Wish, nested: bool, asked_by: Option<Key>) {
        // What only undone items have asked for is dropped with them.
        if self.busy > 0 && asked_by.is_none() {
            self.wished.push(wish);
        }
        self.shared.ask([Pending { nested, ..Pending::asked(wish.request(), asked_by) }]);
    }

    /// A caller leaves its request, as `Asked::begin` does.
    pub fn request(&mut self, wish: Wish) -> u64 {
        self.wished.push(wish);
        let ticket = self.served().tickets.open();
        self.shared.ask([Pending { ticket: Some(ticket), nested: false, ..Pending::asked(wish.request(), None) }]);
        ticket
    }

    /// A ticket for the next round of the Python lane.
    pub fn request_python(&self) -> u64 {
        let ticket = self.served().tickets.open_sync(Lane::Python);
        super::super::ring(&self.shared, Lane::Python);
        ticket
    }

    /// Whether every rank is known to have it.
    pub fn knows(&self, wish: Wish) -> bool {
        match wish {
            Wish::Library(library) => self.served().tickets.knows(&identity(library), flags(library)),
            Wish::Module(module) => self.served().tickets.knows_module(&format!("m{module}")),
            Wish::Callback(..) => false,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errands hold the session, which holds the desk.
        *self.desk.queues() = Queues::default();
    }
}

fn shared(rank: u32, size: u32, split: u32, desk: Arc<Desk>) -> Shared {
    let whole = RankSet::all(size);
    let (near, far): (RankSet, RankSet) =
        ((0..size).filter(|rank| *rank < split).collect(), (0..size).filter(|rank| *rank >= split).collect());
    let places = [("near", near), ("far", far)].map(|(name, ranks)| (name.to_string(), ranks));
    let served = OnceLock::new();
    let _new = served.set(Served::by(Box::new(desk)));
    Shared {
        id: SESSION,
        rank,
        size,
        roster: Roster {
            hosts: vec![("host".into(), whole)],
            versions: Vec::new(),
            modes: Vec::new(),
            stacks: Vec::new(),
            places: places.into_iter().filter(|(_, ranks)| !ranks.is_empty()).collect(),
            token: String::new(),
        },
        limit: None,
        core: Mutex::new(Slot::Serving),
        freed: Condvar::new(),
        waiting: Default::default(),
        pending: Mutex::default(),
        registry: RwLock::default(),
        ended: Mutex::default(),
        served,
    }
}
