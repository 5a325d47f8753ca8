//! Every fault of what plugins and callbacks do, on every rank of one to eight, whoever asks.

use super::faults::askers;
use super::oracle::{check, check_next};
use super::plugin::{Calling, Plugin, native, python};
use super::plugins::{numbers, plugins};
use super::scenario::{Content, Opening, Rank, Scenario, library};
use super::thing::Thing;
use crate::error::Phase;
use crate::outcome::Verdict;

/// Makes one rank different.
type Change = fn(&mut Rank);

/// A plugin with callbacks that asks for 3, which is one with a callback, too.
const ASKS: Thing = Thing::Library(0);
/// A callback of library 4; it asks for 5.
const NATIVE: Thing = Thing::Native(4, 7);
/// A callback of Python; it asks for 5.
const PYTHON: Thing = Thing::Python(7);

fn lacks(rank: &mut Rank, content: Content) {
    rank.files.retain(|_, known| *known != content);
}

fn fails(rank: &mut Rank, callback: Thing, calling: Calling) {
    rank.callings.insert(callback, calling);
}

/// What can go wrong on one rank, in which phase, and what is undone for it everywhere.
const FAULTS: [(Phase, &[Thing], Change); 15] = [
    (Phase::Callback, &[ASKS], |rank| fails(rank, Thing::Native(0, 1), Calling::Fails)),
    (Phase::Callback, &[ASKS], |rank| fails(rank, Thing::Native(0, 2), Calling::Panics)),
    (Phase::Compare, &[ASKS], |rank| rank.plugins.get_mut(&0).unwrap().tasks += 1),
    (Phase::Compare, &[ASKS], |rank| rank.grows.extend([(Thing::Native(0, 1), (0, 1))])),
    (Phase::Stage, &[ASKS], |rank| lacks(rank, 3)),
    (Phase::Open, &[ASKS], |rank| rank.openings.extend([(3, Opening::Fails)])),
    (Phase::Callback, &[ASKS], |rank| fails(rank, Thing::Native(3, 1), Calling::Fails)),
    (Phase::Compare, &[ASKS], |rank| rank.plugins.get_mut(&3).unwrap().tasks += 1),
    (Phase::Callback, &[NATIVE], |rank| fails(rank, NATIVE, Calling::Fails)),
    (Phase::Callback, &[NATIVE], |rank| fails(rank, NATIVE, Calling::Panics)),
    (Phase::Stage, &[NATIVE], |rank| lacks(rank, 4)),
    (Phase::Open, &[NATIVE], |rank| rank.openings.extend([(4, Opening::Panics)])),
    (Phase::Callback, &[PYTHON], |rank| fails(rank, PYTHON, Calling::Fails)),
    (Phase::Callback, &[PYTHON], |rank| fails(rank, PYTHON, Calling::Panics)),
    (Phase::Stage, &[NATIVE, PYTHON], |rank| lacks(rank, 5)),
];

fn wanting(size: u32, askers: &[u32], seed: u64) -> Scenario {
    let all = plugins(size, 6, seed)
        .plugin(0, Plugin::of(0, 3).calls(1).calls(2).asks(library(3)))
        .plugin(3, Plugin::of(3, 1).calls(1))
        .everywhere(|rank| rank.records.extend([NATIVE, PYTHON].map(|callback| (callback, vec![library(5)]))));
    let wishes = [library(0), library(1), native(4, 7), python(7)];
    let all = wishes.into_iter().fold(all, |all, wish| all.want(askers.to_vec(), wish));
    if askers.len() == 2 { all.want([askers[1]], library(2)) } else { all }
}

#[test]
fn every_fault_of_plugins_and_callbacks_on_every_rank_undoes_what_needs_it_and_nothing_else() {
    for size in 1..=8 {
        for (rank, askers) in (0..size).flat_map(|rank| askers(size).into_iter().map(move |askers| (rank, askers))) {
            for (number, (phase, bad, fault)) in FAULTS.into_iter().enumerate() {
                // Alone, nobody differs.
                if phase == Phase::Compare && size == 1 {
                    continue;
                }
                let scenario = wanting(size, &askers, u64::from(rank) + number as u64);
                let run = check(&scenario.clone().on(rank, fault));
                for thing in [Thing::Library(1), ASKS, NATIVE, PYTHON] {
                    let verdict = run.verdict(&thing);
                    let Verdict::Undone(causes) = &verdict else {
                        assert!(!bad.contains(&thing), "{size} ranks, rank {rank}, fault {number}: {thing:?}");
                        continue;
                    };
                    assert!(bad.contains(&thing), "{size} ranks, rank {rank}, fault {number}: {verdict:?}");
                    assert!(causes.iter().any(|cause| cause.ranks.iter().eq([rank])), "{verdict:?}");
                    // Where nobody else is there who has it, nobody knows what is missing.
                    let unknown = size == 1 && phase == Phase::Stage;
                    assert!(unknown || causes.iter().all(|cause| cause.failure.phase == phase), "{verdict:?}");
                }
                // What is undone has no number, and the next plugin has the next.
                let known = numbers(&run);
                assert!(known.contains(&Some(1)) && known.iter().all(Option::is_some));
                assert_eq!(known.contains(&Some(0)), !bad.contains(&ASKS));
                assert_eq!(known.contains(&Some(4)), !bad.contains(&NATIVE));
                let next = scenario.next().plugin(2, Plugin::of(2, 1)).want([size - 1], library(2)).on(rank, fault);
                let next = numbers(&check_next(run, &next));
                assert!(next.starts_with(&known) && next.contains(&Some(2)));
            }
        }
    }
}
