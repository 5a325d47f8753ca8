//! A call in collective mode: a round, step by step, in the caller's thread.
//!
//! The caller does the imports itself (Python must, in a thread of its own); everything else is done here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Outcome, Step};
use super::imports::{self, Work};
use super::pending::Pending;
use super::report;
use super::wait::{self, Budget, Place};
use super::{CallError, Core, Ended, Shared, attach, jobs, register};
use crate::comm::{Collective, Comm, Local};
use crate::host::inside;
use crate::identity::Identity;
use crate::importer::ImportJob;
use crate::outcome::Failure;
use crate::plan::Item;
use crate::request::Request;
use crate::round::{Ask, Done, Given, Job, More, Round};
use crate::task::Shapes;

/// The ticket of a call's own request.
const OWN: u64 = 0;

/// A call under way. Dropped before its end it makes the session unusable: the others wait for this rank.
pub(super) struct Stepped {
    shared: Arc<Shared>,
    core: Option<Box<Core>>,
    round: Round,
    given: Option<Given>,
    own: Option<Request>,
    own_sent: bool,
    /// The library that the own request means on this rank.
    means: Option<Identity>,
    budget: Budget,
    begun: bool,
    imports: VecDeque<Work>,
    /// The items that these are about.
    batch: Vec<(u32, Item)>,
    current: Option<Work>,
    failed: Vec<(u32, Failure)>,
    after_imports: Option<Done>,
    /// Modules that this rank has imported, and that have no verdict yet.
    undecided: Vec<String>,
    /// Why the call ends without a verdict, once these have been undone.
    lost: Option<CallError>,
}

impl Stepped {
    pub(super) fn begin(
        shared: &Arc<Shared>,
        mut core: Box<Core>,
        own: Option<Request>,
        limit: Option<Duration>,
    ) -> Stepped {
        core.rounds += 1;
        let round = Round::new(shared.rank, shared.size, core.rounds);
        Stepped {
            shared: shared.clone(),
            core: Some(core),
            round,
            given: Some(Given::Start),
            own,
            own_sent: false,
            means: None,
            budget: Budget::new(limit),
            begun: false,
            imports: VecDeque::new(),
            batch: Vec::new(),
            current: None,
            failed: Vec::new(),
            after_imports: None,
            undecided: Vec::new(),
            lost: None,
        }
    }

