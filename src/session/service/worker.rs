//! The library worker: one thread a process for everything that the loader is needed for.
//!
//! It may block for as long as another thread holds the loader's lock, and constructors run on it; so nothing else waits for
//! it but the native lane, and not for ever.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use super::super::jobs::{self, Gathered};
use super::super::pending::Pending;
use super::super::{Shared, State};
use super::first;
use super::protocol::Mail;
use crate::error::Phase;
use crate::outcome::Failure;
use crate::plan::Plan;
use crate::request::Lane;
use crate::round::{Done, Job, More};
use crate::task::Shapes;

/// How often the link maps are looked at: a plain dlopen of a plugin is noticed within this time.
const LOOK: Duration = Duration::from_millis(100);

/// Hands work to the worker.
pub struct Hand(Sender<Errand>);

/// A job of a round of the native lane.
pub struct Errand {
    pub shared: Arc<Shared>,
    pub number: u64,
    pub state: Box<State>,
    pub work: Work,
}

/// The worker is at a job.
static IS_WORKING: AtomicBool = AtomicBool::new(false);

pub fn is_working() -> bool {
    IS_WORKING.load(Ordering::SeqCst)
}

/// A job, and what it takes.
pub enum Work {
    Gather(Vec<Pending>),
    Round(Job),
}

/// How it went.
pub struct Result {
    pub number: u64,
    pub state: Box<State>,
    pub done: Done,
    /// Of [`Work::Gather`].
    pub gathered: Option<Gathered>,
}

impl Hand {
    /// Gives it something to do.
    pub fn give(&self, errand: Errand) {
        // The worker never ends before the process.
        let _sent = self.0.send(errand);
    }
}

/// Starts the thread.
pub fn start() -> io::Result<Hand> {
    let (hand, errands) = mpsc::channel();
    let run = move || {
        loop {
            match errands.recv_timeout(LOOK) {
                Ok(Errand { shared, number, state, work }) => {
                    let session = shared.id;
                    IS_WORKING.store(true, Ordering::SeqCst);
                    let result = run(&shared, number, state, work);
                    IS_WORKING.store(false, Ordering::SeqCst);
                    if let Some(served) = shared.served.get() {
                        served.hands.post(Mail::Native(session, Box::new(result)));
                    }
                }
                Err(RecvTimeoutError::Timeout) => look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    std::thread::Builder::new().name("dlcast libraries".into()).spawn(run)?;
    Ok(Hand(hand))
}

/// What the program has opened by itself in the meantime.
fn look() {
    if first().is_some() {
        jobs::tell_mapped();
    }
}

fn run(shared: &Shared, number: u64, mut state: Box<State>, work: Work) -> Result {
    let otherwise = work.panicked();
    let tried = std::panic::catch_unwind(AssertUnwindSafe(|| match work {
        Work::Gather(taken) => {
            jobs::tell_mapped();
            let found = jobs::gather(shared, &mut state, taken);
            let plan = found.plan.clone();
            (Done::Gathered(plan), Some(Gathered { plan: Plan::default(), ..found }))
        }
        Work::Round(job) => (native(shared, &mut state, job), None),
    }));
    let (done, gathered) = tried.unwrap_or((otherwise, None));
    Result { number, state, done, gathered }
}

impl Work {
    /// What a panic in it comes to: a failure of this rank, which goes into the next collective as any other.
    fn panicked(&self) -> Done {
        match self {
            Work::Gather(_) => Done::Gathered(Plan::default()),
            Work::Round(Job::Stage(items) | Job::Open(items)) => {
                let failure = Failure::new(Phase::Open, "internal error in dlcast; see the panic message on stderr");
                let failed = items.iter().map(|(index, _)| (*index, failure.clone())).collect();
                Done::Tried { failed, more: More::default(), shapes: Shapes::default() }
            }
            Work::Round(_) => Done::Settled,
        }
    }
}

fn native(shared: &Shared, state: &mut State, job: Job) -> Done {
    match job {
        Job::Stage(items) => jobs::stage(state, &items),
        Job::Open(items) => jobs::open(shared, state, Some(Lane::Native), &items),
        Job::Settle { commit, undo, growth } => {
            // Only modules make jobs for Python, and there are none in this lane.
            let _none = jobs::settle(shared, state, &commit, &undo, &growth);
            Done::Settled
        }
        Job::Conclude { revoke } => {
            jobs::conclude(shared, state, &revoke);
            Done::Settled
        }
        // The lane has no modules, and gathers in its own way.
        Job::Import(_) | Job::Gather => Done::Settled,
    }
}
