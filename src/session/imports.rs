//! What of a round's jobs Python does: modules to import, callbacks to call, in the order of the plan.
//!
//! Who steps the round hands them out one by one, and brings the answers.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::pending::Pending;
use super::{Shared, lock, record};
use crate::error::Phase;
use crate::host::inside;
use crate::importer::{self, Errand, ImportJob};
use crate::outcome::Failure;
use crate::plan::{Callback, Item, Key, What};
use crate::registry::runs::{self, Turn};

/// This thread does a job: what a callback asks for is its own, and what a body asks for is its round's. For the next round, a
/// body that records itself and raises would be run for ever.
fn set_asker(job: &ImportJob) {
    match job {
        ImportJob::Call { asker, .. } => inside::set_asker(Some(*asker)),
        ImportJob::Import(_) => inside::set_body(),
        _ => inside::set_asker(None),
    }
}

/// How long it is waited before one looks again whether there is a worker.
const LOOK: Duration = Duration::from_secs(1);

/// Where an answer is put, and who waits for it is woken.
type Place = (Mutex<Option<Result<(), Failure>>>, Condvar);

/// A job that a thread waits for.
struct Asked {
    job: ImportJob,
    session: u64,
    answer: Arc<Place>,
}

impl Errand for Asked {
    fn job(&self) -> &ImportJob {
        &self.job
    }

    fn session(&self) -> u64 {
        self.session
    }

    fn begin(&mut self) {
        set_asker(&self.job);
    }

    fn end(self: Box<Self>, answer: Result<(), Failure>) {
        inside::set_asker(None);
        *lock(&self.answer.0) = Some(answer);
        self.answer.1.notify_all();
    }
}

/// Has the import worker do `job`, and waits for it. Without one, or past `patience`, that is a failure of this rank.
pub(super) fn ask_worker(session: u64, job: &ImportJob, patience: Option<Duration>) -> Result<(), Failure> {
    let failure = |text: &str| Err(Failure::import(text, None));
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    let place = Arc::new(Place::default());
    let ticket = importer::submit(Box::new(Asked { job: job.clone(), session, answer: place.clone() }));
    let (answer, answered) = &*place;
    let mut answer = lock(answer);
    loop {
        if let Some(answer) = answer.take() {
            return answer;
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let gone = !importer::has_worker();
        if gone || left == Some(Duration::ZERO) {
            // A late answer belongs to nobody.
            importer::withdraw(ticket);
            return failure(if gone { NO_PYTHON } else { LATE });
        }
        let pause = left.map_or(LOOK, |left| left.min(LOOK));
        answer = answered.wait_timeout(answer, pause).unwrap_or_else(PoisonError::into_inner).0;
    }
}

const NO_PYTHON: &str = "this process has no Python to import with; call dlcast.serve_imports() in its Python";
const LATE: &str = "the import worker did not answer in time; does the calling thread hold the GIL?";

/// A job for Python.
pub(super) struct Work {
    pub job: ImportJob,
    /// Its index in the plan, where its failure matters.
    pub item: Option<u32>,
    /// A module's: what it brings is asked for by it.
    key: Option<Key>,
    /// A callback's: it runs once in a process.
    turn: Option<Turn>,
    /// A module's: what was mapped before its import.
    before: Option<HashSet<PathBuf>>,
}

impl From<ImportJob> for Work {
    fn from(job: ImportJob) -> Self {
        Work { job, item: None, key: None, turn: None, before: None }
    }
}

impl Work {
    /// The thread that does it begins.
    pub fn begin(&mut self) {
        if self.key.is_some() {
            self.before = Some(record::mapped_now());
        }
        if let Some(turn) = &mut self.turn {
            turn.start();
        }
        inside::mark(true);
        set_asker(&self.job);
    }

    /// It has done it: the item's failure, if it has one.
    pub fn end(self, shared: &Shared, answer: Result<(), Failure>) -> Option<(u32, Failure)> {
        inside::set_asker(None);
        inside::mark(false);
        let forbidden = inside::take_forbidden();
        let answer = match forbidden {
            Some(calls) if self.item.is_some() => Err(Failure::import(format!("its code {calls}"), None)),
            _ => answer,
        };
        if let (Some(before), true) = (&self.before, answer.is_ok()) {
            take_plugins(shared, before, self.key);
        }
        let answer = match self.turn {
            None => answer,
            Some(turn) => {
                turn.end(answer.as_ref().map(|_| ()).map_err(|failure| failure.message.clone()));
                answer.map_err(|failure| Failure { phase: Phase::Callback, ..failure })
            }
        };
        Some((self.item?, answer.err()?))
    }
}

/// A plugin that came with a module (the extension module itself, what it needs, what its body has opened) is a request
/// of the module.
fn take_plugins(shared: &Shared, before: &HashSet<PathBuf>, asked_by: Option<Key>) {
    let new = record::mapped_now().into_iter().filter(|path| !before.contains(path));
    let mut plugins: Vec<PathBuf> = new.collect();
    plugins.sort();
    let requests = plugins.iter().filter_map(|path| record::plugin(path));
    shared.ask(requests.map(|request| Pending::asked(request, asked_by)));
}

/// What Python is to do about the items of a batch: nothing where a callback has run in this process. What is known to fail
/// already is in the second list.
pub(super) fn of_batch(items: &[(u32, Item)]) -> (VecDeque<Work>, Vec<(u32, Failure)>) {
    let (mut works, mut failed) = (VecDeque::new(), Vec::new());
    for (index, item) in items {
        let asker = item.place_key();
        match &item.what {
            What::Module { name } => {
                works.push_back(Work { item: Some(*index), key: Some(asker), ..ImportJob::Import(name.clone()).into() })
            }
            What::Callback(Callback { code, tag, name }) => match runs::begin(asker) {
                Ok(turn) => {
                    let (name, payload) = (name.clone(), code.payload.clone());
                    let job = ImportJob::Call { name, payload, tag: *tag, asker };
                    works.push_back(Work { item: Some(*index), turn: Some(turn), ..job.into() });
                }
                Err(outcome) => {
                    let failure = outcome.map_err(|message| Failure::new(Phase::Callback, message));
                    failed.extend(failure.err().map(|failure| (*index, failure)));
                }
            },
            _ => {}
        }
    }
    (works, failed)
}

/// What is taken out again.
pub(super) fn to_revoke(revoke: Vec<Item>) -> VecDeque<Work> {
    let modules = revoke.into_iter().filter_map(|item| match item.what {
        What::Module { name } => Some(ImportJob::Revoke(name).into()),
        _ => None,
    });
    modules.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Request;

    #[test]
    fn what_a_body_records_belongs_to_the_round_that_runs_it() {
        let mut work = Work::from(ImportJob::Import("pkg".into()));
        let nested = || Pending::here(Request::Module { name: "pkg".into() }).nested;
        assert!(!nested());
        work.begin();
        assert!(nested());
        inside::set_asker(None);
        assert!(!nested());
    }
}
