//! Every phase, on every rank of one to eight, with every fault of that phase; and damaged shares.

use super::oracle::check;
use super::scenario::{Importing, OTHER, Opening, Rank, Scenario, global, library, module, path};
use super::thing::Thing;
use crate::comm::sim::{Broadcasts, Damage, Fault};
use crate::error::Phase;
use crate::outcome::{Failures, Verdict};
use crate::plan::Plan;
use crate::ranks::RankSet;
use crate::wire::{Message, WireError};

/// The library and the module that fail; their neighbours are good.
const BAD: &str = "bad";

/// Makes one rank different.
type Change = fn(&mut Rank);

/// What can go wrong on one rank, in which phase, to the library or the module.
const FAULTS: [(Phase, Change); 6] = [
    // Neither here nor under another path.
    (Phase::Stage, |rank| rank.files.retain(|_, content| *content != 0)),
    (Phase::Stage, |rank| {
        rank.files.values_mut().filter(|content| **content == 0).for_each(|content| *content = OTHER)
    }),
    // Not where it was asked for, but found by its identity: no fault in the end.
    (Phase::Resolve, |rank| rank.files.retain(|place, content| *content != 0 || *place != path(0))),
    (Phase::Open, |rank| rank.openings.extend([(0, Opening::Fails)])),
    (Phase::Open, |rank| rank.openings.extend([(0, Opening::Panics)])),
    (Phase::Import, |rank| rank.importings.extend([(BAD.into(), Importing::Raises)])),
];

/// Everybody, one rank, or two with different sets.
pub fn askers(size: u32) -> Vec<Vec<u32>> {
    let one_each = (0..size).map(|rank| vec![rank]);
    one_each.chain([(0..size).collect(), vec![0, size - 1]]).collect()
}

/// Ranks that want a bad and a good library and a bad and a good module; the last asker one library more.
fn wanting(size: u32, askers: &[u32], seed: u64) -> Scenario {
    let wishes = [library(0), global(1), module(BAD), module("good")];
    let scenario = wishes.into_iter().fold(Scenario::of(size, 3, seed), |all, wish| all.want(askers.to_vec(), wish));
    match askers.len() {
        2 => scenario.want([askers[1]], library(2)),
        _ => scenario,
    }
}

#[test]
fn every_fault_of_every_phase_on_every_rank_is_named_and_undoes_nothing_else() {
    for size in 1..=8 {
        for (rank, askers) in (0..size).flat_map(|rank| askers(size).into_iter().map(move |askers| (rank, askers))) {
            for (number, (phase, fault)) in FAULTS.into_iter().enumerate() {
                let seed = u64::from(rank) + number as u64;
                // The oracle works out the phases and the failing ranks.
                let run = check(&wanting(size, &askers, seed).on(rank, fault));
                for good in [Thing::Library(1), Thing::Module("good".into())] {
                    assert_eq!(run.verdict(&good), Verdict::Committed);
                }
                let bad = match phase {
                    Phase::Import => Thing::Module(BAD.into()),
                    // The only one to ask does not find it, or finds another: the others never hear of the right one.
                    Phase::Stage | Phase::Resolve if askers.iter().all(|&asker| asker == rank) => continue,
                    _ => Thing::Library(0),
                };
                match run.verdict(&bad) {
                    Verdict::Committed => assert_eq!(phase, Phase::Resolve),
                    Verdict::Undone(causes) => {
                        assert_eq!((&causes[0].ranks, causes[0].failure.phase), (&RankSet::one(rank), phase));
                        assert_eq!(causes.len(), 1);
                    }
                }
            }
        }
    }
}

/// A share damaged so that no decoder can take it for a message: in its head, or cut short.
fn unreadable() -> impl Iterator<Item = Damage> {
    let head = (0..5).map(|at| Damage::Flip { at, mask: 0x40 });
    head.chain([0, 1, 4, 5, 6, 11, 40].map(|to| Damage::Truncate { to }))
}

/// Runs with one rank's share of one kind damaged; whether the damage happened, and what every rank was told.
fn damaged(scenario: &Scenario, rank: u32, kind: u8, damage: Damage) -> Option<Result<(), WireError>> {
    let scenario = Scenario { faults: vec![Fault { rank, kind, damage }], ..scenario.clone() };
    // The oracle holds every rank to the same result.
    let run = check(&scenario);
    let ended = run.ranks[0].ended.clone().expect("not ended");
    (run.world.damaged() > 0).then(|| ended.map(drop))
}

#[test]
fn an_unreadable_share_of_any_rank_ends_the_round_for_all() {
    for size in 1..=8 {
        for (rank, askers) in (0..size).flat_map(|rank| askers(size).into_iter().map(move |askers| (rank, askers))) {
            // Somebody fails, so that causes are collected, too.
            let scenario = wanting(size, &askers, u64::from(rank)).on(0, FAULTS[3].1);
            for damage in unreadable() {
                for kind in [Plan::KIND, Failures::KIND] {
                    let ended = damaged(&scenario, rank, kind, damage);
                    assert!(!matches!(ended, Some(Ok(()))), "{size} ranks, {rank}, kind {kind}, {damage:?}");
                    // Causes come from every rank; a plan only from a root, or where sets differ.
                    assert!(ended.is_some() || kind == Plan::KIND);
                }
            }
        }
    }
}

#[test]
fn a_share_with_any_byte_changed_divides_nobody() {
    let mut read = 0;
    for size in 2..=3 {
        let scenario = wanting(size, &[0, size - 1], 1).on(0, FAULTS[3].1);
        for (rank, kind) in (0..size).flat_map(|rank| [(rank, Plan::KIND), (rank, Failures::KIND)]) {
            for at in 0..250 {
                let ended = damaged(&scenario, rank, kind, Damage::Flip { at, mask: 1 << (at % 8) });
                read += u32::from(matches!(ended, Some(Ok(()))));
            }
        }
    }
    // Some changes are a message still: it says something else, but to all alike.
    assert!(read > 0);
}

#[test]
fn a_round_that_ends_in_error_after_opening_leaves_nothing_visible() {
    for broadcasts in [Broadcasts::Eager, Broadcasts::Tree, Broadcasts::Together] {
        let fault = Fault { rank: 1, kind: Failures::KIND, damage: Damage::Truncate { to: 3 } };
        let scenario = wanting(4, &[0, 1, 2, 3], 2).on(0, FAULTS[3].1);
        let run = check(&Scenario { broadcasts, faults: vec![fault], ..scenario });
        for rank in &run.ranks {
            assert!(matches!(rank.ended, Some(Err(WireError::Malformed(_) | WireError::Foreign))));
            assert!(rank.host.visible.is_empty() && rank.host.runs[&Thing::Library(1)] == 1);
            // What was opened is parked, not forgotten.
            assert!(rank.host.parked.contains(&Thing::Library(1)));
        }
    }
}
