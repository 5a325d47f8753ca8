//! The jobs of a batch that Python does: handed to the import worker one by one; what it is stuck in is given up in time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::super::imports::Work;
use super::super::{Shared, lock};
use super::protocol::Mail;
use crate::importer::{Errand, ImportJob};
use crate::outcome::Failure;

/// The batch that Python is at.
pub struct Batch {
    rest: VecDeque<Work>,
    running: Option<Running>,
    pub failed: Vec<(u32, Failure)>,
}

struct Running {
    ticket: u64,
    item: Option<u32>,
    job: ImportJob,
    since: Instant,
    place: Arc<Mutex<Place>>,
}

/// Where the worker leaves its answer.
#[derive(Default)]
enum Place {
    #[default]
    Waiting,
    /// The worker is at it.
    Begun,
    /// Nobody waits any more.
    GivenUp,
    Answered(Option<(u32, Failure)>),
}

struct Trip {
    shared: Arc<Shared>,
    work: Work,
    place: Arc<Mutex<Place>>,
}

impl Errand for Trip {
    fn job(&self) -> &ImportJob {
        &self.work.job
    }

    fn session(&self) -> u64 {
        self.shared.id
    }

    fn is_wanted(&self) -> bool {
        !matches!(*lock(&self.place), Place::GivenUp)
    }

    fn begin(&mut self) {
        if let place @ Place::Waiting = &mut *lock(&self.place) {
            *place = Place::Begun;
        }
        self.work.begin();
    }

    fn end(self: Box<Self>, answer: Result<(), Failure>) {
        let Trip { shared, work, place } = *self;
        let (job, arrived) = (work.job.clone(), answer.is_ok());
        let failure = work.end(&shared, answer);
        let before = std::mem::replace(&mut *lock(&place), Place::Answered(failure));
        if let (ImportJob::Import(name), true, Place::GivenUp) = (job, arrived, before) {
            // Too late: the others have been told that it failed.
            send(&shared, ImportJob::Undo(name).into());
        }
        if let Some(served) = shared.served.get() {
            served.hands.post(Mail::Look(shared.id));
        }
    }
}

/// Hands work to the import worker.
fn send(shared: &Arc<Shared>, work: Work) -> (u64, Arc<Mutex<Place>>) {
    let place = Arc::default();
    let trip = Box::new(Trip { shared: shared.clone(), work, place: Arc::clone(&place) });
    (shared.served.get().map_or(0, |served| served.hands.import(trip)), place)
}

impl Batch {
    pub fn new(rest: VecDeque<Work>, failed: Vec<(u32, Failure)>) -> Self {
        Batch { rest, running: None, failed }
    }

    /// What the worker is at, and since when.
    pub fn doing(&self) -> Option<(&ImportJob, Instant)> {
        self.running.as_ref().map(|running| (&running.job, running.since))
    }

    /// Goes on as far as it can without waiting; true when nothing is left.
    pub fn step(&mut self, shared: &Arc<Shared>) -> bool {
        loop {
            if let Some(running) = &self.running {
                match &mut *lock(&running.place) {
                    Place::Answered(failure) => self.failed.extend(failure.take()),
                    _ => return false,
                }
                self.running = None;
            }
            let Some(work) = self.rest.pop_front() else { return true };
            let (item, job) = (work.item, work.job.clone());
            let (ticket, place) = send(shared, work);
            self.running = Some(Running { ticket, item, job, since: Instant::now(), place });
        }
    }

    /// The worker has not answered in time. What it is at, and all that comes after, fails on this rank; what has no outcome
    /// (modules that are taken out again) is left to it. `failure` is told whether the worker has begun.
    pub fn give_up(&mut self, shared: &Arc<Shared>, failure: impl Fn(&ImportJob, bool) -> Failure) {
        if let Some(Running { ticket, item: Some(item), job, place, .. }) = self.running.take() {
            match std::mem::replace(&mut *lock(&place), Place::GivenUp) {
                // In this very moment.
                Place::Answered(answer) => self.failed.extend(answer),
                before => {
                    if let Some(served) = shared.served.get() {
                        served.hands.withdraw(ticket);
                    }
                    self.failed.push((item, failure(&job, matches!(before, Place::Begun))));
                }
            }
        }
        for work in self.rest.drain(..) {
            match work.item {
                Some(item) => self.failed.push((item, failure(&work.job, false))),
                None => {
                    send(shared, work);
                }
            }
        }
    }
}
