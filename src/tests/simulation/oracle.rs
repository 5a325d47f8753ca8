//! What must hold after every run, worked out from the scenario alone; the machine is not asked.

use std::collections::{BTreeMap, BTreeSet};

use super::host::Thing;
use super::run::Run;
use super::scenario::{Content, Importing, Opening, Scenario};
use crate::error::Phase;
use crate::outcome::{Cause, Verdict};
use crate::plan::{Item, What};
use crate::ranks::RankSet;
use crate::request::OpenFlags;

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
    cost(run, &mut wrong);
    if undamaged {
        match &run.ranks[0].ended {
            Some(Ok(_)) => verdicts(scenario, run, &mut wrong),
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
    if let What::Library(library) = &mut item.what
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
        let committed: BTreeSet<Thing> = report
            .items
            .iter()
            .filter(|(_, verdict)| *verdict == Verdict::Committed)
            .map(|(item, _)| Thing::of(&item.what))
            .collect();
        if rank.host.visible != committed {
            wrong.push(format!("rank {number} sees {:?}, committed were {committed:?}", rank.host.visible));
        }
        if run.world.damaged() == 0 {
            if !rank.host.pending.is_empty() {
                wrong.push(format!("rank {number} is left with {:?}", rank.host.pending));
            }
            for what in &rank.host.asked {
                if !report.items.iter().any(|(item, _)| answers(&item.what, what)) {
                    wrong.push(format!("rank {number} asked for {what:?} and has no verdict"));
                }
            }
        }
    }
}

/// Whether an item of the report is about what a rank asked for.
fn answers(told: &What, asked: &What) -> bool {
    match (told, asked) {
        (What::Library(told), What::Library(asked)) if asked.identity.is_none() => {
            asked.spellings.iter().any(|spelling| told.spellings.contains(spelling))
        }
        _ => Thing::of(told) == Thing::of(asked),
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

/// Each item has the verdict that the scenario gives it, with exactly the ranks that fail.
fn verdicts(scenario: &Scenario, run: &Run, wrong: &mut Vec<String>) {
    let mut seen: BTreeMap<Thing, usize> = BTreeMap::new();
    for (item, verdict) in &run.report().items {
        let thing = Thing::of(&item.what);
        let host = &run.ranks[0].host;
        // The same thing may be asked for again in a later pass.
        let mut passes: Vec<u32> = host.tried.iter().filter(|tried| tried.1 == thing).map(|tried| tried.0).collect();
        passes.dedup();
        let turn = seen.entry(thing.clone()).or_default();
        let pass = passes.get(*turn).copied().unwrap_or(host.pass);
        *turn += 1;
        let global = |content: Content| run.ranks[0].host.global.get(&content).is_some_and(|&since| since <= pass);
        let (phases, failing) = expected(scenario, item, &thing, global);
        let told = match verdict {
            Verdict::Committed => RankSet::default(),
            Verdict::Undone(causes) => ranks_of(causes),
        };
        if told != failing || (*verdict == Verdict::Committed) != failing.is_empty() {
            wrong.push(format!("{thing:?}: expected failures on {failing}, told {verdict:?}"));
        }
        if let Verdict::Undone(causes) = verdict
            && causes.iter().any(|cause| !phases.contains(&cause.failure.phase))
        {
            wrong.push(format!("{thing:?}: expected {phases:?}, told {causes:?}"));
        }
        for copies in &item.copies {
            let known = match thing {
                Thing::Library(content) => scenario.ranks[copies.rank as usize].copies.get(&content),
                _ => None,
            };
            let told = item.copies.iter().filter(|other| other.rank == copies.rank).count();
            if known != Some(&copies.paths) || told > 1 {
                wrong.push(format!("{thing:?}: copies {:?}", item.copies));
            }
        }
        let joined = item_flags(item).is_none_or(|flags| flags == flags.settled());
        if !joined || !item.holders.within(scenario.size()) || item.holders.is_empty() {
            wrong.push(format!("{thing:?}: {item:?}"));
        }
    }
}

fn item_flags(item: &Item) -> Option<OpenFlags> {
    match &item.what {
        What::Library(library) => Some(library.flags),
        _ => None,
    }
}

fn ranks_of(causes: &[Cause]) -> RankSet {
    causes.iter().flat_map(|cause| cause.ranks.iter()).collect()
}

/// In which phases and on which ranks an item must fail; on none: it must be committed.
fn expected(
    scenario: &Scenario,
    item: &Item,
    thing: &Thing,
    global: impl Fn(Content) -> bool,
) -> (&'static [Phase], RankSet) {
    let ranks = |fails: &dyn Fn(u32) -> bool| (0..scenario.size()).filter(|&rank| fails(rank)).collect::<RankSet>();
    let spec = |rank: u32| &scenario.ranks[rank as usize];
    match thing {
        Thing::Unfound(_) => (&[Phase::Resolve], ranks(&|_| true)),
        Thing::Invalid(_) => (&[Phase::Call], item.holders.clone()),
        Thing::Module(name) => {
            let fails = |rank| match spec(rank).importing(name) {
                Importing::Works => false,
                Importing::Raises => true,
                Importing::Needs(other) => !global(other),
            };
            (&[Phase::Import], ranks(&fails))
        }
        Thing::Library(content) => {
            let lacking = ranks(&|rank| !spec(rank).has(*content));
            if !lacking.is_empty() {
                return (&[Phase::Stage], lacking);
            }
            let fails = |rank| match spec(rank).opening(*content) {
                Opening::Works => false,
                Opening::Fails | Opening::Panics => true,
                Opening::Needs(other) => !global(other),
            };
            (&[Phase::Open], ranks(&fails))
        }
    }
}

/// Runs a scenario and panics with everything there is to know if anything is wrong.
pub fn check(scenario: &Scenario) -> Run {
    let run = super::run::run(scenario);
    let wrong = violations(scenario, &run);
    assert!(wrong.is_empty(), "seed {}: {wrong:#?}\n{scenario:#?}", scenario.seed);
    run
}
