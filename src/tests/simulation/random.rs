//! Random scenarios: sizes, sets, orders, flags, faults, schedules. `DLCAST_SIM_RUNS` says how many.
//!
//! A failure prints its seed and the whole scenario; the seeds are `0..runs`, so that it comes again.

use fastrand::Rng;

use super::oracle::{check, violations};
use super::run::run;
use super::scenario::{Content, Importing, OTHER, Opening, Scenario, module, path, spelled};
use super::thing::Thing;
use crate::comm::sim::{Damage, Fault};
use crate::request::{OpenFlags, Request};
use crate::wire::Message;

const FLAGS: [OpenFlags; 5] = [
    OpenFlags::NOW,
    OpenFlags::LAZY,
    OpenFlags::NOW.union(OpenFlags::GLOBAL),
    OpenFlags::LAZY.union(OpenFlags::GLOBAL),
    OpenFlags::NOW.union(OpenFlags::NODELETE),
];

/// What there is to want.
struct Market {
    contents: Content,
    modules: usize,
    /// Everybody spells a library the same.
    plain: bool,
}

impl Market {
    fn wish(&self, random: &mut Rng) -> Request {
        match random.u32(0..20) {
            0 => Request::Invalid { message: format!("bad argument {}", random.u8(0..2)) },
            1..5 if self.modules > 0 => module(&format!("m{}", random.usize(..self.modules))),
            _ if self.contents > 0 => {
                let content = random.u32(..self.contents);
                let folder = ["/lib/", "/copy/", "/link/", ""][if self.plain { 0 } else { random.usize(..4) }];
                let flags = FLAGS[if self.plain { 0 } else { random.usize(..FLAGS.len()) }];
                spelled(format!("{folder}lib{content}.so"), flags)
            }
            _ => module("m0"),
        }
    }

    fn wishes(&self, random: &mut Rng, most: usize) -> Vec<Request> {
        (0..random.usize(1..=most)).map(|_| self.wish(random)).collect()
    }
}

/// The scenario of a seed.
fn scenario(seed: u64) -> Scenario {
    let random = &mut Rng::with_seed(seed);
    let size = random.u32(1..=8);
    let market = Market { contents: random.u32(0..6), modules: random.usize(0..4), plain: random.bool() };
    let mut scenario = Scenario::of(size, market.contents, seed);
    wants(&mut scenario, &market, random);
    records(&mut scenario, &market, random);
    if random.bool() {
        lacks(&mut scenario, &market, random);
    }
    if random.bool() {
        fails(&mut scenario, &market, random);
    }
    if random.u8(0..8) == 0 {
        let damage = match random.bool() {
            true => Damage::Flip { at: random.usize(..1000), mask: random.u8(1..) },
            false => Damage::Truncate { to: random.usize(..1000) },
        };
        let kind = if random.bool() { crate::plan::Plan::KIND } else { crate::outcome::Failures::KIND };
        scenario.faults.push(Fault { rank: random.u32(..size), kind, damage });
    }
    scenario
}

/// Who wants what.
fn wants(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    let all = market.wishes(random, 6);
    let (some, other) = (random.usize(..scenario.ranks.len()), random.usize(..scenario.ranks.len()));
    match random.u8(0..7) {
        0 => {}
        1 => scenario.ranks.iter_mut().for_each(|rank| rank.wishes = all.clone()),
        2 => scenario.ranks.iter_mut().for_each(|rank| {
            rank.wishes = all.clone();
            random.shuffle(&mut rank.wishes);
        }),
        3 => scenario.ranks[some].wishes = all,
        4 => {
            scenario.ranks[other].wishes = all.iter().rev().cloned().collect();
            scenario.ranks[some].wishes = all;
        }
        5 => scenario.ranks.iter_mut().for_each(|rank| {
            rank.wishes = all.iter().filter(|_| random.bool()).cloned().collect();
        }),
        _ => scenario.ranks.iter_mut().for_each(|rank| rank.wishes = market.wishes(random, 6)),
    }
}

