//! Which plugins the ranks must have after a run: from what was committed, not from how they got there.

use std::collections::BTreeSet;

use super::run::Run;
use super::scenario::{Content, Scenario};
use super::tables::Slot;
use super::thing::Thing;
use crate::outcome::Verdict;

/// The same numbers, plugins and visible tasks on every rank; of undone items none; no number twice.
pub fn registries(scenario: &Scenario, run: &Run, wrong: &mut Vec<String>) {
    let host = &run.ranks[0].host;
    let first = (&host.registry, &host.staged);
    for (number, rank) in run.ranks.iter().enumerate().skip(1) {
        let other = (&rank.host.registry, &rank.host.staged);
        if other != first {
            wrong.push(format!("rank 0 has the plugins {first:?}, rank {number} {other:?}"));
        }
    }
    for (number, (was, is)) in run.before.registry.iter().zip(first.0).enumerate() {
        if was.content != is.content || (is.live && !was.live) || (is.live && is.visible < was.visible) {
            wrong.push(format!("number {number} was {was:?} and is {is:?}"));
        }
    }
    let Some(Ok(report)) = &run.ranks[0].ended else { return };
    if !first.1.is_empty() {
        wrong.push(format!("left without a number: {:?}", first.1));
    }
    let mut expected: BTreeSet<Content> = live(&run.before.registry);
    for (item, verdict) in &report.items {
        match Thing::of(&item.what) {
            _ if *verdict != Verdict::Committed => {}
            Thing::Unload(content) => {
                expected.remove(&content);
            }
            thing => expected.extend(
                thing.carries().filter(|content| scenario.ranks.iter().all(|rank| rank.plugins.contains_key(content))),
            ),
        }
    }
    let known = live(first.0);
    if run.world.damaged() == 0 && known != expected {
        wrong.push(format!("registered are {known:?}, committed were {expected:?}"));
    }
    if known.len() != first.0.iter().filter(|slot| slot.live).count() {
        wrong.push(format!("a plugin has two numbers: {:?}", first.0));
    }
}

fn live(slots: &[Slot]) -> BTreeSet<Content> {
    slots.iter().filter(|slot| slot.live).map(|slot| slot.content).collect()
}
