//! The number of collectives of a round, exactly. It depends on who asks, never on how much.

use super::oracle::check;
use super::plugin::{Plugin, native, python};
use super::scenario::{Content, Opening, Scenario, global, library, module};
use crate::request::Request;

/// Seeds that give other schedules and other broadcasts.
const SEEDS: std::ops::Range<u64> = 0..6;

/// Collectives and messages of a round in which `ask` has said who wants what.
fn cost(size: u32, contents: Content, seed: u64, ask: impl Fn(Scenario) -> Scenario) -> (usize, u64) {
    let run = check(&ask(Scenario::of(size, contents, seed)));
    (run.world.collectives(), run.world.messages())
}

fn want_many(mut scenario: Scenario, ranks: std::ops::Range<u32>, contents: std::ops::Range<Content>) -> Scenario {
    for content in contents {
        scenario = scenario.want(ranks.clone(), library(content));
    }
    scenario
}

#[test]
fn a_round_that_nobody_needs_costs_one_collective() {
    for (size, seed) in (1..=8).flat_map(|size| SEEDS.map(move |seed| (size, seed))) {
        assert_eq!(cost(size, 1, seed, |nobody| nobody), (1, 2 * (u64::from(size) - 1)));
    }
}

#[test]
fn equal_sets_cost_two_collectives() {
    for (size, seed) in (1..=8).flat_map(|size| SEEDS.map(move |seed| (size, seed))) {
        assert_eq!(cost(size, 1, seed, |all| all.all_want(library(0))).0, 2);
    }
    assert_eq!(cost(8, 500, 1, |all| want_many(all, 0..8, 0..500)).0, 2);
}

#[test]
fn one_asking_rank_costs_four_collectives() {
    for (size, seed) in (2..=8).flat_map(|size| SEEDS.map(move |seed| (size, seed))) {
        for rank in 0..size {
            // Three allreduces of 2 (size - 1) messages, a broadcast of size - 1.
            let messages = 7 * (u64::from(size) - 1);
            assert_eq!(cost(size, 1, seed, |one| one.want([rank], library(0))), (4, messages));
        }
    }
    assert_eq!(cost(8, 500, 1, |one| want_many(one, 3..4, 0..500)).0, 4);
}

#[test]
fn sets_that_differ_cost_four_collectives() {
    for (size, seed) in (2..=8).flat_map(|size| SEEDS.map(move |seed| (size, seed))) {
        let differing = |all: Scenario| all.all_want(library(0)).want([size - 1], library(1));
        assert_eq!(cost(size, 2, seed, differing).0, 4);
    }
    let half = |all| want_many(want_many(all, 0..4, 0..500), 4..8, 250..500);
    assert_eq!(cost(8, 500, 1, half).0, 4);
}

#[test]
fn modules_cost_one_collective_more_than_libraries_alone() {
    let both =
        |scenario: Scenario, wish: fn(Scenario, Request) -> Scenario| wish(wish(scenario, library(0)), module("m"));
    for size in 2..=8 {
        assert_eq!(cost(size, 1, 1, |s| both(s, |s, wish| s.all_want(wish))).0, 3);
        assert_eq!(cost(size, 1, 1, |s| both(s, |s, wish| s.want([1], wish))).0, 5);
        // Modules have no file to stage.
        assert_eq!(cost(size, 1, 1, |s| s.all_want(module("m"))).0, 2);
        assert_eq!(cost(size, 1, 1, |s| s.want([1], module("m"))).0, 3);
    }
}

#[test]
fn a_failing_rank_costs_one_collective_more() {
    for (size, seed) in (2..=8).flat_map(|size| SEEDS.map(move |seed| (size, seed))) {
        let fails = |all: Scenario| all.on(size - 1, |rank| rank.openings.extend([(0, Opening::Fails)]));
        assert_eq!(cost(size, 2, seed, |all| fails(all.all_want(library(0)).all_want(library(1)))).0, 3);
        assert_eq!(cost(size, 2, seed, |one| fails(one.want([0], library(0)).want([0], library(1)))).0, 5);
    }
}

/// Plugins, tasks and callbacks are not paid for by the piece: a pass of them costs what a pass of one library costs.
#[test]
fn plugins_cost_what_libraries_cost_whatever_they_register() {
    let many = |all: Scenario| {
        let plugin = |content| Plugin { callbacks: (0..20).collect(), ..Plugin::of(content, 300_000) };
        (0..100).fold(all, |all, content| all.plugin(content, plugin(content)))
    };
    assert_eq!(cost(8, 100, 1, |all| want_many(many(all), 0..8, 0..100)).0, 2);
    assert_eq!(cost(8, 100, 1, |one| want_many(many(one), 3..4, 0..100)).0, 4);
    // Callbacks that are asked for one by one, in both lanes.
    let call = |all: Scenario, ranks: std::ops::Range<u32>| {
        let wishes = (0..50).flat_map(|tag| [native(0, tag), python(tag)]);
        wishes.fold(all, |all, wish| all.want(ranks.clone(), wish))
    };
    assert_eq!(cost(8, 1, 1, |all| call(all, 0..8)).0, 3);
    assert_eq!(cost(8, 1, 1, |one| call(one, 3..4)).0, 5);
}

/// What plugins ask for is the next pass: an agreement and a vote where all ask for the same.
#[test]
fn what_plugins_ask_for_costs_a_pass_however_many_ask() {
    for askers in [1, 10, 50] {
        let ask = |all: Scenario| {
            let all = (0..askers).fold(all, |all, content| {
                let requests = (50..60).map(library).collect();
                all.plugin(content, Plugin { requests, ..Plugin::of(content, 1) })
            });
            want_many(all, 0..8, 0..askers)
        };
        // Two passes, and the agreement that nothing is left.
        assert_eq!(cost(8, 60, 1, ask).0, 2 + 2);
    }
}

#[test]
fn tables_that_differ_cost_one_collective_more() {
    for size in 2..=8 {
        let plugins = |all: Scenario| (0..20).fold(all, |all, content| all.plugin(content, Plugin::of(content, 3)));
        let differ = |all: Scenario| {
            all.on(size - 1, |rank| {
                rank.plugins.insert(7, Plugin::of(7, 4));
            })
        };
        assert_eq!(cost(size, 20, 1, |all| differ(want_many(plugins(all), 0..size, 0..20))).0, 3);
    }
}

/// The one thing that costs by the piece: each link of the chain is visible only once it is committed everywhere.
#[test]
fn a_chain_of_global_libraries_costs_two_collectives_a_link() {
    let chain = |links: Content| {
        let all = (0..links).fold(Scenario::of(4, links, 1), |all, content| all.all_want(global(content)));
        let needs = (1..links).map(|content| (content, Opening::Needs(content - 1)));
        let run = check(&all.everywhere(|rank| rank.openings.extend(needs.clone())));
        run.world.collectives()
    };
    assert_eq!([1, 2, 3, 10].map(chain), [2, 4, 6, 20]);
}
