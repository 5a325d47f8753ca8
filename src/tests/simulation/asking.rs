//! Plugins and callbacks that ask for others: they are committed together, or undone together.

use super::claims::cause;
use super::oracle::{check, check_next};
use super::plugin::{Calling, Plugin, native, python};
use super::plugins::{numbers, plugins};
use super::run::Run;
use super::scenario::{Content, OTHER, Opening, Rank, Scenario, library, module};
use super::thing::Thing;
use crate::error::Phase;
use crate::outcome::Verdict;
use crate::ranks::RankSet;
use crate::request::Request;

/// Plugins that each ask for the next.
fn chain(size: u32, links: Content, seed: u64) -> Scenario {
    (1..links)
        .fold(plugins(size, links, seed), |all, next| all.plugin(next - 1, Plugin::of(next - 1, 2).asks(library(next))))
}

fn lacks(content: Content) -> impl Fn(&mut Rank) {
    move |rank| rank.files.retain(|_, known| *known != content)
}

/// The verdicts on libraries, in the order of their numbers; each is there once.
fn committed(run: &Run, contents: Content) -> Vec<bool> {
    (0..contents).map(|content| run.verdict(&Thing::Library(content)) == Verdict::Committed).collect()
}

#[test]
fn a_chain_of_plugins_is_committed_in_one_call() {
    for size in 1..=8 {
        for asker in 0..size {
            let run = check(&chain(size, 3, 1).want([asker], library(0)));
            assert_eq!(numbers(&run), [Some(0), Some(1), Some(2)]);
            assert_eq!(run.report().rounds, 3);
        }
    }
}

#[test]
fn the_end_of_a_chain_missing_on_one_rank_undoes_the_chain_everywhere() {
    for size in 1..=8 {
        for rank in 0..size {
            let scenario = chain(size, 3, 2).all_want(library(0)).on(rank, lacks(2));
            let run = check(&scenario);
            assert!(numbers(&run).is_empty());
            assert!(run.ranks.iter().all(|rank| rank.host.visible.is_empty()));
            let Verdict::Undone(causes) = run.verdict(&Thing::Library(0)) else { panic!("committed") };
            assert_eq!(causes[0].ranks, RankSet::one(rank));
            assert!(causes[0].failure.message.starts_with("it asks for `lib1.so`: it asks for `"), "{causes:?}");
            // Asked for again it asks again, and fails again, without a second constructor.
            let again = check_next(run, &scenario.next().want([0], library(0)));
            assert!(numbers(&again).is_empty());
        }
    }
}

#[test]
fn a_chain_that_was_undone_is_committed_once_the_missing_library_is_there() {
    let scenario = chain(4, 3, 3).want([0], library(0));
    let run = check(&scenario.clone().on(2, lacks(2)));
    let run = check_next(run, &scenario.next().want([3], library(0)));
    assert_eq!(numbers(&run), [Some(0), Some(1), Some(2)]);
    assert!(run.ranks.iter().all(|rank| rank.host.runs.values().all(|times| *times == 1)));
}

#[test]
fn plugins_that_ask_for_each_other_come_to_an_end_and_share_their_fate() {
    for size in 1..=8 {
        let circle = plugins(size, 3, 4)
            .plugin(0, Plugin::of(0, 1).asks(library(1)))
            .plugin(1, Plugin::of(1, 1).asks(library(0)))
            .want([0], library(0));
        let run = check(&circle);
        assert_eq!(numbers(&run), [Some(0), Some(1)]);
        for rank in 0..size {
            // One of the circle also asks for what one rank lacks: the other, which is there by then, goes with it.
            let asks = |content: Content, next: Content| Plugin::of(content, 1).asks(library(2)).asks(library(next));
            for (one, other) in [(0, 1), (1, 0)] {
                let circle = circle.clone().plugin(one, asks(one, other)).on(rank, lacks(2));
                assert!(numbers(&check(&circle)).is_empty());
            }
        }
    }
}

#[test]
fn who_asks_for_what_has_failed_already_fails_with_it() {
    for size in 1..=8 {
        for rank in 0..size {
            // Library 1 fails beside its asker, so that nobody tries it again.
            let scenario = chain(size, 2, 5).all_want(library(0)).all_want(library(1));
            let run = check(&scenario.on(rank, |rank| rank.openings.extend([(1, Opening::Fails)])));
            assert_eq!(cause(run.verdict(&Thing::Library(0))).ranks, RankSet::one(rank));
        }
    }
}

