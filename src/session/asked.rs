//! A call in service mode: it leaves its request to the threads, and waits for what becomes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Outcome, Own};
use super::pending::Pending;
use super::service::{self, Answer, Served};
use super::{CallError, Ended, Shared, report};
use crate::host::dl;
use crate::identity::Identity;
use crate::request::{Lane, Request};
use crate::round::Report;

/// How long the answer to a roll-call is waited for: its window and its grace, and a slow machine.
const ROLL_CALL: Duration = Duration::from_secs(4);

/// Times that a round may reach the service's deadline, in phases one after the other.
const PHASES: u32 = 4;

/// A call that waits.
pub(super) struct Asked {
    shared: Arc<Shared>,
    own: Option<Request>,
    /// None: the service has the deadline, and answers.
    limit: Option<Duration>,
    start: Instant,
    /// Where every rank has it.
    known: Option<Known>,
    waiting: Option<Waiting>,
    /// Of the lanes that have answered.
    reports: Vec<Arc<Report>>,
    /// The library that the own request means on this rank.
    means: Option<Identity>,
    /// What is asked of Python on the way is not waited for.
    libraries_only: bool,
}

/// What every rank has.
enum Known {
    Library(Identity),
    Module(String),
}

/// An answer that has not come yet.
struct Waiting {
    lane: Lane,
    ticket: u64,
    /// The call's own deadline has passed, and a roll-call is held.
    asked_around: Option<Instant>,
}

impl Asked {
    pub(super) fn begin(shared: &Arc<Shared>, own: Option<Request>, limit: Option<Duration>) -> Asked {
        // With the service's own deadline the service comes first: it knows who is late, and fails what is stuck, one phase after
        // the other.
        let limit = if limit == shared.limit { limit.map(|limit| limit * PHASES + ROLL_CALL) } else { limit };
        let start = Instant::now();
        let (known, waiting, reports, means) = (None, None, Vec::new(), None);
        let libraries_only = false;
        let mut asked =
            Asked { shared: shared.clone(), own, limit, start, known, waiting, reports, means, libraries_only };
        let Some(served) = shared.served.get() else { return asked };
        if let Some(request) = asked.own.clone() {
            if matches!(request, Request::Invalid { .. }) {
                // Nobody waits for this rank, so nobody has to hear of a bad argument.
                return asked;
            }
            asked.known = everybody_has(served, &request);
            if asked.known.is_none() {
                let (lane, ticket) = (request.lane(), served.tickets.open());
                asked.waiting = Some(Waiting { lane, ticket, asked_around: None });
                shared.ask([Pending { ticket: Some(ticket), nested: false, ..Pending::asked(request, None) }]);
            }
        } else {
            // Both lanes, libraries first: what they ask of Python is done then.
            asked.sync(served, Lane::Native);
        }
        asked
    }

    /// The same at the return of a dlopen, where nothing that waits for an import may be waited for.
    pub(super) fn for_libraries_only(mut self) -> Self {
        self.libraries_only = true;
        self
    }

    pub(super) fn session(&self) -> u64 {
        self.shared.id
    }

    /// The next round of a lane is waited for.
    fn sync(&mut self, served: &Served, lane: Lane) {
        let ticket = served.tickets.open_sync(lane);
        self.waiting = Some(Waiting { lane, ticket, asked_around: None });
        service::ring(&self.shared, lane);
    }

    /// Blocks until there is an answer; none where `patience` has passed before.
    pub(super) fn wait(&mut self, patience: Option<Duration>) -> Option<Result<Outcome, CallError>> {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        let shared = self.shared.clone();
        let Some(served) = shared.served.get() else { return Some(Err(CallError::Ended(Ended::Unknown))) };
        while let Some(mut waiting) = self.waiting.take() {
            let Some(answer) = self.answer(served, &mut waiting, until) else {
                self.waiting = Some(waiting);
                return None;
            };
            served.tickets.close(waiting.ticket);
            let Answer { report, means } = match answer {
                Ok(answer) => answer,
                Err(error) => return Some(Err(error)),
            };
            // What constructors and callbacks have asked Python for has been done, too, when this returns.
            if waiting.lane == Lane::Native && !self.libraries_only && (self.own.is_none() || report.beyond) {
                self.sync(served, Lane::Python);
            }
            self.means = self.means.take().or(means);
            self.reports.push(report);
        }
        Some(self.outcome(&shared))
    }

