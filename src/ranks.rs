//! Sets of ranks, folded into ranges so that "ranks 3-5, 17" costs two pairs however many ranks there are.
//!
//! A set does not know the size of its communicator; [`RankSet::within`] checks one that came off the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of ranks of one communicator, kept as sorted, disjoint, inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u32, u32)>", into = "Vec<(u32, u32)>")]
pub struct RankSet(Vec<(u32, u32)>);

impl RankSet {
    /// The set of one rank.
    pub fn one(rank: u32) -> Self {
        RankSet(vec![(rank, rank)])
    }

    /// The ranks `0..size`.
    pub fn all(size: u32) -> Self {
        match size.checked_sub(1) {
            Some(last) => RankSet(vec![(0, last)]),
            None => RankSet::default(),
        }
    }

    /// Adds one rank.
    pub fn insert(&mut self, rank: u32) {
        if !self.contains(rank) {
            self.union(&RankSet::one(rank));
        }
    }

    /// Adds every rank of `other`.
    pub fn union(&mut self, other: &RankSet) {
        let mut ranges = std::mem::take(&mut self.0);
        ranges.extend_from_slice(&other.0);
        ranges.sort_unstable();
        for (first, last) in ranges {
            match self.0.last_mut() {
                Some(open) if first <= open.1.saturating_add(1) => open.1 = open.1.max(last),
                _ => self.0.push((first, last)),
            }
        }
    }

    /// Whether `rank` is in the set.
    pub fn contains(&self, rank: u32) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&rank))
    }

    /// The lowest rank.
    pub fn first(&self) -> Option<u32> {
        self.0.first().map(|range| range.0)
    }

    /// How many ranks.
    pub fn len(&self) -> usize {
        self.0.iter().map(|&(first, last)| (last - first) as usize + 1).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranks in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|&(first, last)| first..=last)
    }

    /// Whether every rank is below `size`: a set from the wire is used only when it is.
    pub fn within(&self, size: u32) -> bool {
        self.0.last().is_none_or(|range| range.1 < size)
    }
}

impl FromIterator<u32> for RankSet {
    fn from_iter<I: IntoIterator<Item = u32>>(ranks: I) -> Self {
        let mut ranks: Vec<u32> = ranks.into_iter().collect();
        ranks.sort_unstable();
        let mut set = RankSet::default();
        for rank in ranks {
            match set.0.last_mut() {
                Some(open) if rank <= open.1.saturating_add(1) => open.1 = open.1.max(rank),
                _ => set.0.push((rank, rank)),
            }
        }
        set
    }
}

impl TryFrom<Vec<(u32, u32)>> for RankSet {
    type Error = &'static str;

    fn try_from(ranges: Vec<(u32, u32)>) -> Result<Self, Self::Error> {
        let ordered = ranges.iter().all(|&(first, last)| first <= last)
            && ranges.windows(2).all(|pair| pair[0].1 < pair[1].0.saturating_sub(1));
        if ordered { Ok(RankSet(ranges)) } else { Err("rank ranges out of order") }
    }
}

impl From<RankSet> for Vec<(u32, u32)> {
    fn from(set: RankSet) -> Self {
        set.0
    }
}

/// "rank 3", "ranks 3-5, 17".
impl fmt::Display for RankSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.len() == 1 { "rank " } else { "ranks " })?;
        for (place, &(first, last)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first}, {last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_fold_into_one_range() {
        let set: RankSet = [17, 4, 3, 5].into_iter().collect();
        assert_eq!(set.to_string(), "ranks 3-5, 17");
        assert_eq!(set.len(), 4);
        assert_eq!(RankSet::one(3).to_string(), "rank 3");
    }

    #[test]
    fn union_is_the_same_in_any_order() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let some: Vec<u32> = (0..random.u32(0..20)).map(|_| random.u32(0..40)).collect();
            let more: Vec<u32> = (0..random.u32(0..20)).map(|_| random.u32(0..40)).collect();
            let whole: RankSet = some.iter().chain(&more).copied().collect();
            let mut one: RankSet = some.iter().copied().collect();
            one.union(&more.iter().copied().collect());
            let mut other = RankSet::default();
            more.iter().chain(&some).for_each(|&rank| other.insert(rank));
            assert_eq!(one, whole);
            assert_eq!(other, whole);
            assert!(RankSet::try_from(Vec::from(whole)).is_ok());
        }
    }

    #[test]
    fn ranges_out_of_order_are_refused() {
        for bad in [vec![(3, 2)], vec![(4, 5), (1, 2)], vec![(1, 2), (3, 4)], vec![(1, 5), (2, 3)]] {
            assert!(RankSet::try_from(bad).is_err());
        }
        assert!(!RankSet::one(4).within(4));
    }
}