#[test]
fn only_one_rank_need_ask_for_all_to_lose_the_asker() {
    for size in 2..=8 {
        for (asker, culprit) in (0..size).flat_map(|asker| (0..size).map(move |culprit| (asker, culprit))) {
            let scenario = plugins(size, 3, 6).all_want(library(0)).all_want(library(1));
            let run = check(&scenario.on(culprit, lacks(2)).on(asker, |rank| {
                rank.plugins.insert(0, Plugin::of(0, 3).asks(library(2)));
            }));
            assert_eq!(numbers(&run), [Some(1)]);
        }
    }
}

#[test]
fn what_only_an_undone_plugin_asked_for_is_not_loaded() {
    let scenario = chain(4, 2, 7).all_want(library(0)).on(3, |rank| rank.openings.extend([(0, Opening::Fails)]));
    let run = check(&scenario);
    assert_eq!(run.report().items.len(), 1);
    // Unless somebody else wants it.
    let wanted = check(&scenario.want([1], library(1)));
    assert_eq!(committed(&wanted, 2), [false, true]);
}

/// A callback of the native lane, and one of Python.
const LANES: [fn() -> (Request, Thing); 2] = [|| (native(0, 1), Thing::Native(0, 1)), || (python(1), Thing::Python(1))];

#[test]
fn a_callback_fails_with_what_it_asks_for() {
    for (wish, callback) in LANES.map(|lane| lane()) {
        for size in 1..=8 {
            for rank in 0..size {
                let all = plugins(size, 2, 8).all_want(wish.clone()).everywhere(|rank| {
                    rank.records.insert(callback.clone(), vec![library(1)]);
                });
                assert_eq!(check(&all).verdict(&callback), Verdict::Committed);
                let run = check(&all.on(rank, lacks(1)));
                let Verdict::Undone(causes) = run.verdict(&callback) else { panic!("committed") };
                assert_eq!(causes[0].ranks, RankSet::one(rank));
                // The library that was opened for it alone is no plugin of the session.
                assert!(numbers(&run).is_empty());
            }
        }
    }
}

#[test]
fn a_callback_of_a_library_goes_with_the_library() {
    // What the library's constructor asks for is missing: everything that needs the library is undone.
    for wishes in [[library(0), native(0, 1)], [native(0, 1), library(0)]] {
        let all = wishes.into_iter().fold(chain(3, 2, 9), |all, wish| all.all_want(wish)).on(1, lacks(1));
        let run = check(&all);
        assert_eq!(committed(&run, 1), [false]);
        assert_ne!(run.verdict(&Thing::Native(0, 1)), Verdict::Committed);
    }
}

#[test]
fn a_callback_finds_its_library_by_identity_or_says_who_has_not_got_it() {
    for size in 2..=8 {
        for rank in 0..size {
            for askers in [vec![0], vec![size - 1], (0..size).collect()] {
                let asked = plugins(size, 1, 10).want(askers.clone(), native(0, 1));
                let elsewhere = |rank: &mut Rank| rank.files.retain(|path, _| path.starts_with("/copy"));
                assert_eq!(check(&asked.clone().on(rank, elsewhere)).verdict(&Thing::Native(0, 1)), Verdict::Committed);
                let other = |rank: &mut Rank| rank.files.values_mut().for_each(|content| *content += OTHER);
                let cause = cause(check(&asked.on(rank, other)).verdict(&Thing::Native(0, 1)));
                assert_eq!((cause.ranks, cause.failure.phase), (RankSet::one(rank), Phase::Stage));
            }
        }
    }
}

#[test]
fn a_failing_python_callback_is_undone_everywhere_and_undoes_nothing_else() {
    let scenario = plugins(5, 1, 11).all_want(library(0)).all_want(python(1)).all_want(module("m"));
    let run = check(&scenario.on(3, |rank| rank.callings.extend([(Thing::Python(1), Calling::Fails)])));
    let cause = cause(run.verdict(&Thing::Python(1)));
    assert_eq!((cause.ranks, cause.failure.phase), (RankSet::one(3), Phase::Callback));
    assert_eq!(run.verdict(&Thing::Module("m".into())), Verdict::Committed);
    assert_eq!(numbers(&run), [Some(0)]);
}

#[test]
fn a_pass_says_who_asked_even_for_what_this_call_has_committed_already() {
    // All want A and B; A asks for B, B asks for C, which one rank lacks.
    let scenario = chain(4, 3, 12).all_want(library(0)).all_want(library(1)).on(2, lacks(2));
    let run = check(&scenario);
    assert!(numbers(&run).is_empty());
    assert!(run.report().items.iter().all(|(_, verdict)| *verdict != Verdict::Committed));
}
