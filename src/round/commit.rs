//! After the verdict: visible or undone on this rank; then the next lane, the next pass, or the end.

use std::collections::VecDeque;

use super::{Ask, Job, Round, State};
use crate::comm::Collective;
use crate::outcome::{Cause, Failure, Verdict};
use crate::plan::{Item, Key, What};

impl Round {
    /// The job has made the verdict true on this rank.
    pub(super) fn settled(&mut self) -> Ask {
        if let Some(error) = self.failed.take() {
            return self.fail(error);
        }
        // Open libraries are left only for a second try; otherwise this goes on to the modules.
        self.load_native()
    }

    /// Every item has its verdict. What jobs recorded meanwhile is the next pass; the agreement that it exists was
    /// part of the last vote.
    pub(super) fn end_pass(&mut self) -> Ask {
        let items = std::mem::take(&mut self.plan.items);
        let verdicts = std::mem::take(&mut self.verdicts);
        self.names.extend(items.iter().map(|item| agreed_name(item, self.travelled)));
        self.report.items.extend(items.into_iter().zip(verdicts).filter_map(|(item, verdict)| Some((item, verdict?))));
        if std::mem::take(&mut self.again) {
            return self.gather();
        }
        self.conclude()
    }

    /// Nothing is left. What was committed but asked for something that failed is undone with it.
    pub(super) fn conclude(&mut self) -> Ask {
        if self.report.items.is_empty() {
            return self.end();
        }
        let revoke = self.undo_askers();
        self.ask_job(State::Concluding, Job::Conclude { revoke })
    }

    /// This rank has registered all of it; have the others?
    pub(super) fn concluded(&mut self) -> Ask {
        match self.confirms {
            true => self.ask_collective(State::Confirming, Collective::Max(vec![0])),
            false => self.end(),
        }
    }

    pub(super) fn end(&mut self) -> Ask {
        self.state = State::Finished;
        Ask::Done(Ok(std::mem::take(&mut self.report)))
    }

    /// Follows "asked for by" from what failed to what was committed, until nothing changes.
    fn undo_askers(&mut self) -> Vec<Item> {
        let items = &mut self.report.items;
        if items.iter().all(|(_, verdict)| *verdict == Verdict::Committed) {
            return Vec::new();
        }
        // Once each: a callback's key is a digest of its payload.
        let keys: Vec<Vec<Key>> = items.iter().map(|(item, _)| item_keys(item)).collect();
        let undone = |items: &[(Item, Verdict)], at: usize| items[at].1 != Verdict::Committed;
        let mut lost: VecDeque<usize> = (0..items.len()).filter(|&at| undone(items, at)).collect();
        let mut revoked: Vec<Item> = Vec::new();
        while let Some(failed) = lost.pop_front() {
            let (item, Verdict::Undone(causes)) = &items[failed] else { continue };
            let told: Vec<Cause> = causes.iter().map(|cause| asked_for(&self.names[failed], cause)).collect();
            let asked_by = item.asked_by.clone();
            let asks = |at: &usize| !undone(items, *at) && keys[*at].iter().any(|key| asked_by.contains(key));
            let askers: Vec<usize> = (0..items.len()).filter(asks).collect();
            for at in askers {
                items[at].1 = Verdict::Undone(told.clone());
                lost.push_back(at);
                if !revoked.iter().any(|known| known.same_as(&items[at].0)) {
                    revoked.push(items[at].0.clone());
                }
            }
        }
        revoked
    }
}

/// The keys under which code asks that an item brings: its own, and for a callback its library's as well.
pub(super) fn item_keys(item: &Item) -> Vec<Key> {
    let library = match &item.what {
        What::Callback(callback) => callback.library(),
        _ => None,
    };
    let library = library.map(|library| Item::new(What::Library(library), 0).place_key());
    std::iter::once(item.place_key()).chain(library).collect()
}

/// A name that is the same on every rank. A library that did not travel may have been spelled in other ways elsewhere.
fn agreed_name(item: &Item, travelled: bool) -> String {
    match item.library().and_then(|library| library.identity.as_ref()) {
        Some(identity) if !travelled => identity.name.clone(),
        _ => item.name().to_string(),
    }
}

/// A cause of the failure of what is called `name`, told to who asked for it.
fn asked_for(name: &str, cause: &Cause) -> Cause {
    let Failure { phase, message, traceback } = &cause.failure;
    // A long chain is cut in its middle.
    let told = Failure::new(*phase, format!("it asks for `{name}`: {message}"));
    Cause { failure: Failure { traceback: traceback.clone(), ..told }, ..cause.clone() }
}