/// What code records while it runs: on one rank, on some, or on all.
fn records(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    for _ in 0..random.usize(0..3) {
        let body = match random.bool() && market.contents > 0 {
            true => Thing::Library(random.u32(..market.contents)),
            false => Thing::Module(format!("m{}", random.usize(..4))),
        };
        let wishes = market.wishes(random, 2);
        let share = random.u8(1..=3);
        for rank in &mut scenario.ranks {
            if share == 3 || random.u8(0..4) < share {
                rank.records.insert(body.clone(), wishes.clone());
            }
        }
    }
}

/// Files that are not where they should be, are something else, or are there twice in the process already.
fn lacks(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    for rank in &mut scenario.ranks {
        for content in 0..market.contents {
            match random.u8(0..40) {
                0 => {
                    rank.links.remove(&format!("lib{content}.so"));
                }
                1 => {
                    rank.files.remove(&path(content));
                }
                2 => rank.files.retain(|_, known| *known != content),
                3 => {
                    rank.files.insert(path(content), OTHER + content);
                }
                4 => rank.files.values_mut().filter(|known| **known == content).for_each(|known| *known += OTHER),
                5 => {
                    rank.copies.insert(content, vec![path(content), format!("/copy/lib{content}.so")]);
                }
                _ => {}
            }
        }
    }
}

/// Libraries and modules that fail on some rank, or until another library is GLOBAL.
fn fails(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    for _ in 0..random.usize(1..4) {
        let (rank, everywhere) = (random.usize(..scenario.ranks.len()), random.bool());
        let content = random.u32(..market.contents.max(1));
        let needed = random.u32(..market.contents.max(1));
        let name = format!("m{}", random.usize(..4));
        let opening = [Opening::Fails, Opening::Panics, Opening::Needs(needed)][random.usize(..3)];
        let importing = [Importing::Raises, Importing::Needs(needed)][random.usize(..2)];
        let library = random.u8(0..3) > 0;
        for (_, rank) in scenario.ranks.iter_mut().enumerate().filter(|(number, _)| everywhere || *number == rank) {
            if library {
                rank.openings.insert(content, opening);
            } else {
                rank.importings.insert(name.clone(), importing);
            }
        }
    }
}

#[test]
fn whatever_happens_every_rank_is_told_the_same() {
    let (mut committed, mut undone, mut damaged, mut passes) = (0, 0, 0, 0);
    for seed in 0..crate::config::sim_runs() {
        let run = check(&scenario(seed));
        damaged += u32::from(run.world.damaged() > 0);
        if let Some(Ok(report)) = &run.ranks[0].ended {
            let good = report.items.iter().filter(|item| item.1 == crate::outcome::Verdict::Committed).count();
            committed += good;
            undone += report.items.len() - good;
            passes = passes.max(report.rounds);
        }
    }
    // A generator that no longer makes anything happen would pass every oracle.
    if crate::config::sim_runs() >= 1_000 {
        assert!(
            committed > 1_000 && undone > 300 && damaged > 20 && passes > 2,
            "{committed} {undone} {damaged} {passes}"
        );
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..50 {
        let (one, other) = (run(&scenario(seed)), run(&scenario(seed)));
        assert_eq!(one.turns, other.turns);
        let order = |run: &super::run::Run| -> Vec<Vec<(u32, Thing)>> {
            run.ranks.iter().map(|rank| rank.host.tried.clone()).collect()
        };
        assert_eq!(order(&one), order(&other));
        assert!(one.ranks.iter().zip(&other.ranks).all(|(one, other)| one.ended == other.ended));
    }
}

#[test]
fn a_rank_that_leaves_a_collective_out_is_found_out() {
    let mut found = 0;
    for seed in 0..300 {
        let mut broken = scenario(seed);
        broken.faults.clear();
        let rank = seed as usize % broken.ranks.len();
        broken.ranks[rank].skips_vote_on_failure = true;
        let run = run(&broken);
        // Where that rank has no failure of its own, or all have, nothing is left out.
        let wrong = violations(&broken, &run);
        if !wrong.is_empty() {
            found += 1;
            assert!(wrong.iter().any(|said| said.contains(" where rank ")), "seed {seed}: {wrong:?}");
        }
    }
    assert!(found > 20, "{found}");
}
