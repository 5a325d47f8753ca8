//! Who waits for what became of a request: a caller leaves a ticket with it, and the round that took it answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::super::{CallError, lock, read, write};
use super::next_ticket;
use crate::identity::Identity;
use crate::outcome::Verdict;
use crate::plan::What;
use crate::request::{Lane, OpenFlags};
use crate::round::Report;

/// What became of a request.
#[derive(Clone)]
pub struct Answer {
    /// Of the round that took it.
    pub report: Arc<Report>,
    /// The library that it means on this rank.
    pub means: Option<Identity>,
}

/// The tickets of a session on this rank, and what needs none.
#[derive(Default)]
pub struct Tickets {
    waiting: Mutex<HashMap<u64, Option<Result<Answer, CallError>>>>,
    answered: Condvar,
    /// Why there are no answers any more.
    ended: Mutex<Option<CallError>>,
    /// Tickets without a request: for the next round of a lane, whatever it carries.
    syncs: Mutex<Vec<(Lane, u64)>>,
    /// What every rank has.
    known: RwLock<HashMap<Identity, OpenFlags>>,
    /// Modules that every rank with a Python has imported.
    modules: RwLock<HashSet<String>>,
}

impl Tickets {
    /// A new one, which is waited for.
    pub fn open(&self) -> u64 {
        let ticket = next_ticket();
        let ended = lock(&self.ended);
        lock(&self.waiting).insert(ticket, ended.clone().map(Err));
        ticket
    }

    /// A new one for the next round of a lane.
    pub fn open_sync(&self, lane: Lane) -> u64 {
        let ticket = self.open();
        lock(&self.syncs).push((lane, ticket));
        ticket
    }

    /// Those that a round of this lane takes.
    pub fn take_syncs(&self, lane: Lane) -> Vec<u64> {
        lock(&self.syncs).extract_if(.., |(of, _)| *of == lane).map(|(_, ticket)| ticket).collect()
    }

    /// Whether any wait for a round of this lane.
    pub fn has_syncs(&self, lane: Lane) -> bool {
        lock(&self.syncs).iter().any(|(of, _)| *of == lane)
    }

    /// Nobody waits any more.
    pub fn close(&self, ticket: u64) {
        lock(&self.waiting).remove(&ticket);
    }

    /// The answer, if it has come, without waiting.
    pub fn look(&self, ticket: u64) -> Option<Result<Answer, CallError>> {
        lock(&self.waiting).get(&ticket).cloned().flatten()
    }

    /// Waits for the answer; none when `most` has passed.
    pub fn wait(&self, ticket: u64, most: Option<Duration>) -> Option<Result<Answer, CallError>> {
        let start = Instant::now();
        let mut waiting = lock(&self.waiting);
        loop {
            match waiting.get(&ticket) {
                Some(Some(answer)) => return Some(answer.clone()),
                Some(None) => {}
                // Closed by another thread: nobody does that.
                None => return None,
            }
            let left = most.map_or(Duration::from_secs(3600), |most| most.saturating_sub(start.elapsed()));
            if left.is_zero() {
                return None;
            }
            waiting = self.answered.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Answers those that are still waited for.
    pub fn answer(&self, tickets: impl IntoIterator<Item = (u64, Result<Answer, CallError>)>) {
        let mut waiting = lock(&self.waiting);
        for (ticket, answer) in tickets {
            if let Some(place @ None) = waiting.get_mut(&ticket) {
                *place = Some(answer);
            }
        }
        drop(waiting);
        self.answered.notify_all();
    }

    /// Answers all that are waited for, and all that will be.
    pub fn answer_all(&self, error: &CallError) {
        lock(&self.ended).get_or_insert_with(|| error.clone());
        for place in lock(&self.waiting).values_mut() {
            place.get_or_insert_with(|| Err(error.clone()));
        }
        self.answered.notify_all();
    }

    /// A round is over: what every rank has now.
    pub fn learn(&self, report: &Report) {
        let (mut known, mut modules) = (write(&self.known), write(&self.modules));
        for (item, verdict) in &report.items {
            match (&item.what, verdict) {
                (What::Library(library), Verdict::Committed) => {
                    let Some(identity) = &library.identity else { continue };
                    let had = known.get(identity).copied();
                    known.insert(identity.clone(), had.map_or(library.flags, |had| had.joined(library.flags)));
                }
                (What::Module { name }, Verdict::Committed) => {
                    modules.insert(name.clone());
                }
                (What::Module { name }, Verdict::Undone(_)) => {
                    modules.remove(name);
                }
                (What::Unload(library), Verdict::Committed) => {
                    library.identity.as_ref().and_then(|identity| known.remove(identity));
                }
                (What::Library(library), Verdict::Undone(_)) => {
                    // Committed in an earlier pass, and revoked; or never.
                    let later = report.items.iter().any(|(other, verdict)| {
                        *verdict == Verdict::Committed
                            && other.library().is_some_and(|o| o.identity == library.identity)
                    });
                    if let (Some(identity), false) = (&library.identity, later) {
                        known.remove(identity);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether every rank with a Python has imported a module.
    pub fn knows_module(&self, name: &str) -> bool {
        read(&self.modules).contains(name)
    }

    /// Whether every rank has a library, with these flags.
    pub fn knows(&self, identity: &Identity, flags: OpenFlags) -> bool {
        read(&self.known).get(identity).is_some_and(|had| super::super::jobs::covers(*had, flags))
    }
}
