//! What must hold after every run, whatever its ranks have and do.

use std::collections::BTreeSet;

use super::run::Run;
use super::scenario::Scenario;
use super::thing::Thing;
use super::{expected, registries};
use crate::outcome::Verdict;
use crate::plan::{Item, What};

/// Everything that is wrong with a run.
pub fn violations(scenario: &Scenario, run: &Run) -> Vec<String> {
    let mut wrong = run.failures.clone();
    // A share that was damaged and can still be read says something else than its rank meant.
    let undamaged = run.world.damaged() == 0;
    for rank in &run.ranks {
        if undamaged {
            wrong.extend(rank.host.complaints.iter().cloned());
        }
        for (thing, times) in rank.host.runs.iter().filter(|(_, times)| **times > 1) {
            wrong.push(format!("{thing:?} ran {times} times on one rank"));
        }
    }
    if !wrong.is_empty() {
        return wrong;
    }
    agreement(run, &mut wrong);
    visibility(run, &mut wrong);
    registries::registries(scenario, run, &mut wrong);
    cost(run, &mut wrong);
    if undamaged {
        match &run.ranks[0].ended {
            Some(Ok(_)) => expected::verdicts(scenario, run, &mut wrong),
            other => wrong.push(format!("no fault, and yet {other:?}")),
        }
    }
    wrong
}

/// The same result on every rank. Where no plan travelled, a rank keeps its own paths and spellings.
fn agreement(run: &Run, wrong: &mut Vec<String>) {
    let first = run.ranks[0].ended.as_ref();
    let passes = first.and_then(|ended| ended.as_ref().ok()).map_or(0, |report| report.rounds);
    let travelled = run.ranks.iter().all(|rank| rank.exchanges == passes);
    for (rank, other) in run.ranks.iter().enumerate().skip(1) {
        let same = match (first, other.ended.as_ref()) {
            (Some(Ok(one)), Some(Ok(other))) => {
                let pairs = || one.items.iter().zip(&other.items);
                one.rounds == other.rounds
                    && one.items.len() == other.items.len()
                    && pairs().all(|((a, is), (b, was))| is == was && (a == b || (!travelled && bare(a) == bare(b))))
            }
            (one, other) => one == other,
        };
        if !same {
            wrong.push(format!("rank 0 was told {first:?}, rank {rank} {:?}", other.ended));
        }
    }
}

fn bare(item: &Item) -> Item {
    let mut item = item.clone();
    if let What::Library(library) | What::Unload(library) = &mut item.what
        && library.identity.is_some()
    {
        library.path = None;
        library.spellings.clear();
    }
    item
}

/// What is visible was committed, on every rank alike; nothing is left in the queue.
fn visibility(run: &Run, wrong: &mut Vec<String>) {
    let visible = &run.ranks[0].host.visible;
    for (number, rank) in run.ranks.iter().enumerate() {
        let open: Vec<&Thing> = rank.host.undecided().collect();
        if !open.is_empty() && run.world.damaged() == 0 {
            wrong.push(format!("rank {number} has {open:?} neither committed nor undone"));
        }
        if rank.host.visible != *visible {
            wrong.push(format!("rank 0 sees {visible:?}, rank {number} {:?}", rank.host.visible));
        }
        let Some(Ok(report)) = &rank.ended else { continue };
        let mut committed: BTreeSet<Thing> = run.before.visible.clone();
        for (item, _) in report.items.iter().filter(|(_, verdict)| *verdict == Verdict::Committed) {
            let thing = Thing::of(&item.what);
            if let Thing::Unload(content) = thing {
                committed.remove(&Thing::Library(content));
            }
            committed.insert(thing);
        }
        // A damaged plan may have one library under two names.
        let damaged = run.world.damaged() > 0;
        if rank.host.visible != committed && !(damaged && rank.host.visible.is_subset(&committed)) {
            wrong.push(format!("rank {number} sees {:?}, committed were {committed:?}", rank.host.visible));
        }
        if run.world.damaged() == 0 {
            if !rank.host.pending.is_empty() {
                wrong.push(format!("rank {number} is left with {:?}", rank.host.pending));
            }
            // What only an undone plugin asked for is not looked at.
            let dropped = |what: &What| {
                let mut asks =
                    rank.host.asks.iter().filter(|(_, asked)| Thing::of(asked) == Thing::of(what)).peekable();
                let undone = |(asker, _): &(Thing, What)| expected::is_undone(report, asker);
                asks.peek().is_some() && asks.all(undone)
            };
            for (_, what) in &rank.host.asked {
                if !dropped(what) && !report.items.iter().any(|(item, _)| expected::answers(&item.what, what)) {
                    wrong.push(format!("rank {number} asked for {what:?} and has no verdict"));
                }
            }
        }
    }
}

/// A constant number of collectives a pass, and a tree of messages each.
fn cost(run: &Run, wrong: &mut Vec<String>) {
    let host = &run.ranks[0].host;
    // Agree, exchange, two of the stage, two each of libraries and modules; a second try for every library that
    // became GLOBAL; the last agreement, which finds nothing.
    let most = 8 * host.pass as usize + 2 * host.global.len() + 1;
    let (collectives, messages) = (run.world.collectives(), run.world.messages());
    if collectives > most || messages > 2 * (run.ranks.len() as u64 - 1) * collectives as u64 {
        wrong.push(format!("{collectives} collectives, {messages} messages in {} passes", host.pass));
    }
}

/// Runs a scenario and panics with everything there is to know if anything is wrong.
pub fn check(scenario: &Scenario) -> Run {
    checked(scenario, super::run::run(scenario))
}

/// The same for the next call of a session.
pub fn check_next(last: Run, scenario: &Scenario) -> Run {
    checked(scenario, super::run::run_next(last, scenario))
}

fn checked(scenario: &Scenario, run: Run) -> Run {
    let wrong = violations(scenario, &run);
    assert!(wrong.is_empty(), "seed {}: {wrong:#?}\n{:#?}\n{scenario:#?}", scenario.seed, run.ranks[0].ended);
    run
}
