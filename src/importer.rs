//! Imports that native callers ask for. Python is never called from here: a thread that Python made pulls them.
//!
//! A call that Python itself steps does not come here: it imports in its own thread.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
}

impl ImportJob {
    /// The module.
    pub fn name(&self) -> &str {
        match self {
            ImportJob::Import(name) | ImportJob::Commit(name) | ImportJob::Undo(name) => name,
        }
    }
}

#[derive(Default)]
struct Queue {
    /// Threads that are waiting for work or doing it.
    workers: usize,
    waiting: Option<ImportJob>,
    answer: Option<Result<(), Failure>>,
    busy: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { workers: 0, waiting: None, answer: None, busy: false });
static CHANGED: Condvar = Condvar::new();

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the import worker do `job`. Without one, or past `patience`, that is a failure of this rank.
pub fn ask_worker(job: &ImportJob, patience: Option<Duration>) -> Result<(), Failure> {
    let failure = |text: &str| Err(Failure::import(text, None));
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    let mut queue = queue();
    if queue.workers == 0 && !queue.busy {
        return failure("this process has no Python to import with; call dlcast.serve_imports() in its Python");
    }
    queue.waiting = Some(job.clone());
    queue.answer = None;
    CHANGED.notify_all();
    loop {
        if let Some(answer) = queue.answer.take() {
            return answer;
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            queue.waiting = None;
            return failure("the import worker did not answer in time; does the calling thread hold the GIL?");
        }
        let pause = left.unwrap_or(Duration::from_secs(1));
        queue = CHANGED.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// The next job, for the worker: waits up to `patience`.
pub fn next(patience: Duration) -> Option<ImportJob> {
    let deadline = Instant::now() + patience.min(Duration::from_secs(3600));
    let mut queue = queue();
    queue.workers += 1;
    let job = loop {
        if let Some(job) = queue.waiting.take() {
            queue.busy = true;
            break Some(job);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break None;
        }
        queue = CHANGED.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
    };
    queue.workers -= 1;
    job
}

/// The worker's answer to the job that it took.
pub fn answer(answer: Result<(), Failure>) {
    let mut queue = queue();
    queue.busy = false;
    queue.answer = Some(answer);
    CHANGED.notify_all();
}
