//! Imports that native callers ask for. Python is never called from here: a thread that Python made pulls them.
//!
//! A call that Python itself steps does not come here: it imports in its own thread.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crate::code::Payload;
use crate::outcome::Failure;

/// Work for a Python interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportJob {
    /// Import this module.
    Import(String),
    /// Every rank has it: nothing to undo any more.
    Commit(String),
    /// Some rank has not: take it out and park it.
    Undo(String),
    /// It was committed in this call, and a plugin that it brought has failed: as undo.
    Revoke(String),
    /// Call this function; its module is imported on the fly.
    Call {
        /// "module:qualname".
        name: String,
        /// Lent.
        payload: Payload,
        /// Tells registrations of one function apart.
        tag: u64,
        /// What it asks for is asked for by this item.
        asker: [u8; 32],
    },
}

impl ImportJob {
    /// The module, or the function.
    pub fn name(&self) -> &str {
        match self {
            ImportJob::Import(name) | ImportJob::Commit(name) | ImportJob::Undo(name) | ImportJob::Revoke(name) => name,
            ImportJob::Call { name, .. } => name,
        }
    }
}

/// A job on its way to a worker, and what is to be done on the worker's thread around it.
pub trait Errand: Send {
    /// What Python does.
    fn job(&self) -> &ImportJob;
    /// The session whose round it belongs to.
    fn session(&self) -> u64;
    /// Whether anybody still waits for the answer.
    fn is_wanted(&self) -> bool {
        true
    }
    /// The worker begins.
    fn begin(&mut self) {}
    /// The worker has an answer.
    fn end(self: Box<Self>, answer: Result<(), Failure>);
}

/// How long a worker may be away between two calls of [`next`], before it counts as gone, where it has not enlisted.
const AWAY: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Queue {
    /// Workers that have said that they serve until they say otherwise.
    enlisted: usize,
    /// Threads inside [`next`].
    waiting_workers: usize,
    /// How often workers were told to look up from [`next`].
    recalls: u64,
    /// When a worker last came or went.
    seen: Option<Instant>,
    tickets: u64,
    errands: VecDeque<(u64, Box<dyn Errand>)>,
    /// What each worker is doing.
    doing: HashMap<ThreadId, Option<Box<dyn Errand>>>,
}

impl Queue {
    fn has_worker(&self) -> bool {
        self.enlisted > 0
            || self.waiting_workers > 0
            || !self.doing.is_empty()
            || self.seen.is_some_and(|seen| seen.elapsed() < AWAY)
    }
}

static QUEUE: LazyLock<Mutex<Queue>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a Python to import with.
pub fn has_worker() -> bool {
    queue().has_worker()
}

/// A worker says that it serves, or that it retires: then those that wait in [`next`] come back, for it may be one of them.
pub fn enlist(serves: bool) {
    let mut queue = queue();
    queue.enlisted = if serves { queue.enlisted + 1 } else { queue.enlisted.saturating_sub(1) };
    if !serves {
        queue.seen = None;
        queue.recalls += 1;
    }
    CHANGED.notify_all();
}

/// Whether the job that this thread is at is still waited for.
pub fn is_wanted() -> bool {
    let queue = queue();
    matches!(queue.doing.get(&std::thread::current().id()), Some(Some(errand)) if errand.is_wanted())
}

/// Hands an errand to the next worker that is free. The ticket is for [`withdraw`].
pub fn submit(errand: Box<dyn Errand>) -> u64 {
    let mut queue = queue();
    queue.tickets += 1;
    let ticket = queue.tickets;
    queue.errands.push_back((ticket, errand));
    CHANGED.notify_all();
    ticket
}

/// Takes an errand back that no worker has begun. False: one is at it, and will end it, or has done so.
pub fn withdraw(ticket: u64) -> bool {
    let mut queue = queue();
    let at = queue.errands.iter().position(|(waiting, _)| *waiting == ticket);
    let taken = at.and_then(|at| queue.errands.remove(at));
    drop(queue);
    taken.is_some()
}

/// The next job, for the worker, and the session that it is for: waits up to `patience`, or until a worker retires.
pub fn next(patience: Duration) -> Option<(ImportJob, u64)> {
    let deadline = Instant::now() + patience.min(Duration::from_secs(3600));
    let mut queue = queue();
    queue.waiting_workers += 1;
    let recalls = queue.recalls;
    let errand = loop {
        if let Some(next) = queue.errands.pop_front() {
            break Some(next);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || queue.recalls != recalls {
            break None;
        }
        queue = CHANGED.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
    };
    queue.waiting_workers -= 1;
    queue.seen = Some(Instant::now());
    let (_, mut errand) = errand?;
    let me = std::thread::current().id();
    queue.doing.insert(me, None);
    drop(queue);
    // Outside of the lock: it may look at the loader's list.
    errand.begin();
    let next = (errand.job().clone(), errand.session());
    self::queue().doing.insert(me, Some(errand));
    Some(next)
}

/// The worker's answer to the job that it took.
pub fn answer(answer: Result<(), Failure>) {
    let done = {
        let mut queue = queue();
        queue.seen = Some(Instant::now());
        queue.doing.remove(&std::thread::current().id())
    };
    if let Some(Some(errand)) = done {
        errand.end(answer);
    }
}
