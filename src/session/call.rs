//! One collective call: a round, step by step, in the caller's thread.
//!
//! The caller does the imports itself (Python must, in a thread of its own); everything else is done here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::report::{self, SyncReport};
use super::wait::{self, Budget, Place};
use super::{CallError, Core, Ended, Shared, attach, jobs};
use crate::comm::{Collective, Comm, Local};
use crate::config::Timeout;
use crate::error::Undone;
use crate::host::dl::{self, Library};
use crate::identity::Identity;
use crate::importer::ImportJob;
use crate::outcome::Failure;
use crate::request::Request;
use crate::round::{Ask, Done, Given, Job, Report, Round};

/// What the caller of [`Call::step`] does next.
pub enum Step {
    /// Do this and [`Call::answer`].
    Job(ImportJob),
    /// The call has ended.
    Done(Box<Result<Outcome, CallError>>),
}

/// What became of the request that the call itself made.
#[derive(Clone, Debug)]
pub enum Own {
    /// A library, on every rank.
    Library(Library),
    /// A module, on every rank.
    Module(String),
    /// Undone on all.
    Undone(Undone),
    /// The arguments were bad; the rank took part, so that nobody waited for it.
    Invalid(String),
}

/// What a call came to.
pub struct Outcome {
    /// The call's own request; `None` for sync.
    pub own: Option<Own>,
    report: Report,
    shared: Arc<Shared>,
}

impl Outcome {
    /// Everything that the round did, in words: made when it is asked for.
    pub fn sync(&self) -> SyncReport {
        report::sync_report(&self.shared, &self.report)
    }
}

/// A call under way. Dropped before its end it makes the session unusable: the others wait for this rank.
pub struct Call {
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
    imports: VecDeque<(Option<u32>, ImportJob)>,
    current: Option<Option<u32>>,
    failed: Vec<(u32, Failure)>,
    after_imports: Option<Done>,
    /// Modules that this rank has imported, and that have no verdict yet.
    undecided: Vec<String>,
    /// Why the call ends without a verdict, once these have been undone.
    lost: Option<CallError>,
}

impl Call {
    pub(super) fn begin(shared: &Arc<Shared>, own: Option<Request>, timeout: Timeout) -> Result<Call, CallError> {
        shared.refuse_ended()?;
        crate::comm::mpi::world::may_call()?;
        let limit = match timeout {
            // What the environment says was read when the session was made.
            Timeout::Default => shared.limit,
            other => other.resolve().map_err(|error| CallError::Invalid(error.to_string()))?,
        };
        // Inside a constructor or a module body that a round runs nothing may wait, on this session or another. The request
        // goes along with the next pass of that round, or the next round.
        let taken = if dl::is_opening() { Err(CallError::Nested) } else { shared.take(limit) };
        let mut core = match taken {
            Err(CallError::Nested) => {
                super::lock(&shared.pending).extend(own);
                return Err(CallError::Nested);
            }
            taken => taken?,
        };
        core.rounds += 1;
        let round = Round::new(shared.rank, shared.size, core.rounds);
        Ok(Call {
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
            current: None,
            failed: Vec::new(),
            after_imports: None,
            undecided: Vec::new(),
            lost: None,
        })
    }

    /// Goes on until there is an import to do, or the end. Blocks while other ranks are waited for.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some((item, job)) = self.imports.pop_front() {
                if let (Some(_), ImportJob::Import(name)) = (item, &job) {
                    self.undecided.push(name.clone());
                }
                self.current = Some(item);
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
                        self.imports = undecided.into_iter().map(|name| (None, ImportJob::Undo(name))).collect();
                        self.lost = Some(error);
                    }
                },
                Ask::Job(job) => self.job(job),
                Ask::Done(Ok(report)) => {
                    let own =
                        self.own.as_ref().and_then(|own| report::own(&self.shared, own, self.means.take(), &report));
                    return self.end(Ok(Outcome { own, report, shared: self.shared.clone() }));
                }
                // Every rank has read the same bytes, so every rank is here: the session goes on.
                Ask::Done(Err(error)) => return self.end(Err(error.into())),
            }
        }
    }

    /// How the job that [`Step::Job`] gave went.
    pub fn answer(&mut self, answer: Result<(), Failure>) {
        if let (Some(Some(item)), Err(failure)) = (self.current.take(), answer) {
            self.failed.push((item, failure));
        }
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
                let (plan, means) = jobs::gather(&self.shared, core, own);
                if asked {
                    self.means = means;
                }
                Done::Gathered(plan)
            }
            Job::Stage(items) => jobs::stage(&self.shared, core, &items),
            Job::Open(items) => jobs::open(&self.shared, core, &items),
            Job::Import(modules) => {
                self.imports = modules.into_iter().map(|(item, name)| (Some(item), ImportJob::Import(name))).collect();
                self.after_imports = Some(Done::Tried { failed: Vec::new(), more: false });
                return;
            }
            Job::Settle { commit, undo } => {
                self.undecided.clear();
                self.imports = jobs::settle(core, &commit, &undo).into_iter().map(|job| (None, job)).collect();
                self.after_imports = Some(Done::Settled);
                return;
            }
        };
        self.given = Some(Given::Job(Local(done)));
    }

    fn with_imports(&mut self, done: Done) -> Done {
        match done {
            Done::Tried { .. } => {
                let more = !super::lock(&self.shared.pending).is_empty();
                Done::Tried { failed: std::mem::take(&mut self.failed), more }
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

    /// The library that this call loaded, for a face that hands out raw handles.
    pub(crate) fn library_of(identity: &crate::identity::Identity) -> Option<Library> {
        dl::host(None).library(identity)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            self.shared.end(Ended::Abandoned);
            self.shared.give_back(core);
        }
    }
}
