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

/// How long a worker may be away between two calls of [`next`], before it counts as gone.
const AWAY: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Queue {
    /// Threads inside [`next`].
    waiting_workers: usize,
    /// When a worker last came or went.
    seen: Option<Instant>,
    tickets: u64,
    jobs: VecDeque<(u64, ImportJob)>,
    /// What each worker is doing: callers in several threads have their own jobs and answers.
    doing: HashMap<ThreadId, u64>,
    answers: HashMap<u64, Result<(), Failure>>,
}

impl Queue {
    fn has_worker(&self) -> bool {
        self.waiting_workers > 0 || !self.doing.is_empty() || self.seen.is_some_and(|seen| seen.elapsed() < AWAY)
    }
}

static QUEUE: LazyLock<Mutex<Queue>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the import worker do `job`. Without one, or past `patience`, that is a failure of this rank.
pub fn ask_worker(job: &ImportJob, patience: Option<Duration>) -> Result<(), Failure> {
    let failure = |text: &str| Err(Failure::import(text, None));
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    let mut queue = queue();
    queue.tickets += 1;
    let ticket = queue.tickets;
    queue.jobs.push_back((ticket, job.clone()));
    CHANGED.notify_all();
    loop {
        if let Some(answer) = queue.answers.remove(&ticket) {
            return answer;
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let gone = !queue.has_worker();
        if gone || left == Some(Duration::ZERO) {
            // A late answer belongs to nobody.
            queue.jobs.retain(|(waiting, _)| *waiting != ticket);
            queue.doing.retain(|_, doing| *doing != ticket);
            return failure(if gone {
                "this process has no Python to import with; call dlcast.serve_imports() in its Python"
            } else {
                "the import worker did not answer in time; does the calling thread hold the GIL?"
            });
        }
        let pause = left.map_or(AWAY, |left| left.min(AWAY));
        queue = CHANGED.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// The next job, for the worker: waits up to `patience`.
pub fn next(patience: Duration) -> Option<ImportJob> {
    let deadline = Instant::now() + patience.min(Duration::from_secs(3600));
    let mut queue = queue();
    queue.waiting_workers += 1;
    let job = loop {
        if let Some((ticket, job)) = queue.jobs.pop_front() {
            queue.doing.insert(std::thread::current().id(), ticket);
            break Some(job);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break None;
        }
        queue = CHANGED.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
    };
    queue.waiting_workers -= 1;
    queue.seen = Some(Instant::now());
    job
}

/// The worker's answer to the job that it took.
pub fn answer(answer: Result<(), Failure>) {
    let mut queue = queue();
    queue.seen = Some(Instant::now());
    if let Some(ticket) = queue.doing.remove(&std::thread::current().id()) {
        queue.answers.insert(ticket, answer);
    }
    CHANGED.notify_all();
}
