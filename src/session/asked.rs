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
    /// What is waited for; none where every rank has it.
    ticket: Option<(Lane, u64)>,
    known: Option<Identity>,
    /// What is asked of Python on the way is not waited for.
    libraries_only: bool,
}

impl Asked {
    pub(super) fn begin(shared: &Arc<Shared>, own: Option<Request>, limit: Option<Duration>) -> Asked {
        // With the service's own deadline the service comes first: it knows who is late, and fails what is stuck, one phase after
        // the other.
        let limit = if limit == shared.limit { limit.map(|limit| limit * PHASES + ROLL_CALL) } else { limit };
        let mut asked = Asked {
            shared: shared.clone(),
            own,
            limit,
            start: Instant::now(),
            ticket: None,
            known: None,
            libraries_only: false,
        };
        let Some(served) = shared.served.get() else { return asked };
        if let Some(request) = asked.own.clone().filter(|request| !matches!(request, Request::Invalid { .. })) {
            asked.known = everybody_has(served, &request);
            if asked.known.is_none() {
                let (lane, ticket) = (request.lane(), served.tickets.open());
                asked.ticket = Some((lane, ticket));
                shared.ask([Pending { ticket: Some(ticket), nested: false, ..Pending::asked(request, None) }]);
            }
        }
        asked
    }

    /// The same at the return of a dlopen, where nothing that waits for an import may be waited for.
    pub(super) fn for_libraries_only(mut self) -> Self {
        self.libraries_only = true;
        self
    }

    /// Blocks until there is an answer.
    pub(super) fn wait(&mut self) -> Result<Outcome, CallError> {
        let shared = self.shared.clone();
        let served = shared.served.get().ok_or(CallError::Ended(Ended::Unknown))?;
        let Some(own) = self.own.clone() else { return self.sync(served) };
        if let Some(identity) = self.known.take() {
            let own = report::own(&shared, &own, Some(identity), &Report::default());
            return Ok(Outcome::new(own, Arc::default(), &shared));
        }
        let Some((lane, ticket)) = self.ticket.take() else {
            // Nobody waits for this rank, so nobody has to hear of a bad argument.
            return match own {
                Request::Invalid { message } => Ok(Outcome::new(Some(Own::Invalid(message)), Arc::default(), &shared)),
                _ => Err(CallError::Invalid("this call has ended".into())),
            };
        };
        let Answer { report, means } = self.answer(served, lane, ticket)?;
        // What constructors and callbacks have asked Python for has been done, too, when this returns.
        if lane == Lane::Native && report.beyond && !self.libraries_only {
            let ticket = served.tickets.open_sync(Lane::Python);
            service::ring(&shared, Lane::Python);
            self.answer(served, Lane::Python, ticket)?;
        }
        let own = report::own(&shared, &own, means, &report);
        Ok(Outcome::new(own, report, &shared))
    }

    /// Both lanes, libraries first: what they ask of Python is done then.
    fn sync(&mut self, served: &Served) -> Result<Outcome, CallError> {
        let mut whole = Report::default();
        let lanes = if self.libraries_only { &Lane::BOTH[..1] } else { &Lane::BOTH[..] };
        for &lane in lanes {
            let ticket = served.tickets.open_sync(lane);
            service::ring(&self.shared, lane);
            let Answer { report, .. } = self.answer(served, lane, ticket)?;
            whole.items.extend(report.items.iter().cloned());
            whole.skipped.extend(report.skipped.iter().cloned());
            whole.rounds = whole.rounds.max(report.rounds);
        }
        Ok(Outcome::new(None, Arc::new(whole), &self.shared))
    }

    fn answer(&self, served: &Served, lane: Lane, ticket: u64) -> Result<Answer, CallError> {
        let left = self.limit.map(|limit| limit.saturating_sub(self.start.elapsed()));
        let mut answer = served.tickets.wait(ticket, left);
        if answer.is_none() {
            service::ask_around(&self.shared, lane, ticket, self.limit.unwrap_or_default());
            answer = served.tickets.wait(ticket, Some(ROLL_CALL));
        }
        served.tickets.close(ticket);
        answer.unwrap_or(Err(CallError::Busy))
    }
}

/// Whether every rank has what a request means.
pub(super) fn is_known(shared: &Shared, request: &Request) -> bool {
    shared.served.get().is_some_and(|served| everybody_has(served, request).is_some())
}

/// The library that a request means, if every rank has it.
fn everybody_has(served: &Served, request: &Request) -> Option<Identity> {
    let Request::Library { spelling, flags, .. } = request else { return None };
    // Where a constructor runs, the round finds out.
    let identity = dl::try_host()?.known(spelling)?;
    served.tickets.knows(&identity, *flags).then_some(identity)
}

impl Drop for Asked {
    fn drop(&mut self) {
        // The request stays; nobody waits for it.
        if let (Some((_, ticket)), Some(served)) = (self.ticket, self.shared.served.get()) {
            served.tickets.close(ticket);
        }
    }
}
