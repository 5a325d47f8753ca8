//! What dlcast promises, one scenario a promise.

use super::oracle::{check, violations};
use super::run::run;
use super::scenario::{Content, Importing, Opening, Rank, Scenario, global, library, module, path, spelled};
use super::thing::Thing;
use crate::error::Phase;
use crate::outcome::{Cause, Verdict};
use crate::ranks::RankSet;
use crate::request::{OpenFlags, Request};
use crate::wire::WireError;

fn lib(content: Content) -> Thing {
    Thing::Library(content)
}

/// The only cause of a failure.
pub fn cause(verdict: Verdict) -> Cause {
    match verdict {
        Verdict::Undone(causes) if causes.len() == 1 => causes[0].clone(),
        other => panic!("expected one cause: {other:?}"),
    }
}

#[test]
fn one_failing_rank_undoes_its_library_everywhere_and_no_other() {
    let scenario = Scenario::of(5, 2, 1).want([0], library(0)).want([0], library(1));
    let run = check(&scenario.on(3, |rank| rank.openings.extend([(1, Opening::Fails)])));
    assert_eq!(run.verdict(&lib(0)), Verdict::Committed);
    let cause = cause(run.verdict(&lib(1)));
    assert_eq!((cause.ranks, cause.failure.phase), (RankSet::one(3), Phase::Open));
    // It was opened on the others, once, and is visible on none.
    assert!(run.ranks.iter().all(|rank| rank.host.visible == [lib(0)].into()));
}

#[test]
fn flags_that_differ_are_joined() {
    let wish = |flags| spelled(path(0), flags);
    let scenario = Scenario::of(4, 1, 5)
        .want([0], wish(OpenFlags::LAZY))
        .want([2], wish(OpenFlags::LAZY | OpenFlags::GLOBAL))
        .want([3], wish(OpenFlags::NOW | OpenFlags::NODELETE));
    let run = check(&scenario);
    assert_eq!(run.libraries()[0].flags, OpenFlags::NOW | OpenFlags::GLOBAL | OpenFlags::NODELETE);
    assert!(run.ranks.iter().all(|rank| rank.host.global.contains_key(&0)));
    let holders: Vec<u32> = run.report().items[0].0.holders.iter().collect();
    assert_eq!(holders, [0, 2, 3]);
}

#[test]
fn ranks_that_ask_in_another_order_open_in_one() {
    for size in 2..=8 {
        for seed in 0..20 {
            let mut scenario = Scenario::of(size, 6, seed);
            for rank in 0..size {
                let mut wanted: Vec<Content> = (0..6).collect();
                fastrand::Rng::with_seed(seed + u64::from(rank)).shuffle(&mut wanted);
                scenario = wanted.into_iter().fold(scenario, |all, content| all.want([rank], library(content)));
            }
            let run = check(&scenario);
            assert_eq!(run.world.collectives(), 2);
            assert!((1..size as usize).all(|rank| run.order(rank) == run.order(0)));
        }
    }
}

#[test]
fn sets_that_differ_are_opened_in_the_order_of_the_lowest_rank_then_of_the_next() {
    let wanted: [&[Content]; 3] = [&[4, 1], &[0, 1, 3], &[2, 4, 0, 5]];
    let scenario = (0..).zip(wanted).fold(Scenario::of(3, 6, 6), |all, (rank, wanted)| {
        wanted.iter().fold(all, |all, &content| all.want([rank], library(content)))
    });
    assert_eq!(check(&scenario).order(1), [4, 1, 0, 3, 2, 5].map(lib));
}

#[test]
fn each_rank_another_random_half_is_the_whole_on_every_rank() {
    for seed in 0..20 {
        let mut scenario = Scenario::of(6, 40, seed);
        let random = &mut fastrand::Rng::with_seed(seed);
        for rank in 0..6 {
            let mut wanted: Vec<Content> = (0..40).collect();
            random.shuffle(&mut wanted);
            scenario = wanted.into_iter().take(20).fold(scenario, |all, content| all.want([rank], library(content)));
        }
        let run = check(&scenario);
        let wanted = run.ranks.iter().flat_map(|rank| &rank.host.asked).map(|(_, what)| Thing::of(what)).collect();
        assert!(run.ranks.iter().all(|rank| rank.host.visible == wanted));
        assert!((1..6).all(|rank| run.order(rank) == run.order(0)));
    }
}

