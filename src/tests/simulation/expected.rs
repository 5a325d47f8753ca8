//! The verdicts that a scenario must come to: from what its ranks have and let fail, not from the machine.
//!
//! What fails by itself is `failing`'s.

use std::collections::{BTreeMap, BTreeSet};

use super::failing::State;
use super::run::Run;
use super::scenario::{Content, Scenario};
use super::thing::Thing;
use crate::error::Phase;
use crate::outcome::{Cause, Verdict};
use crate::plan::{Item, What};
use crate::ranks::RankSet;
use crate::request::OpenFlags;
use crate::round::Report;

/// An item of the report, and what the scenario lets happen to it.
struct Entry<'a> {
    item: &'a Item,
    verdict: &'a Verdict,
    thing: Thing,
    pass: u32,
    /// In which phases and on which ranks it fails by itself.
    phases: Vec<Phase>,
    failing: RankSet,
    /// Which others may be named beside them.
    perhaps: RankSet,
}

/// Each item has the verdict that the scenario gives it: undone with exactly the ranks that fail, or because something that
/// its code asked for is undone, or committed.
pub fn verdicts(scenario: &Scenario, run: &Run, wrong: &mut Vec<String>) {
    // A bare name that means different files is refused before anything is tried, so that it cannot be told in which pass.
    // `sameness` has a claim of its own; here it is rare.
    let ambiguous = |cause: &Cause| cause.failure.message.contains("means different files");
    let refused =
        |(_, verdict): &(Item, Verdict)| matches!(verdict, Verdict::Undone(causes) if causes.iter().any(ambiguous));
    if run.report().items.iter().any(refused) {
        return;
    }
    let entries = entries(scenario, run);
    let undone = undone(run, &entries);
    for (at, entry) in entries.iter().enumerate() {
        let Entry { item, verdict, thing, pass, phases, failing, perhaps } = entry;
        let told = match verdict {
            Verdict::Committed => RankSet::default(),
            Verdict::Undone(causes) => ranks_of(causes),
        };
        if failing.is_empty() && undone.is_none() {
            // It may be either; the ranks are held to the same by others.
        } else if failing.is_empty() && undone.as_ref().is_some_and(|undone| undone[at]) {
            let asking = |cause: &Cause| cause.failure.message.starts_with("it asks for `");
            if !matches!(verdict, Verdict::Undone(causes) if !causes.is_empty() && causes.iter().all(asking)) {
                wrong.push(format!("{thing:?}: what it asked for is undone, told {verdict:?}"));
            }
        } else if !failing.iter().all(|rank| told.contains(rank))
            || !told.iter().all(|rank| failing.contains(rank) || (!failing.is_empty() && perhaps.contains(rank)))
            || (**verdict == Verdict::Committed) != failing.is_empty()
        {
            wrong.push(format!("{thing:?}: expected failures on {failing}, told {verdict:?}"));
        } else if let Verdict::Undone(causes) = verdict
            && causes.iter().any(|cause| !phases.contains(&cause.failure.phase))
        {
            wrong.push(format!("{thing:?}: expected {phases:?}, told {causes:?}"));
        }
        for copies in &item.copies {
            let known = match thing {
                Thing::Library(content) => scenario.ranks[copies.rank as usize].copies.get(content),
                _ => None,
            };
            let told = item.copies.iter().filter(|other| other.rank == copies.rank).count();
            if known != Some(&copies.paths) || told > 1 {
                wrong.push(format!("{thing:?}: copies {:?}", item.copies));
            }
        }
        asked(run, item, *pass, wrong);
    }
}

