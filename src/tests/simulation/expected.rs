//! The verdicts that a scenario must come to: from what its ranks have and let fail, not from the machine.

use std::collections::{BTreeMap, BTreeSet};

use super::host::Thing;
use super::run::Run;
use super::scenario::{Content, Importing, Opening, Scenario};
use crate::error::Phase;
use crate::outcome::{Cause, Verdict};
use crate::plan::{Item, What};
use crate::ranks::RankSet;
use crate::request::OpenFlags;

/// Each item has the verdict that the scenario gives it, with exactly the ranks that fail.
pub fn verdicts(scenario: &Scenario, run: &Run, wrong: &mut Vec<String>) {
    let mut seen: BTreeMap<Thing, usize> = BTreeMap::new();
    for (item, verdict) in &run.report().items {
        let thing = Thing::of(&item.what);
        // The same thing may be asked for again in a later pass.
        let turn = seen.entry(thing.clone()).or_default();
        let pass = passes(run, &thing).into_iter().nth(*turn).unwrap_or(0);
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
        asked(run, item, pass, wrong);
    }
}

/// The passes that had this thing in their plan.
fn passes(run: &Run, thing: &Thing) -> BTreeSet<u32> {
    let tried = &run.ranks[0].host.tried;
    let tried: BTreeSet<u32> = tried.iter().filter(|(_, other)| other == thing).map(|(pass, _)| *pass).collect();
    // A bad call is never tried.
    let asked = run.ranks.iter().flat_map(|rank| &rank.host.asked);
    if tried.is_empty() {
        asked.filter(|(_, what)| Thing::of(what) == *thing).map(|(pass, _)| *pass).collect()
    } else {
        tried
    }
}

/// The holders are those who asked in this pass, and the flags are joined from theirs. Whoever asked without finding it
/// counts where no other item took its spelling.
fn asked(run: &Run, item: &Item, pass: u32, wrong: &mut Vec<String>) {
    let (mut holders, mut perhaps) = (RankSet::default(), RankSet::default());
    let (mut flags, mut perhaps_flags) = (Vec::new(), Vec::new());
    for (rank, other) in (0..).zip(&run.ranks) {
        for (_, what) in other.host.asked.iter().filter(|asked| asked.0 == pass) {
            if answers(&item.what, what) {
                perhaps.insert(rank);
                perhaps_flags.extend(flags_of(what));
                if Thing::of(&item.what) == Thing::of(what) {
                    holders.insert(rank);
                    flags.extend(flags_of(what));
                }
            }
        }
    }
    let joined = |flags: Vec<OpenFlags>| flags.into_iter().reduce(OpenFlags::joined);
    let within = |less: Option<OpenFlags>, more: Option<OpenFlags>| less.is_none() || joined_with(less, more) == more;
    let told = flags_of(&item.what);
    let (flags, perhaps_flags) = (joined(flags), joined(perhaps_flags));
    let held = holders.iter().all(|rank| item.holders.contains(rank))
        && item.holders.iter().all(|rank| perhaps.contains(rank))
        && !item.holders.is_empty();
    if !held || !within(flags, told) || !within(told, perhaps_flags) {
        wrong
            .push(format!("{item:?}: asked for by {holders} with {flags:?}, perhaps {perhaps} with {perhaps_flags:?}"));
    }
}

fn joined_with(one: Option<OpenFlags>, other: Option<OpenFlags>) -> Option<OpenFlags> {
    one.zip(other).map(|(one, other)| one.joined(other))
}

fn flags_of(what: &What) -> Option<OpenFlags> {
    match what {
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
        Thing::Invalid(_) | Thing::Callback(_) => (&[Phase::Call], item.holders.clone()),
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

/// Whether an item of the report is about what a rank asked for.
pub fn answers(told: &What, asked: &What) -> bool {
    match (told, asked) {
        (What::Library(told), What::Library(asked)) if asked.identity.is_none() => {
            asked.spellings.iter().any(|spelling| told.spellings.contains(spelling))
        }
        _ => Thing::of(told) == Thing::of(asked),
    }
}
