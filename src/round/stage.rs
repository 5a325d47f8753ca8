//! Has every rank a file of the agreed identity? What has not is undone before anything is opened anywhere.

use super::{Ask, Round, State, read_failures, words};
use crate::comm::{Agreed, Collective, Reply};
use crate::outcome::{Failure, Failures};
use crate::plan::Item;
use crate::wire;

impl Round {
    /// The items of a lane that have no verdict, with their indices.
    pub(super) fn open_items(&self, lane: fn(&Item) -> bool) -> Vec<(u32, Item)> {
        let items = self.plan.items.iter().zip(0..);
        items
            .filter(|&(item, index)| lane(item) && self.is_open(index))
            .map(|(item, index)| (index, item.clone()))
            .collect()
    }

    /// How many items failed here: the maximum tells whether any rank has something to say.
    pub(super) fn stage_vote(&mut self, failed: Vec<(u32, Failure)>) -> Ask {
        self.note(failed);
        self.vote(State::StageVote, vec![self.mine.causes.len() as u64])
    }

    pub(super) fn stage_counted(&mut self, reply: Agreed<Reply>) -> Ask {
        match words::<1>(&reply) {
            Ok([0]) => self.load_native(),
            Ok(_) => self.ask_causes(State::StageCauses),
            Err(error) => self.fail(error),
        }
    }

    pub(super) fn staged(&mut self, reply: Agreed<Reply>) -> Ask {
        match read_failures(reply, self.size, self.plan.items.len()) {
            Ok(failures) => {
                self.undo_failed(&failures, |_| true);
                self.load_native()
            }
            Err(error) => self.fail(error),
        }
    }

    /// Replaces the failures of this rank by those of the phase that just ended.
    pub(super) fn note(&mut self, failed: Vec<(u32, Failure)>) {
        self.mine = Failures::default();
        for (index, failure) in failed {
            self.mine.add(index, failure, self.rank);
        }
    }

    /// The allreduce that ends a phase.
    pub(super) fn vote(&mut self, state: State, words: Vec<u64>) -> Ask {
        #[cfg(test)]
        if self.skip_vote_on_failure && !self.mine.is_empty() {
            return self.ask_causes(State::DecideCauses);
        }
        self.ask_collective(state, Collective::Max(words))
    }

    /// Somebody failed: everybody hears who and why.
    pub(super) fn ask_causes(&mut self, state: State) -> Ask {
        let bytes = wire::encode(&self.mine);
        self.ask_collective(state, Collective::Merge { bytes, with: wire::merge_failures })
    }
}
