//! One lane of a session in service mode, on one rank: who starts a round, and when; a state machine without I/O.
//!
//! The rounds are those of [`crate::round`]; nothing here agrees on anything. Rounds of a lane are numbered, and every rank
//! takes part in every one. A rank that wants something starts the next round by itself and rings rank 0, which wakes the
//! others down a tree; whoever is woken starts it, too. A round collects what every rank wants by then, so that any number
//! of callers share it. A ring or a wake that comes twice, late, or early changes nothing.

use crate::ranks::RankSet;
use crate::round::{Ask, Given, Round};

/// What ranks tell each other about a lane; the number is that of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// To rank 0: somebody wants this round.
    Ring(u64),
    /// Down the tree: start it.
    Wake(u64),
}

/// What a driver does for a lane.
pub enum Act {
    /// Send this.
    Tell {
        /// Receiver.
        to: u32,
        /// What.
        word: Word,
    },
    /// The round asks; the answer goes to [`Lane::given`]. After [`Ask::Done`] the lane is idle, or in the next round.
    Ask(Ask),
}

/// A lane on one rank.
pub struct Lane {
    rank: u32,
    size: u32,
    below: Vec<u32>,
    /// Rounds that are over.
    over: u64,
    /// The latest round that somebody is known to want.
    wanted: u64,
    /// The latest round that this rank has woken those below it for.
    woken: u64,
    round: Option<Round>,
}

impl Lane {
    /// Of rank `rank` of `size`; `below` are the ranks that it wakes, see [`below`].
    pub fn new(rank: u32, size: u32, below: Vec<u32>) -> Self {
        Lane { rank, size, below, over: 0, wanted: 0, woken: 0, round: None }
    }

    /// The round that this rank is in.
    pub fn round(&self) -> Option<&Round> {
        self.round.as_ref()
    }

    /// This rank has something that no round has taken. (During a round it can wait: no other starts without this rank.)
    pub fn want(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.round.is_none() {
            let next = self.over + 1;
            if self.rank != 0 && self.wanted < next {
                acts.push(Act::Tell { to: 0, word: Word::Ring(next) });
            }
            self.wanted = self.wanted.max(next);
            self.go_on(&mut acts);
        }
        acts
    }

    /// Another rank says something.
    pub fn hear(&mut self, word: Word) -> Vec<Act> {
        let mut acts = Vec::new();
        // No rank can be two rounds ahead of another: what says so is malformed.
        let (Word::Ring(number) | Word::Wake(number)) = word;
        if number <= self.over + 2 {
            if matches!(word, Word::Wake(_)) {
                self.wake(number, &mut acts);
            }
            self.wanted = self.wanted.max(number);
            self.go_on(&mut acts);
        }
        acts
    }

    /// The answer to the last ask.
    pub fn given(&mut self, given: Given) -> Vec<Act> {
        let mut acts = Vec::new();
        if let Some(round) = &mut self.round {
            let ask = round.step(given);
            let is_over = matches!(ask, Ask::Done(_));
            acts.push(Act::Ask(ask));
            if is_over {
                self.round = None;
                self.over += 1;
            }
        }
        acts
    }

    /// After a round is over, and what it came to has been dealt with: the next one, if it is wanted.
    pub fn again(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        self.go_on(&mut acts);
        acts
    }

    fn go_on(&mut self, acts: &mut Vec<Act>) {
        if self.round.is_some() || self.wanted <= self.over {
            return;
        }
        if self.rank == 0 {
            self.wake(self.over + 1, acts);
        }
        let round = self.round.insert(Round::new(self.rank, self.size, self.over + 1).confirmed());
        acts.push(Act::Ask(round.step(Given::Start)));
    }

    fn wake(&mut self, number: u64, acts: &mut Vec<Act>) {
        if self.woken < number {
            self.woken = number;
            acts.extend(self.below.iter().map(|&to| Act::Tell { to, word: Word::Wake(number) }));
        }
    }
}

