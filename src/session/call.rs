//! One call on a session, in either mode: in collective mode its caller steps a round, in service mode it waits for a ticket.

use std::sync::Arc;
use std::time::Duration;

use super::asked::Asked;
use super::pending::Pending;
use super::report::{self, SyncReport};
use super::stepped::Stepped;
use super::{CallError, Shared, safe_point};
use crate::config::Timeout;
use crate::error::Undone;
use crate::host::dl::{self, Library};
use crate::identity::Identity;
use crate::importer::ImportJob;
use crate::outcome::Failure;
use crate::request::Request;
use crate::round::Report;

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
    /// A callback, run by every rank.
    Called,
    /// A library's tasks, gone on every rank.
    Unloaded,
    /// Undone on all.
    Undone(Undone),
    /// The arguments were bad; the rank took part, so that nobody waited for it.
    Invalid(String),
}

/// What a call came to.
pub struct Outcome {
    /// The call's own request; `None` for sync.
    pub own: Option<Own>,
    report: Arc<Report>,
    shared: Arc<Shared>,
}

impl Outcome {
    pub(super) fn new(own: Option<Own>, report: Arc<Report>, shared: &Arc<Shared>) -> Self {
        Outcome { own, report, shared: shared.clone() }
    }

    /// Everything that the round did, in words: made when it is asked for.
    pub fn sync(&self) -> SyncReport {
        report::sync_report(&self.shared, &self.report)
    }
}

/// A call under way.
pub struct Call(Kind);

enum Kind {
    Stepped(Box<Stepped>),
    Asked(Box<Asked>),
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
        // Inside a constructor, a module body or a callback nothing may wait, on this session or another. The request goes
        // along with the next pass of the round that runs it, or the next round.
        let is_inside = safe_point::must_not_wait();
        if let (false, Some(served)) = (is_inside, shared.served.get()) {
            served.refuse_leaving()?;
            return Ok(Call(Kind::Asked(Box::new(Asked::begin(shared, own, limit)))));
        }
        match if is_inside { Err(CallError::Nested) } else { shared.take(limit) } {
            Ok(core) => Ok(Call(Kind::Stepped(Box::new(Stepped::begin(shared, core, own, limit))))),
            Err(error) => {
                if matches!(error, CallError::Nested) {
                    shared.ask(own.map(Pending::here));
                }
                Err(error)
            }
        }
    }

    /// A call that waits for libraries alone, in service mode.
    pub(super) fn begin_native(shared: &Arc<Shared>, request: Request) -> Result<Call, CallError> {
        shared.refuse_ended()?;
        if safe_point::must_not_wait() {
            shared.ask([Pending::here(request)]);
            return Err(CallError::Nested);
        }
        Ok(Call(Kind::Asked(Box::new(Asked::begin(shared, Some(request), shared.limit).for_libraries_only()))))
    }

    /// The same for all that is recorded: the native half of a sync.
    pub(super) fn begin_native_sync(shared: &Arc<Shared>) -> Result<Call, CallError> {
        shared.refuse_ended()?;
        Ok(Call(Kind::Asked(Box::new(Asked::begin(shared, None, shared.limit).for_libraries_only()))))
    }

    /// Goes on until there is an import to do, or the end. Blocks while other ranks are waited for. (In service mode the
    /// import worker imports.)
    pub fn step(&mut self) -> Step {
        match &mut self.0 {
            Kind::Stepped(stepped) => stepped.step(),
            Kind::Asked(asked) => {
                let outcome = asked.wait(None).unwrap_or(Err(CallError::Busy));
                Step::Done(Box::new(outcome))
            }
        }
    }

    /// As [`Call::step`]; none where `patience` has passed before. (In collective mode a round is not left in the middle.)
    pub fn step_within(&mut self, patience: Duration) -> Option<Step> {
        match &mut self.0 {
            Kind::Stepped(stepped) => Some(stepped.step()),
            Kind::Asked(asked) => asked.wait(Some(patience)).map(|outcome| Step::Done(Box::new(outcome))),
        }
    }

    /// The session's handle.
    pub(crate) fn session(&self) -> u64 {
        match &self.0 {
            Kind::Stepped(stepped) => stepped.session(),
            Kind::Asked(asked) => asked.session(),
        }
    }

    /// How the job that [`Step::Job`] gave went.
    pub fn answer(&mut self, answer: Result<(), Failure>) {
        if let Kind::Stepped(stepped) = &mut self.0 {
            stepped.answer(answer);
        }
    }

    /// How long an import worker is waited for.
    pub(super) fn patience(&self) -> Option<Duration> {
        match &self.0 {
            Kind::Stepped(stepped) => stepped.patience(),
            Kind::Asked(_) => None,
        }
    }

    /// The library that this call loaded, for a face that hands out raw handles.
    pub(crate) fn library_of(identity: &Identity) -> Option<Library> {
        dl::host(None).library(identity)
    }
}
