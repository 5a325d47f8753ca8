//! Outcomes of all ranks become one verdict per item. This collective is the barrier: nothing is visible before it.

use super::{Ask, Job, Round, State, read_failures, words};
use crate::comm::{Agreed, Reply};
use crate::outcome::{Failure, Failures, Verdict};
use crate::plan::{Item, What};
use crate::request::OpenFlags;

impl Round {
    /// One allreduce: did anything fail anywhere, and has anybody recorded something meanwhile?
    pub(super) fn decide_vote(&mut self, failed: Vec<(u32, Failure)>, more: bool) -> Ask {
        self.note(failed);
        self.more |= more;
        self.vote(State::DecideVote, vec![self.mine.causes.len() as u64, u64::from(self.more)])
    }

    pub(super) fn decide_counted(&mut self, reply: Agreed<Reply>) -> Ask {
        match words::<2>(&reply) {
            Ok([failed, more]) => {
                self.again |= more != 0;
                match failed {
                    0 => self.settle(&Failures::default()),
                    _ => self.ask_causes(State::DecideCauses),
                }
            }
            Err(error) => self.fail(error),
        }
    }

    pub(super) fn decided(&mut self, reply: Agreed<Reply>) -> Ask {
        match read_failures(reply, self.size, self.plan.items.len()) {
            Ok(failures) => self.settle(&failures),
            Err(error) => self.fail(error),
        }
    }

    /// From agreed failures alone: what of the batch is committed, what is undone, what is tried once more.
    fn settle(&mut self, failures: &Failures) -> Ask {
        let batch = std::mem::take(&mut self.batch);
        let (undone, committed): (Vec<u32>, Vec<u32>) = batch.into_iter().partition(|&index| failures.hit(index));
        // A library may have missed symbols of one that becomes GLOBAL only now: as in a program that opens the one
        // after the other, it gets its chance. Every pass makes something GLOBAL, so this ends.
        let now_global = committed.iter().any(|&index| match self.item(index).map(|item| &item.what) {
            Some(What::Library(library)) => library.flags.contains(OpenFlags::GLOBAL),
            _ => false,
        });
        let retry = now_global && !undone.is_empty();
        for &index in &committed {
            self.verdicts[index as usize] = Some(Verdict::Committed);
        }
        if !retry {
            self.undo_failed(failures);
        }
        let pick =
            |indices: &[u32]| -> Vec<Item> { indices.iter().filter_map(|&index| self.item(index)).cloned().collect() };
        let job = Job::Settle { commit: pick(&committed), undo: pick(&undone) };
        self.ask_job(State::Settling, job)
    }
}
