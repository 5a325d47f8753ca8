//! The outcomes of all ranks, and the one verdict that follows from them.
//!
//! A failure is a value that goes into the next collective. Nothing here is an error to be returned.

use serde::{Deserialize, Serialize};

use crate::error::Phase;
use crate::ranks::RankSet;

/// Bytes of a message that travel; the rest is cut.
const MOST_MESSAGE: usize = 4 << 10;
/// Bytes of a traceback that travel; the middle is cut.
const MOST_TRACEBACK: usize = 16 << 10;

/// Different causes whose texts travel. Thousands of ranks may each have a message of their own.
const MOST_CAUSES: usize = 512;
const LEFT_OUT: &str = "failed, too; there are too many different messages to show them all";

/// Why one item failed on this rank.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// Where.
    pub phase: Phase,
    /// What the loader, Python or the system said.
    pub message: String,
    /// Of a module body.
    pub traceback: Option<String>,
}

impl Failure {
    /// A failure without a traceback.
    pub fn new(phase: Phase, message: impl Into<String>) -> Self {
        Failure { phase, message: cut(message.into(), MOST_MESSAGE), traceback: None }
    }

    /// A module body that raised.
    pub fn import(message: impl Into<String>, traceback: Option<String>) -> Self {
        let traceback = traceback.map(|text| cut(text, MOST_TRACEBACK));
        Failure { traceback, ..Failure::new(Phase::Import, message) }
    }
}

/// Keeps both ends of a long text.
fn cut(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let head = (0..=most / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let tail = (text.len() - most / 2..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    format!("{}\n[{} bytes left out]\n{}", &text[..head], tail - head, &text[tail..])
}

/// One cause of one item's failure, with the ranks that share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Index into the plan.
    pub item: u32,
    /// What happened.
    pub failure: Failure,
    /// Where it happened.
    pub ranks: RankSet,
}

/// The failures of one phase: of one rank, or, after merging, of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// In the order of the ranks that first had them.
    pub causes: Vec<Cause>,
}

impl Failures {
    /// Notes that `item` failed on `rank`.
    pub fn add(&mut self, item: u32, failure: Failure, rank: u32) {
        self.absorb(Cause { item, failure, ranks: RankSet::one(rank) });
    }

    fn absorb(&mut self, mut cause: Cause) {
        // What is compared is no failure yet, and must stay comparable: there is one text for each plugin.
        let may_be_left_out = !matches!(cause.failure.phase, Phase::Compare | Phase::Growth);
        if may_be_left_out && self.causes.len() >= MOST_CAUSES && self.equal_to(&cause).is_none() {
            // Every failing rank is still named.
            cause.failure = Failure { message: LEFT_OUT.into(), traceback: None, ..cause.failure };
        }
        match self.equal_to(&cause) {
            Some(known) => known.ranks.union(&cause.ranks),
            None => self.causes.push(cause),
        }
    }

    fn equal_to(&mut self, cause: &Cause) -> Option<&mut Cause> {
        self.causes.iter_mut().find(|known| known.item == cause.item && known.failure == cause.failure)
    }

    /// The union, equal causes folded.
    #[must_use]
    pub fn merged(mut self, other: Failures) -> Failures {
        other.causes.into_iter().for_each(|cause| self.absorb(cause));
        self
    }

    /// Whether nothing failed.
    pub fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }

    /// Whether `item` failed anywhere.
    pub fn hit(&self, item: u32) -> bool {
        self.causes.iter().any(|cause| cause.item == item)
    }
}

/// The agreed outcome of one item: the same value on every rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// On every rank.
    Committed,
    /// On none, for these causes.
    Undone(Vec<Cause>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_causes_fold_over_the_ranks() {
        let mut all = Failures::default();
        for rank in [5, 3, 4] {
            let mut one = Failures::default();
            one.add(0, Failure::new(Phase::Open, "no such file"), rank);
            all = all.merged(one);
        }
        assert_eq!(all.causes.len(), 1);
        assert_eq!(all.causes[0].ranks.to_string(), "ranks 3-5");
        assert!(all.hit(0) && !all.hit(1));
    }

    #[test]
    fn many_different_messages_still_name_every_rank() {
        let all = (0..3_000).fold(Failures::default(), |all, rank| {
            let mut one = Failures::default();
            one.add(0, Failure::new(Phase::Open, format!("message {rank}")), rank);
            all.merged(one)
        });
        assert_eq!(all.causes.len(), MOST_CAUSES + 1);
        assert_eq!(all.causes.iter().map(|cause| cause.ranks.len()).sum::<usize>(), 3_000);
    }

    #[test]
    fn a_long_text_keeps_both_ends() {
        let text = format!("first{}last", "ü".repeat(9_000));
        let failure = Failure::new(Phase::Open, text);
        assert!(failure.message.len() < MOST_MESSAGE + 64);
        assert!(failure.message.starts_with("first") && failure.message.ends_with("last"));
    }
}