#[test]
fn a_library_that_needs_a_global_one_of_the_same_round_is_tried_again() {
    let needy = |rank: &mut Rank| rank.openings.extend([(0, Opening::Needs(1))]);
    for wishes in [[library(0), global(1)], [global(1), library(0)]] {
        let [one, other] = wishes;
        let all = Scenario::of(4, 2, 7).all_want(one.clone()).all_want(other.clone()).everywhere(needy);
        assert_eq!(check(&all).verdict(&lib(0)), Verdict::Committed);
        // On one rank alone it misses the symbols: the others have opened it already, and do not run it again.
        let some = Scenario::of(4, 2, 7).want([3], one).want([3], other).on(2, needy);
        assert_eq!(check(&some).verdict(&lib(0)), Verdict::Committed);
    }
    let local = Scenario::of(4, 2, 7).all_want(library(0)).all_want(library(1)).everywhere(needy);
    assert_eq!(cause(check(&local).verdict(&lib(0))).failure.message, "undefined symbol");
}

#[test]
fn a_module_finds_the_libraries_of_its_round_global() {
    let needy = |rank: &mut Rank| rank.importings.extend([("m".into(), Importing::Needs(0))]);
    let scenario = Scenario::of(3, 1, 8).want([1], module("m")).want([2], global(0)).everywhere(needy);
    assert_eq!(check(&scenario).verdict(&Thing::Module("m".into())), Verdict::Committed);
}

#[test]
fn what_is_recorded_while_loading_is_loaded_before_the_call_returns() {
    let recorded = vec![library(1), module("m")];
    let scenario = Scenario::of(4, 3, 9)
        .want([0], library(0))
        .on(2, |rank| rank.records.extend([(Thing::Library(0), recorded)]))
        .everywhere(|rank| rank.records.extend([(Thing::Module("m".into()), vec![library(2)])]));
    let run = check(&scenario);
    assert_eq!(run.report().rounds, 3);
    let visible = [lib(0), lib(1), lib(2), Thing::Module("m".into())].into();
    assert!(run.ranks.iter().all(|rank| rank.host.visible == visible));
}

#[test]
fn a_library_that_asks_for_itself_or_in_a_circle_comes_to_an_end() {
    let scenario = Scenario::of(3, 2, 10).want([0], library(0)).everywhere(|rank| {
        rank.records.insert(Thing::Library(0), vec![library(0), library(1)]);
        rank.records.insert(Thing::Library(1), vec![library(0)]);
    });
    check(&scenario);
}

#[test]
fn a_module_that_asks_for_itself_and_raises_comes_to_an_end() {
    let scenario = Scenario::of(3, 0, 11).want([0], module("m")).everywhere(|rank| {
        rank.importings.insert("m".into(), Importing::Raises);
        rank.records.insert(Thing::Module("m".into()), vec![module("m")]);
    });
    check(&scenario);
}

#[test]
fn a_bad_call_of_one_rank_fails_alone_and_keeps_nobody_waiting() {
    let bad = Request::Invalid { message: "expected a path".into() };
    let run = check(&Scenario::of(3, 1, 12).want([0, 2], library(0)).want([1], bad));
    assert_eq!(run.verdict(&lib(0)), Verdict::Committed);
    let cause = cause(run.verdict(&Thing::Invalid("expected a path".into())));
    assert_eq!((cause.ranks, cause.failure.phase), (RankSet::one(1), Phase::Call));
}

#[test]
fn a_rank_that_skips_a_vote_is_named_with_what_it_did_instead() {
    for size in 2..=8 {
        for rank in 0..size {
            let scenario = Scenario::of(size, 1, 16).all_want(library(0)).on(rank, |rank| {
                rank.openings.insert(0, Opening::Fails);
                rank.skips_vote_on_failure = true;
            });
            let wrong = violations(&scenario, &run(&scenario));
            let named = |said: &String| said.contains(&format!("rank {rank} ")) && said.contains(" where rank ");
            assert!(wrong.iter().any(named), "{wrong:?}");
            assert!(wrong.iter().any(|said| said.starts_with("stuck: rank ")), "{wrong:?}");
        }
    }
}

#[test]
fn a_rank_in_another_round_of_the_session_is_found_out_by_all() {
    for size in 2..=8 {
        for rank in 0..size {
            // Also where nobody wants anything: the ranks must not drift further apart.
            for scenario in [Scenario::of(size, 1, 17), Scenario::of(size, 1, 17).all_want(library(0))] {
                let run = run(&scenario.on(rank, |rank| rank.serial = 1));
                assert!(run.failures.is_empty());
                assert!(run.ranks.iter().all(|rank| matches!(rank.ended, Some(Err(WireError::Malformed(_))))));
            }
        }
    }
}
