//! What dlcast promises of plugins: numbers, callbacks, tables, unloading. One scenario a promise.

use super::claims::cause;
use super::oracle::{check, check_next};
use super::plugin::{Calling, Plugin, native, python, unload};
use super::run::Run;
use super::scenario::{Content, Scenario, global, library, module};
use super::thing::Thing;
use crate::error::Phase;
use crate::outcome::Verdict;
use crate::ranks::RankSet;

fn lib(content: Content) -> Thing {
    Thing::Library(content)
}

/// Who has which number, on every rank.
pub fn numbers(run: &Run) -> Vec<Option<Content>> {
    let slots = &run.ranks[0].host.registry;
    slots.iter().map(|slot| slot.live.then_some(slot.content)).collect()
}

/// Plugins `0..contents`, with some tasks.
pub fn plugins(size: u32, contents: Content, seed: u64) -> Scenario {
    (0..contents).fold(Scenario::of(size, contents, seed), |all, content| all.plugin(content, Plugin::of(content, 3)))
}

#[test]
fn twenty_plugins_loaded_in_another_order_on_every_rank_have_the_same_numbers() {
    for size in 1..=8 {
        let mut scenario = plugins(size, 20, u64::from(size));
        for rank in 0..size {
            let mut wanted: Vec<Content> = (0..20).collect();
            fastrand::Rng::with_seed(u64::from(rank)).shuffle(&mut wanted);
            scenario = wanted.into_iter().fold(scenario, |all, content| all.want([rank], library(content)));
        }
        let run = check(&scenario);
        // The oracle compares the ranks; the numbers follow from the order in which all have opened.
        let opened: Vec<Thing> = numbers(&run).into_iter().flatten().map(lib).collect();
        assert_eq!(opened, run.order(0));
        assert_eq!((opened.len(), run.world.collectives()), (20, 2));
    }
}

#[test]
fn a_failing_callback_undoes_its_plugin_and_the_next_plugin_has_the_next_number() {
    for size in 1..=8 {
        for rank in 0..size {
            for calling in [Calling::Fails, Calling::Panics] {
                let scenario = plugins(size, 3, 1)
                    .plugin(1, Plugin::of(1, 3).calls(7).calls(8))
                    .on(rank, |rank| rank.callings.extend([(Thing::Native(1, 7), calling)]));
                let scenario = (0..3).fold(scenario, |all, content| all.all_want(library(content)));
                let run = check(&scenario);
                let cause = cause(run.verdict(&lib(1)));
                assert_eq!((cause.ranks, cause.failure.phase), (RankSet::one(rank), Phase::Callback));
                let known: Vec<Content> = numbers(&run).into_iter().flatten().collect();
                assert!(known == [0, 2] || known == [2, 0], "{known:?}");
                // What comes later goes on from there; the failed callback fails again, without running.
                let next = check_next(run, &scenario.next().want([0], library(1)));
                assert_eq!(numbers(&next).len(), 2);
                assert_eq!(next.ranks[rank as usize].host.runs[&Thing::Native(1, 7)], 1);
            }
        }
    }
}

#[test]
fn a_callback_that_fails_beside_a_global_library_is_not_tried_again() {
    let scenario = plugins(3, 2, 2).plugin(0, Plugin::of(0, 1).calls(7)).all_want(library(0)).all_want(global(1));
    let scenario = scenario.on(1, |rank| rank.callings.extend([(Thing::Native(0, 7), Calling::Fails)]));
    let run = check(&scenario);
    assert_eq!(cause(run.verdict(&lib(0))).failure.message, "it said no");
    // Agree, decide, causes; nobody has anything left.
    assert_eq!(run.world.collectives(), 3);
}

#[test]
fn tables_that_differ_on_one_rank_are_an_error_that_says_who_has_what() {
    for size in 2..=8 {
        for rank in 0..size {
            let scenario = plugins(size, 2, 3).all_want(library(0)).all_want(library(1));
            let run = check(&scenario.on(rank, |rank| {
                rank.plugins.insert(0, Plugin::of(0, 4));
            }));
            assert_eq!(run.verdict(&lib(1)), Verdict::Committed);
            let Verdict::Undone(causes) = run.verdict(&lib(0)) else { panic!("committed") };
            assert!(causes.iter().all(|cause| cause.failure.phase == Phase::Compare));
            let odd = causes.iter().find(|cause| cause.failure.message.contains("4 tasks")).expect("not named");
            assert_eq!((causes.len(), &odd.ranks), (2, &RankSet::one(rank)));
            assert_eq!(numbers(&run), [Some(1)]);
        }
    }
}

#[test]
fn tables_that_differ_are_an_error_for_all_that_brings_them() {
    for wishes in [[native(0, 1), library(0)], [library(0), native(0, 1)]] {
        let all = wishes.into_iter().fold(plugins(3, 1, 4), |all, wish| all.all_want(wish));
        let run = check(&all.on(2, |rank| {
            rank.plugins.insert(0, Plugin::of(0, 4));
        }));
        assert!(numbers(&run).is_empty());
        assert!(run.report().items.iter().all(|(_, verdict)| *verdict != Verdict::Committed));
    }
}