fn entries<'a>(scenario: &Scenario, run: &'a Run) -> Vec<Entry<'a>> {
    let mut seen: BTreeMap<Thing, usize> = BTreeMap::new();
    let mut committed: BTreeSet<Content> = run.before.committed.keys().copied().collect();
    let mut entries: Vec<Entry> = Vec::new();
    // Of the running pass, which sees none of them.
    let mut counted = 0;
    for (item, verdict) in &run.report().items {
        let thing = Thing::of(&item.what);
        // The same thing may be asked for again in a later pass.
        let turn = seen.entry(thing.clone()).or_default();
        let pass = passes(run, &thing).into_iter().nth(*turn).unwrap_or(0);
        *turn += 1;
        while counted < entries.len() && entries[counted].pass < pass {
            let entry = &entries[counted];
            counted += 1;
            match (&entry.thing, entry.failing.is_empty()) {
                (Thing::Unload(content), true) => {
                    committed.remove(content);
                }
                (thing, true) => committed.extend(thing.carries()),
                _ => {}
            }
        }
        let global = |content: Content| run.ranks[0].host.global.get(&content).is_some_and(|&since| since <= pass);
        let staged = run.ranks[0].host.staging.contains(&pass);
        let state = State { scenario, item, pass, committed: &committed, global: &global, staged };
        let (phases, failing) = state.expected(&thing, run);
        let perhaps = state.perhaps(&thing, run);
        entries.push(Entry { item, verdict, thing, pass, phases, failing, perhaps });
    }
    entries
}

/// From failures to whoever asked for what failed, until nothing changes. None where it cannot be told: what somebody
/// asked for failed in one pass, and in another it did not.
fn undone(run: &Run, entries: &[Entry]) -> Option<Vec<bool>> {
    let asks: Vec<&(Thing, What)> = run.ranks.iter().flat_map(|rank| &rank.host.asks).collect();
    let fates = |what: &What| {
        let told = entries.iter().filter(|entry| answers(&entry.item.what, what));
        told.map(|entry| entry.failing.is_empty()).collect::<BTreeSet<bool>>()
    };
    if asks.iter().any(|(_, what)| fates(what).len() > 1) {
        return None;
    }
    let mut undone: Vec<bool> = entries.iter().map(|entry| !entry.failing.is_empty()).collect();
    loop {
        let lost = |what: &What| {
            let told = entries.iter().zip(&undone).filter(|(_, undone)| **undone);
            told.into_iter().any(|(entry, _)| answers(&entry.item.what, what))
        };
        let next = entries.iter().zip(&undone).position(|(entry, undone)| {
            let asked = |(asker, what): &&(Thing, What)| stands_for(&entry.thing, asker) && lost(what);
            !undone && asks.iter().copied().any(|ask| asked(&ask))
        });
        let Some(next) = next else { return Some(undone) };
        undone[next] = true;
    }
}

/// What a library asks for is asked for by everything that needs the library.
fn stands_for(thing: &Thing, asker: &Thing) -> bool {
    thing == asker || matches!(asker, Thing::Library(content) if thing.carries() == Some(*content))
}

/// Whether all that stands for an asker is undone.
pub fn is_undone(report: &Report, asker: &Thing) -> bool {
    let mut standing = report.items.iter().filter(|(item, _)| stands_for(&Thing::of(&item.what), asker)).peekable();
    standing.peek().is_some() && standing.all(|(_, verdict)| *verdict != Verdict::Committed)
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
                // What only undone items asked for is dropped where they did.
                let same = |asked: &What| Thing::of(asked) == Thing::of(what);
                let dropped = |(asker, asked): &(Thing, What)| same(asked) && is_undone(run.report(), asker);
                if same(&item.what) && !other.host.asks.iter().any(dropped) {
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

/// Whether an item of the report is about what a rank asked for.
pub fn answers(told: &What, asked: &What) -> bool {
    match (told, asked) {
        (What::Library(told), What::Library(asked)) | (What::Unload(told), What::Unload(asked))
            if asked.identity.is_none() =>
        {
            asked.spellings.iter().any(|spelling| told.spellings.contains(spelling))
        }
        _ => Thing::of(told) == Thing::of(asked),
    }
}