    /// Goes on until there is an import to do, or the end. Blocks while other ranks are waited for.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(mut work) = self.imports.pop_front() {
                if let (Some(_), ImportJob::Import(name)) = (work.item, &work.job) {
                    self.undecided.push(name.clone());
                }
                let job = work.job.clone();
                work.begin();
                self.current = Some(work);
                return Step::Job(job);
            }
            if let Some(error) = self.lost.take() {
                return self.end(Err(error));
            }
            if let Some(done) = self.after_imports.take() {
                self.given = Some(Given::Job(Local(self.with_imports(done))));
            }
            let Some(given) = self.given.take() else {
                return self.end(Err(CallError::Invalid("this call has ended, or waits for an answer".into())));
            };
            if !self.begun {
                self.begun = true;
                if let Err(error) = jobs::look_around() {
                    return self.end(Err(error));
                }
            }
            match self.round.step(given) {
                Ask::Collective(collective) => match self.collective(collective) {
                    Ok(given) => self.given = Some(given),
                    Err(error) => {
                        // Without a verdict nothing stays visible. (Libraries are not visible before it.)
                        let undecided = std::mem::take(&mut self.undecided);
                        self.imports = undecided.into_iter().map(|name| ImportJob::Undo(name).into()).collect();
                        self.lost = Some(error);
                    }
                },
                Ask::Job(job) => self.job(job),
                Ask::Done(Ok(report)) => {
                    let own =
                        self.own.as_ref().and_then(|own| report::own(&self.shared, own, self.means.take(), &report));
                    return self.end(Ok(Outcome::new(own, Arc::new(report), &self.shared)));
                }
                // Every rank has read the same bytes, so every rank is here: the session goes on.
                Ask::Done(Err(error)) => {
                    if let Some(core) = self.core.as_mut() {
                        jobs::conclude(&self.shared, &mut core.state, &[]);
                    }
                    return self.end(Err(error.into()));
                }
            }
        }
    }

    /// How the job that [`Step::Job`] gave went.
    pub fn answer(&mut self, answer: Result<(), Failure>) {
        let Some(work) = self.current.take() else { return };
        self.failed.extend(work.end(&self.shared, answer));
    }

    pub(super) fn session(&self) -> u64 {
        self.shared.id
    }

    /// How long an import worker is waited for.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.budget.left()
    }

    fn lose(&self, lost: wait::Lost) -> CallError {
        let (error, reason) = attach::told(lost);
        self.shared.end(reason);
        error
    }

    fn collective(&mut self, collective: Collective) -> Result<Given, CallError> {
        let Some(core) = self.core.as_mut() else { return Err(CallError::Ended(Ended::Abandoned)) };
        core.steps += 1;
        let place = Place {
            rank: self.shared.rank,
            size: self.shared.size,
            step: core.steps,
            phase: self.round.phase(),
            what: &|| self.round.subject(),
            host_of: &|rank| self.shared.host_of(rank),
        };
        let line: &mut dyn Comm = match &mut core.solo {
            Some(solo) => solo,
            None => &mut core.comm,
        };
        // Word may have been left while this rank was busy with a job, or with something else.
        let late = wait::may_be_late(core.heard, &self.budget);
        let waited = wait::collective(line, collective, &mut core.notes, &mut self.budget, &place, late);
        core.heard = Instant::now();
        waited.map(Given::Collective).map_err(|lost| self.lose(lost))
    }

    fn job(&mut self, job: Job) {
        let Some(core) = self.core.as_mut() else { return };
        let done = match job {
            Job::Gather => {
                let own = if std::mem::replace(&mut self.own_sent, true) { None } else { self.own.clone() };
                let asked = own.is_some();
                jobs::tell_mapped();
                let mut taken = self.shared.take_pending(None, false);
                taken.extend(own.map(|own| Pending { ticket: Some(OWN), nested: false, ..Pending::asked(own, None) }));
                let mut gathered = jobs::gather(&self.shared, &mut core.state, taken);
                if asked {
                    self.means = gathered.means.pop().and_then(|(_, means)| means);
                }
                Done::Gathered(gathered.plan)
            }
            Job::Stage(items) => jobs::stage(&mut core.state, &items),
            Job::Open(items) => jobs::open(&self.shared, &mut core.state, None, &items),
            Job::Import(items) => {
                let (imports, failed) = imports::of_batch(&items);
                self.imports = imports;
                self.failed.extend(failed);
                self.batch = items;
                self.after_imports =
                    Some(Done::Tried { failed: Vec::new(), more: More::default(), shapes: Shapes::default() });
                return;
            }
            Job::Settle { commit, undo, growth } => {
                self.undecided.clear();
                let jobs = jobs::settle(&self.shared, &mut core.state, &commit, &undo, &growth);
                self.imports = jobs.into_iter().map(Work::from).collect();
                self.after_imports = Some(Done::Settled);
                return;
            }
            Job::Conclude { revoke } => {
                jobs::conclude(&self.shared, &mut core.state, &revoke);
                self.imports = imports::to_revoke(revoke);
                self.after_imports = Some(Done::Settled);
                return;
            }
        };
        self.given = Some(Given::Job(Local(done)));
    }

    fn with_imports(&mut self, done: Done) -> Done {
        match done {
            Done::Tried { .. } => {
                let failed = std::mem::take(&mut self.failed);
                let batch = std::mem::take(&mut self.batch);
                // Python code may have called what adds to a plugin's table.
                let (failed, shapes) = match self.core.as_mut() {
                    Some(core) => register::run(&self.shared, &mut core.state.plugins, &batch, failed),
                    None => (failed, Shapes::default()),
                };
                Done::Tried { failed, more: self.shared.more(None), shapes }
            }
            other => other,
        }
    }

    fn end(&mut self, outcome: Result<Outcome, CallError>) -> Step {
        if let Some(core) = self.core.take() {
            self.shared.give_back(core);
        }
        Step::Done(Box::new(outcome))
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            inside::set_asker(None);
            self.shared.end(Ended::Abandoned);
            self.shared.give_back(core);
        }
    }
}
