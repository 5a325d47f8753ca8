//! After the verdict: visible or undone on this rank; then the next lane, the next pass, or the end.

use super::{Ask, Job, Round, State};
use crate::outcome::{Cause, Failure, Verdict};
use crate::plan::Item;

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

    pub(super) fn end(&mut self) -> Ask {
        self.state = State::Finished;
        Ask::Done(Ok(std::mem::take(&mut self.report)))
    }

    /// Follows "asked for by" from what failed to what was committed, until nothing changes.
    fn undo_askers(&mut self) -> Vec<Item> {
        let mut revoked = Vec::new();
        loop {
            let items = &self.report.items;
            let blame = items.iter().find_map(|(failed, verdict)| {
                let Verdict::Undone(causes) = verdict else { return None };
                let asker = items.iter().position(|(item, verdict)| {
                    *verdict == Verdict::Committed && failed.asked_by.contains(&item.place_key())
                })?;
                let told = causes.iter().map(|cause| {
                    let message = format!("it asks for `{}`: {}", failed.name(), cause.failure.message);
                    let failure = Failure { message, ..cause.failure.clone() };
                    Cause { failure, ..cause.clone() }
                });
                Some((asker, told.collect()))
            });
            let Some((asker, causes)) = blame else { return revoked };
            self.report.items[asker].1 = Verdict::Undone(causes);
            revoked.push(self.report.items[asker].0.clone());
        }
    }
}
