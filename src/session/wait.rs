//! Waiting for a collective, with a deadline; the roll-call that follows it.
//!
//! A rank that waits looks for notes, too: another rank's deadline may pass first.

use std::time::{Duration, Instant};

use crate::comm::{Agreed, Collective, Comm, CommError, Control, Reply};
use crate::error::{Missed, Phase, complain};
use crate::rollcall::{self, RollCall};
use crate::wire::Here;

/// Without a deadline a wait says after this long that it waits.
const TALK_AFTER: Duration = Duration::from_secs(60);
/// Tests between two looks at the clock. On crowded cores every test yields to the other processes, and comes back to cold
/// caches: what is done in between should be little.
const BATCH: u32 = 32;
/// Nobody gives up within this time of the last collective, unless with a deadline of this order.
const LATE: Duration = Duration::from_millis(200);
/// Polls before it is believed that no note has come.
const LOOKS: u32 = 3;
/// How often notes are looked for, and for how long a wait yields before it naps.
const NOTES_EVERY: Duration = Duration::from_millis(2);
const EAGER: Duration = Duration::from_millis(20);
const LONGEST_NAP: Duration = Duration::from_micros(500);

/// Why waiting ended without the reply.
pub enum Lost {
    /// The deadline passed, here or elsewhere.
    Missed(Missed),
    /// MPI failed.
    Comm(CommError),
}

impl From<CommError> for Lost {
    fn from(error: CommError) -> Self {
        Lost::Comm(error)
    }
}

/// Who waits, where, for what.
pub struct Place<'a> {
    pub rank: u32,
    pub size: u32,
    pub step: u64,
    pub phase: Phase,
    /// Asked for when somebody has to be told.
    pub what: &'a dyn Fn() -> String,
    pub host_of: &'a dyn Fn(u32) -> String,
}

/// Time that a call may still spend waiting for others.
pub struct Budget {
    whole: Option<Duration>,
    spent: Duration,
    talked: bool,
}

impl Budget {
    pub fn new(whole: Option<Duration>) -> Self {
        Budget { whole, spent: Duration::ZERO, talked: false }
    }

    /// What is left; `None`: no deadline.
    pub fn left(&self) -> Option<Duration> {
        self.whole.map(|whole| whole.saturating_sub(self.spent))
    }
}

/// Waits until `test` has something, the budget is used up, or another rank holds a roll-call.
pub fn wait<T>(
    control: &mut dyn Control,
    budget: &mut Budget,
    place: &Place<'_>,
    mut test: impl FnMut() -> Result<Option<T>, CommError>,
) -> Result<T, Lost> {
    // The usual case costs no look at the clock.
    if let Some(done) = test()? {
        return Ok(done);
    }
    let start = Instant::now();
    let mut notes_at = NOTES_EVERY;
    let mut nap = Duration::from_micros(20);
    let mut tests = BATCH;
    loop {
        for _ in 0..tests {
            if let Some(done) = test()? {
                budget.spent += start.elapsed();
                return Ok(done);
            }
        }
        let waited = start.elapsed();
        if waited >= notes_at {
            notes_at = waited + NOTES_EVERY;
            if let Some((from, note)) = control.poll()? {
                return Err(Lost::Missed(roll_call(control, budget, place, waited, Some((from, note)))?));
            }
            if budget.left().is_some_and(|left| waited >= left) {
                return Err(Lost::Missed(roll_call(control, budget, place, waited, None)?));
            }
            if !budget.talked && budget.whole.is_none() && budget.spent + waited >= TALK_AFTER {
                budget.talked = true;
                let (what, rank, phase) = ((place.what)(), place.rank, place.phase);
                let host = (place.host_of)(rank);
                let of = if what.is_empty() { "" } else { " of " };
                let seconds = TALK_AFTER.as_secs();
                complain(&format!(
                    "rank {rank} ({host}) has been waiting for {seconds} s in phase {phase}{of}{what}; it has no deadline"
                ));
            }
        }
        if waited < EAGER {
            // MPI's own progress may have yielded, where it knows that cores are crowded.
            std::thread::yield_now();
        } else {
            tests = 1;
            std::thread::sleep(nap);
            nap = (nap * 2).min(LONGEST_NAP);
        }
    }
}

/// Whether others may have given up since this rank last heard of them: then it looks for notes before it starts a
/// collective, and again before it believes the reply. Looking makes MPI progress, which on crowded cores yields to every
/// other process: a round in a row of rounds does not do it.
pub fn may_be_late(heard: Instant, budget: &Budget) -> bool {
    let shortest = budget.left().map_or(LATE, |left| LATE.min(left / 4));
    heard.elapsed() >= shortest
}

/// Looks for notes that came while this rank was away: before anything is started, and again before a reply is believed. The
/// others may have given up, and a late rank that joins a collective which they had started sees it succeed.
pub fn look_up(control: &mut dyn Control, budget: &Budget, place: &Place<'_>) -> Result<(), Lost> {
    // Only polling moves MPI on: one empty look does not mean that nothing has arrived.
    for _ in 0..LOOKS {
        if let Some(note) = control.poll()? {
            return Err(Lost::Missed(roll_call(control, budget, place, Duration::ZERO, Some(note))?));
        }
    }
    Ok(())
}

fn roll_call(
    control: &mut dyn Control,
    budget: &Budget,
    place: &Place<'_>,
    waited: Duration,
    heard: Option<(u32, Vec<u8>)>,
) -> Result<Missed, CommError> {
    let limit = budget.whole.unwrap_or(budget.spent + waited);
    let here = Here {
        step: place.step,
        phase: place.phase,
        what: (place.what)(),
        waited_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        lane: None,
        ends: true,
        doing: String::new(),
    };
    let mut call = RollCall::open(place.rank, place.size, here);
    let opened = Instant::now();
    let mut heard = heard;
    loop {
        for (to, note) in call.outbox.drain(..) {
            control.post(to, &note)?;
        }
        // All that is there is read before anything is concluded: the verdict may be behind the last note.
        let mut nothing_new = true;
        while let Some((from, note)) = heard.take().map_or_else(|| control.poll(), |note| Ok(Some(note)))? {
            nothing_new = false;
            let note = rollcall::read(&note, place.size);
            if let Some(called) = note.and_then(|note| call.hear(from, note)) {
                return Ok(called.missed);
            }
        }
        if let Some(called) = call.tick(opened.elapsed(), place.host_of) {
            for (to, note) in call.outbox.drain(..) {
                control.post(to, &note)?;
            }
            return Ok(called.missed);
        }
        if nothing_new {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts a collective and waits for it; `late` as [`may_be_late`] says.
pub fn collective(
    comm: &mut dyn Comm,
    collective: Collective,
    control: &mut dyn Control,
    budget: &mut Budget,
    place: &Place<'_>,
    late: bool,
) -> Result<Agreed<Reply>, Lost> {
    if late {
        look_up(control, budget, place)?;
    }
    comm.start(collective)?;
    let reply = wait(control, budget, place, || comm.test())?;
    if late {
        look_up(control, budget, place)?;
    }
    Ok(reply)
}