#[test]
fn an_older_plugin_that_grows_differently_stays_as_all_know_it() {
    for size in 2..=8 {
        for rank in 0..size {
            // By a native callback, and by one of Python.
            for (wish, culprit) in [(native(0, 1), Thing::Native(0, 1)), (python(1), Thing::Python(1))] {
                let scenario = plugins(size, 2, 5).all_want(library(0)).all_want(library(1));
                let run = check(&scenario);
                let grow = |more: u32| {
                    let culprit = culprit.clone();
                    move |rank: &mut super::scenario::Rank| rank.grows.extend([(culprit, (0, more))])
                };
                let alike = scenario.next().all_want(wish.clone()).everywhere(|rank| grow(2)(rank));
                let differing = alike.clone().on(rank, grow(5));
                let frozen = check_next(run, &differing);
                let Verdict::Undone(causes) = frozen.verdict(&culprit) else { panic!("committed") };
                assert!(causes.iter().any(|cause| cause.ranks == RankSet::one(rank)));
                assert!(frozen.ranks.iter().all(|rank| rank.host.registry[0].visible == 3));
                let grown = check_next(check(&scenario), &alike);
                assert!(grown.ranks.iter().all(|rank| rank.host.registry[0].visible == 5));
            }
        }
    }
}

#[test]
fn a_rank_that_compares_only_what_it_has_added_itself_is_named() {
    for size in 2..=8 {
        for rank in 0..size {
            // The others have added to an older plugin; this rank, which has not, leaves the comparison out.
            let scenario = plugins(size, 1, 12).all_want(library(0));
            let next = scenario.next().all_want(python(1)).everywhere(|rank| {
                rank.grows.insert(Thing::Python(1), (0, 1));
            });
            let next = next.on(rank, |rank| {
                rank.grows.clear();
                rank.skips_compare_when_unchanged = true;
            });
            let run = super::run::run_next(check(&scenario), &next);
            let wrong = super::oracle::violations(&next, &run);
            // It has gone on to its end, alone.
            let alone = format!("for rank {rank}");
            assert!(wrong.iter().any(|said| said.starts_with("stuck: ") && said.ends_with(&alone)), "{wrong:?}");
        }
    }
}

#[test]
fn unload_then_load_gives_a_new_number() {
    let scenario = plugins(4, 2, 6).all_want(library(0)).all_want(library(1));
    let run = check(&scenario);
    let first = numbers(&run).iter().position(|number| *number == Some(0));
    let unloaded = check_next(run, &scenario.next().want([2], unload(0)));
    assert_eq!(unloaded.verdict(&Thing::Unload(0)), Verdict::Committed);
    assert_eq!(numbers(&unloaded).iter().flatten().collect::<Vec<_>>(), [&1]);
    let again = check_next(unloaded, &scenario.next().next().all_want(library(0)));
    assert_eq!(numbers(&again)[2], Some(0));
    assert_eq!(numbers(&again)[first.unwrap()], None);
    assert!(again.ranks.iter().all(|rank| rank.host.runs[&lib(0)] == 1));
}

#[test]
fn what_is_not_loaded_cannot_be_unloaded() {
    let run = check(&plugins(3, 1, 7).want([1], unload(0)));
    let cause = cause(run.verdict(&Thing::Unload(0)));
    assert_eq!((cause.ranks, cause.failure.phase), (RankSet::all(3), Phase::Call));
}

#[test]
fn what_another_rank_loads_in_the_same_round_is_not_unloaded() {
    let scenario = plugins(3, 1, 13).all_want(library(0));
    let next = scenario.next().want([0], unload(0)).want([1], global(0));
    let run = check_next(check(&scenario), &next);
    assert_eq!(cause(run.verdict(&Thing::Unload(0))).failure.phase, Phase::Call);
    assert_eq!(numbers(&run), [Some(0)]);
}

#[test]
fn a_callback_runs_once_whoever_asks_for_it_and_however_often() {
    let wishes = [native(0, 7), library(0), native(0, 7), python(1), module("m")];
    let scenario = plugins(4, 1, 8).plugin(0, Plugin::of(0, 2).calls(7));
    let scenario = wishes.iter().cloned().fold(scenario, |all, wish| all.all_want(wish));
    let mut run = check(&scenario);
    for _ in 0..2 {
        run = check_next(run, &wishes.iter().cloned().fold(scenario.next(), |all, wish| all.want([3], wish)));
    }
    let ran = |thing: &Thing| run.ranks.iter().all(|rank| rank.host.runs[thing] == 1);
    assert!(ran(&Thing::Native(0, 7)) && ran(&Thing::Python(1)));
}

#[test]
fn a_second_plugin_of_a_name_is_refused_everywhere() {
    let twin = Plugin { name: "plugin0".into(), ..Plugin::of(1, 1) };
    let scenario = plugins(3, 2, 9).plugin(1, twin).all_want(library(0));
    let run = super::run::run_next(check(&scenario), &scenario.next().all_want(library(1)));
    let cause = cause(run.verdict(&lib(1)));
    assert_eq!((cause.ranks, cause.failure.phase), (RankSet::all(3), Phase::Register));
    assert_eq!(numbers(&run), [Some(0)]);
}