    fn outcome(&mut self, shared: &Arc<Shared>) -> Result<Outcome, CallError> {
        let mut reports = std::mem::take(&mut self.reports).into_iter();
        if let Some(own) = &self.own {
            let (report, means) = match (self.known.take(), reports.next()) {
                (Some(Known::Module(name)), _) => {
                    return Ok(Outcome::new(Some(Own::Module(name)), Arc::default(), shared));
                }
                (Some(Known::Library(identity)), _) => (Arc::default(), Some(identity)),
                (None, Some(report)) => (report, self.means.take()),
                (None, None) => match own {
                    Request::Invalid { message } => {
                        return Ok(Outcome::new(Some(Own::Invalid(message.clone())), Arc::default(), shared));
                    }
                    _ => return Err(CallError::Invalid("this call has ended".into())),
                },
            };
            let own = report::own(shared, own, means, &report);
            return Ok(Outcome::new(own, report, shared));
        }
        let mut whole = Report::default();
        for report in reports {
            whole.items.extend(report.items.iter().cloned());
            whole.skipped.extend(report.skipped.iter().cloned());
            whole.rounds = whole.rounds.max(report.rounds);
        }
        Ok(Outcome::new(None, Arc::new(whole), shared))
    }

    /// None: it is `until`, and there is no answer.
    fn answer(
        &self,
        served: &Served,
        waiting: &mut Waiting,
        until: Option<Instant>,
    ) -> Option<Result<Answer, CallError>> {
        loop {
            let own = match waiting.asked_around {
                None => self.limit.map(|limit| limit.saturating_sub(self.start.elapsed())),
                Some(since) => Some(ROLL_CALL.saturating_sub(since.elapsed())),
            };
            let patience = until.map(|until| until.saturating_duration_since(Instant::now()));
            let is_own = own.is_some_and(|own| patience.is_none_or(|patience| own <= patience));
            let answer = served.tickets.wait(waiting.ticket, if is_own { own } else { patience });
            match (answer, is_own, waiting.asked_around) {
                (Some(answer), ..) => return Some(answer),
                (None, false, _) => return None,
                (None, true, None) => {
                    waiting.asked_around = Some(Instant::now());
                    service::ask_around(&self.shared, waiting.lane, waiting.ticket, self.limit.unwrap_or_default());
                }
                (None, true, Some(_)) => return Some(Err(CallError::Busy)),
            }
        }
    }
}

/// Whether every rank has what a request means.
pub(super) fn is_known(shared: &Shared, request: &Request) -> bool {
    shared.served.get().is_some_and(|served| everybody_has(served, request).is_some())
}

/// What a request means, if every rank has it.
fn everybody_has(served: &Served, request: &Request) -> Option<Known> {
    let (spelling, flags) = match request {
        Request::Library { spelling, flags, .. } => (spelling, flags),
        // A rank that has taken it out of `sys.modules` since has done so itself.
        Request::Module { name } => return served.tickets.knows_module(name).then(|| Known::Module(name.clone())),
        _ => return None,
    };
    // Where a constructor runs, the round finds out.
    let identity = dl::try_host()?.known(spelling)?;
    served.tickets.knows(&identity, *flags).then_some(Known::Library(identity))
}

impl Drop for Asked {
    fn drop(&mut self) {
        // The request stays; nobody waits for it.
        if let (Some(waiting), Some(served)) = (&self.waiting, self.shared.served.get()) {
            served.tickets.close(waiting.ticket);
        }
    }
}