/// The ranks that `rank` wakes: a binomial tree over the first ranks of all places, and one over the ranks of each place.
/// `places` are disjoint and hold every rank; rank 0 is the root.
pub fn below(rank: u32, places: &[RankSet]) -> Vec<u32> {
    let members: Vec<Vec<u32>> =
        places.iter().map(|place| place.iter().collect()).filter(|ranks: &Vec<u32>| !ranks.is_empty()).collect();
    let mut firsts: Vec<u32> = members.iter().map(|ranks| ranks[0]).collect();
    firsts.sort_unstable();
    let home = members.iter().find(|ranks| ranks.contains(&rank));
    let mut below = children_of(rank, &firsts);
    below.extend(home.map(|ranks| children_of(rank, ranks)).unwrap_or_default());
    below
}

/// In a binomial tree over `ranks`, in ascending order, whose root is the first; farthest first, because most hangs on it.
fn children_of(rank: u32, ranks: &[u32]) -> Vec<u32> {
    let Ok(at) = ranks.binary_search(&rank) else { return Vec::new() };
    let most = if at == 0 { usize::BITS - 1 } else { at.trailing_zeros() };
    let children = (0..most).map(|bit| at + (1 << bit)).take_while(|&child| child < ranks.len());
    let mut children: Vec<u32> = children.map(|child| ranks[child]).collect();
    children.reverse();
    children
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranks: &[u32]) -> RankSet {
        ranks.iter().copied().collect()
    }

    #[test]
    fn every_rank_is_woken_once() {
        let places = [
            vec![set(&[0, 1, 2, 3, 4, 5, 6])],
            vec![set(&[1, 3, 5]), set(&[0, 2, 4, 6])],
            vec![set(&[6]), set(&[5]), set(&[0, 1, 2, 3, 4])],
        ];
        for places in &places {
            let mut woken: Vec<u32> = (0..7).flat_map(|rank| below(rank, places)).collect();
            woken.sort_unstable();
            assert_eq!(woken, [1, 2, 3, 4, 5, 6], "{places:?}");
        }
    }

    /// Delivers words until nobody says anything; how many were sent, and which ranks are in a round.
    fn settle(lanes: &mut [Lane], mut acts: Vec<(u32, Act)>) -> (usize, Vec<bool>) {
        let mut sent = 0;
        while let Some((_, act)) = acts.pop() {
            if let Act::Tell { to, word } = act {
                sent += 1;
                acts.extend(lanes[to as usize].hear(word).into_iter().map(|act| (to, act)));
            }
        }
        (sent, lanes.iter().map(|lane| lane.round().is_some()).collect())
    }

    #[test]
    fn one_rank_or_all_of_them_start_one_round_everywhere() {
        let ranks = set(&(0..64).collect::<Vec<u32>>());
        for callers in [vec![17], vec![0], (0..64).collect::<Vec<u32>>()] {
            let mut lanes: Vec<Lane> =
                (0..64).map(|rank| Lane::new(rank, 64, below(rank, std::slice::from_ref(&ranks)))).collect();
            let mut acts = Vec::new();
            for &caller in &callers {
                acts.extend(lanes[caller as usize].want().into_iter().map(|act| (caller, act)));
            }
            let (sent, rounds) = settle(&mut lanes, acts);
            assert!(rounds.iter().all(|in_round| *in_round));
            // A wake for all but rank 0, and a ring of each caller but rank 0.
            assert_eq!(sent, 63 + callers.iter().filter(|&&caller| caller != 0).count());
            assert!(lanes.iter().all(|lane| lane.wanted == 1));
        }
    }

    #[test]
    fn what_says_an_impossible_round_is_not_heard() {
        let mut lane = Lane::new(1, 2, Vec::new());
        assert!(lane.hear(Word::Wake(3)).is_empty() && lane.hear(Word::Ring(u64::MAX)).is_empty());
        assert!(lane.hear(Word::Wake(0)).is_empty());
        assert!(lane.round().is_none());
    }
}
