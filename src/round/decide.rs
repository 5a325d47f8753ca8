//! Outcomes of all ranks become one verdict per item. This collective is the barrier: nothing is visible before it.

use super::{Ask, Growth, Job, More, Round, State, read_failures, words};
use crate::comm::{Agreed, Reply};
use crate::error::Phase;
use crate::outcome::{Cause, Failure, Failures, Verdict};
use crate::plan::{Item, What};
use crate::request::OpenFlags;
use crate::task::Shapes;

impl Round {
    /// One allreduce: did anything fail anywhere, has anybody recorded something meanwhile, and have plugins registered
    /// the same on every rank?
    pub(super) fn decide_vote(&mut self, failed: Vec<(u32, Failure)>, more: More, shapes: Shapes) -> Ask {
        self.note(failed);
        self.more.here |= more.here;
        self.more.beyond |= more.beyond;
        self.notes = shapes.notes;
        let (fresh, old) = (shapes.fresh, shapes.old);
        let More { here, beyond } = self.more;
        let failed = self.mine.causes.len() as u64;
        let words = vec![failed, u64::from(here), u64::from(beyond), fresh, !fresh, old, !old];
        self.vote(State::DecideVote, words)
    }

    pub(super) fn decide_counted(&mut self, reply: Agreed<Reply>) -> Ask {
        match words::<7>(&reply) {
            Ok([failed, more, beyond, fresh, not_fresh, old, not_old]) => {
                self.report.beyond |= beyond != 0;
                self.again |= more != 0;
                let old_differ = old != !not_old;
                self.growth = if old_differ { Growth::Differs(Vec::new()) } else { Growth::Agreed };
                let same = fresh == !not_fresh && !old_differ;
                #[cfg(test)]
                let same = same || (self.skip_compare_when_unchanged && self.notes.is_empty());
                if failed == 0 && same {
                    return self.settle(&Failures::default());
                }
                if !same {
                    for (index, note) in std::mem::take(&mut self.notes) {
                        self.mine.add(index, note, self.rank);
                    }
                }
                self.ask_causes(State::DecideCauses)
            }
            Err(error) => self.fail(error),
        }
    }

    pub(super) fn decided(&mut self, reply: Agreed<Reply>) -> Ask {
        match read_failures(reply, self.size, self.plan.items.len()) {
            Ok(mut failures) => {
                failures.causes.retain(|cause| !is_note(cause) || cause.ranks.len() < self.size as usize);
                if let Growth::Differs(notes) = &mut self.growth {
                    let differing = failures.causes.iter().filter(|cause| is_note(cause));
                    notes.extend(differing.map(|cause| cause.failure.message.clone()));
                }
                // What came from elsewhere fails nobody's request.
                failures.causes.retain(|cause| cause.failure.phase != Phase::Growth);
                self.leave_out(&mut failures);
                self.settle(&without_notes_of_failed(failures))
            }
            Err(error) => self.fail(error),
        }
    }

    /// A rank without a Python is no failure, unless no rank has one.
    fn leave_out(&mut self, failures: &mut Failures) {
        let without = |cause: &Cause| cause.failure.phase == Phase::Skip && cause.ranks.len() < self.size as usize;
        for cause in failures.causes.extract_if(.., |cause| without(cause)) {
            if let Some(item) = self.plan.items.get(cause.item as usize) {
                self.report.skipped.push((item.clone(), cause.ranks));
            }
        }
    }

    /// From agreed failures alone: what of the batch is committed, what is undone, what is tried once more.
    fn settle(&mut self, failures: &Failures) -> Ask {
        let batch = std::mem::take(&mut self.batch);
        let (undone, committed): (Vec<u32>, Vec<u32>) = batch.into_iter().partition(|&index| failures.hit(index));
        // A library may have missed symbols of one that becomes GLOBAL only now: as in a program that opens the one
        // after the other, it gets its chance. Every pass makes something GLOBAL, so this ends. A callback has had its
        // chance: it runs once.
        let now_global = committed.iter().any(|&index| match self.item(index).map(|item| &item.what) {
            Some(What::Library(library)) => library.flags.contains(OpenFlags::GLOBAL),
            _ => false,
        });
        for &index in &committed {
            self.verdicts[index as usize] = Some(Verdict::Committed);
        }
        let for_good = |cause: &&Cause| !now_global || cause.failure.phase != Phase::Open;
        let lost: Vec<u32> = failures.causes.iter().filter(for_good).map(|cause| cause.item).collect();
        self.undo_failed(failures, |index| lost.contains(&index));
        let growth = std::mem::replace(&mut self.growth, Growth::Unknown);
        let pick =
            |indices: &[u32]| -> Vec<Item> { indices.iter().filter_map(|&index| self.item(index)).cloned().collect() };
        let job = Job::Settle { commit: pick(&committed), undo: pick(&undone), growth };
        self.ask_job(State::Settling, job)
    }
}

/// Not a failure, but what a rank has, to be compared: what all ranks say is dropped.
fn is_note(cause: &Cause) -> bool {
    matches!(cause.failure.phase, Phase::Compare | Phase::Growth)
}

/// Where an item failed by itself on some rank, there is nothing to compare.
fn without_notes_of_failed(mut failures: Failures) -> Failures {
    let failed: Vec<u32> = failures.causes.iter().filter(|cause| !is_note(cause)).map(|cause| cause.item).collect();
    failures.causes.retain(|cause| !is_note(cause) || !failed.contains(&cause.item));
    failures
}
