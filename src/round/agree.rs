//! Agreement on what is to be done, cheapest case first: nobody asks, all ask the same, one asks, they differ.
//!
//! It does not look at files: identities were found before, by the gather job.

use super::commit::item_keys;
use super::{Ask, Job, More, Round, State, bytes, words};
use crate::comm::{Agreed, Collective, Reply};
use crate::outcome::Verdict;
use crate::plan::{Item, Key, Plan, What};
use crate::wire::{self, WireError};

/// One allreduce with MAX tells it all: a value and its complement give the maximum and the minimum.
const WORDS: usize = 13;

impl Round {
    /// This rank's set is known: one allreduce of its digests.
    pub(super) fn agree(&mut self, plan: Plan) -> Ask {
        self.plan = plan;
        // By spelling, and spellings are no part of the digests: so before them, not after.
        self.plan.fold_unfound();
        self.drop_undone();
        let holds = !self.plan.items.is_empty();
        let (set, order) = self.plan.digests();
        let own_bytes = if holds { wire::encoded_len(&self.plan) as u64 } else { 0 };
        let rank = u64::from(self.rank);
        let words = vec![
            self.serial,
            !self.serial,
            set[0],
            !set[0],
            set[1],
            !set[1],
            order[0],
            !order[0],
            order[1],
            !order[1],
            // Highest and lowest rank that asks for anything; zero: nobody.
            if holds { rank + 1 } else { 0 },
            if holds { u64::MAX - rank } else { 0 },
            own_bytes,
        ];
        self.ask_collective(State::Agreeing, Collective::Max(words))
    }

    /// What an earlier pass of this call undid is not tried again, or a module that records itself and then fails would
    /// keep everybody here for ever; nor is what only undone items have asked for. Who else asks for what was undone must
    /// be known to all, so such an item travels once more. The list is agreed; dropping from this rank's own set is its own
    /// affair.
    fn drop_undone(&mut self) {
        let report = &self.report.items;
        if report.is_empty() {
            return;
        }
        let keys: Vec<Vec<Key>> = report.iter().map(|(item, _)| item_keys(item)).collect();
        let undone = |key: &Key| {
            let mut standing = keys.iter().zip(report).filter(|(keys, _)| keys.contains(key)).peekable();
            standing.peek().is_some() && standing.all(|(_, (_, verdict))| *verdict != Verdict::Committed)
        };
        let known = |item: &Item| {
            let knows =
                |known: &Item| known.same_as(item) && item.asked_by.iter().all(|key| known.asked_by.contains(key));
            report.iter().any(|(item, verdict)| *verdict != Verdict::Committed && knows(item))
        };
        self.plan.items.retain(|item| !known(item) && !item.is_orphan(undone));
    }

    /// What the plan has for the sake of those who ask for it alone: it was undone in an earlier pass. They may have spelled
    /// it in another way.
    fn adopt_askers(&mut self) {
        let report = &mut self.report.items;
        self.plan.items.retain(|item| {
            let mut new = true;
            for (known, _) in
                report.iter_mut().filter(|(known, verdict)| *verdict != Verdict::Committed && known.same_as(item))
            {
                new = false;
                let unknown: Vec<Key> =
                    item.asked_by.iter().filter(|key| !known.asked_by.contains(key)).copied().collect();
                known.asked_by.extend(unknown);
                if let (What::Library(known), What::Library(again)) | (What::Unload(known), What::Unload(again)) =
                    (&mut known.what, &item.what)
                {
                    let unknown = again.spellings.iter().filter(|spelling| !known.spellings.contains(spelling));
                    let unknown: Vec<String> = unknown.cloned().collect();
                    known.spellings.extend(unknown);
                }
            }
            new
        });
    }

    /// Which of the four cases is it?
    pub(super) fn classify(&mut self, reply: Agreed<Reply>) -> Ask {
        let words = match words::<WORDS>(&reply) {
            Ok(words) => words,
            Err(error) => return self.fail(error),
        };
        let same = |at: usize| words[at] == !words[at + 1];
        if !same(0) {
            return self.fail(WireError::Malformed("ranks are in different rounds of this session"));
        }
        let (highest, lowest) = (words[10], u64::MAX - words[11]);
        if highest == 0 {
            return self.conclude();
        }
        self.report.rounds += 1;
        let (same_set, same_order) = (same(2) && same(4), same(6) && same(8));
        if same_set {
            // Equal identities were compared by digest, so nothing is left to exchange or to stage.
            if !same_order {
                self.plan.sort_canonically();
            }
            self.plan.items.iter_mut().for_each(|item| item.holders = crate::ranks::RankSet::all(self.size));
            self.travelled = false;
            return self.begin_plan(false);
        }
        let len = usize::try_from(words[12]).unwrap_or(usize::MAX);
        if len > wire::MOST_BYTES {
            return self.fail(WireError::TooLarge(len));
        }
        if highest - 1 == lowest {
            let root = lowest as u32;
            let own = (root == self.rank).then(|| wire::encode(&self.plan));
            return self
                .ask_collective(State::Exchanging { merged: false }, Collective::Broadcast { root, len, bytes: own });
        }
        let own = wire::encode(&self.plan);
        self.ask_collective(
            State::Exchanging { merged: true },
            Collective::Merge { bytes: own, with: wire::merge_plans },
        )
    }

    /// The plan of all ranks has arrived.
    pub(super) fn adopt(&mut self, reply: Agreed<Reply>, merged: bool) -> Ask {
        let plan = bytes(reply).and_then(|bytes| wire::decode::<Plan>(&bytes, self.size));
        self.plan = match plan {
            Ok(plan) => plan,
            Err(error) => return self.fail(error),
        };
        if merged {
            self.plan.fold_unfound();
        }
        self.travelled = true;
        self.begin_plan(true)
    }

    /// The plan is the same everywhere now. What cannot succeed has its verdict already.
    fn begin_plan(&mut self, stage: bool) -> Ask {
        self.adopt_askers();
        self.verdicts = vec![None; self.plan.items.len()];
        self.refuse_invalid();
        self.refuse_endless_and_ambiguous();
        self.again = false;
        self.more = More::default();
        if stage {
            let libraries = self.open_items(Item::is_native);
            if !libraries.is_empty() {
                return self.ask_job(State::Staging, Job::Stage(libraries));
            }
        }
        self.load_native()
    }
}
