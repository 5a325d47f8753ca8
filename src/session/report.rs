//! What a call came to, as the user reads it: names, paths on this rank, failures with hosts.

use std::path::PathBuf;

use serde::Serialize;

use super::Shared;
use super::call::{Call, Own};
use super::service::PastItem;
use crate::error::{Phase, RankFailure, Undone};
use crate::identity::Identity;
use crate::outcome::{Cause, Failure, Verdict};
use crate::plan::{Callback, Item, What};
use crate::request::Request;
use crate::round::Report;

/// One request that every rank has now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Committed {
    /// "library", "module", "callback" or "unload".
    pub kind: &'static str,
    /// As it was asked for.
    pub name: String,
    /// The library's file on this rank.
    pub path: Option<PathBuf>,
    /// What the library is.
    pub identity: Option<String>,
    /// Who asked.
    pub ranks: Vec<u32>,
}

/// One request that failed on some rank, and is undone on all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UndoneRequest {
    /// The whole story in words, several lines.
    pub error: String,
    /// The same in parts.
    #[serde(flatten)]
    pub undone: Undone,
    /// Who asked.
    pub ranks: Vec<u32>,
}

/// Copies of one library that a program opened itself: their constructors have run once each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopiesFound {
    /// As it was asked for.
    pub name: String,
    /// Where.
    pub rank: u32,
    /// On which host.
    pub host: String,
    /// The files.
    pub paths: Vec<String>,
}

/// What a round did. The same on every rank, but for the paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Passes that had something to do.
    pub rounds: u32,
    /// On every rank.
    pub committed: Vec<Committed>,
    /// On none.
    pub undone: Vec<UndoneRequest>,
    /// Found on the way.
    pub copies: Vec<CopiesFound>,
    /// Left out on some ranks, and on the others as the verdict says.
    pub skipped: Vec<Skipped>,
}

/// A module or callback in Python, and the ranks whose processes have no Python to do it with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// "module" or "callback".
    pub kind: &'static str,
    /// As it was asked for.
    pub name: String,
    /// Who has left it out.
    pub ranks: Vec<u32>,
    /// Of each of these ranks.
    pub hosts: Vec<String>,
}

pub(super) fn sync_report(shared: &Shared, report: &Report) -> SyncReport {
    let mut sync = SyncReport { rounds: report.rounds, ..SyncReport::default() };
    for (item, verdict) in &report.items {
        let ranks: Vec<u32> = item.holders.iter().collect();
        match verdict {
            Verdict::Committed => {
                let identity = identity_of(item);
                sync.committed.push(Committed {
                    kind: kind(item),
                    name: item.name().into(),
                    path: identity.and_then(Call::library_of).map(|library| library.path().to_path_buf()),
                    identity: identity.map(ToString::to_string),
                    ranks,
                });
            }
            Verdict::Undone(causes) => {
                let undone = undone(shared, item, causes);
                sync.undone.push(UndoneRequest { error: undone.to_string(), undone, ranks });
            }
        }
        sync.copies.extend(item.copies.iter().map(|copies| CopiesFound {
            name: item.name().into(),
            rank: copies.rank,
            host: shared.host_of(copies.rank),
            paths: copies.paths.clone(),
        }));
    }
    sync.skipped.extend(report.skipped.iter().map(|(item, ranks)| Skipped {
        kind: kind(item),
        name: item.name().into(),
        ranks: ranks.iter().collect(),
        hosts: ranks.iter().map(|rank| shared.host_of(rank)).collect(),
    }));
    sync
}

/// What of a round has failed.
pub(super) fn failed(shared: &Shared, report: &Report) -> impl Iterator<Item = Undone> {
    failed_items(report).map(|(item, causes)| undone(shared, item, causes))
}

fn failed_items(report: &Report) -> impl Iterator<Item = (&Item, &[Cause])> {
    report.items.iter().filter_map(|(item, verdict)| match verdict {
        Verdict::Undone(causes) => Some((item, &**causes)),
        Verdict::Committed => None,
    })
}

/// What nobody waits to hear of, although this rank has asked for it: it failed.
pub(super) fn unheard(shared: &Shared, recorded: &[Request], report: &Report) -> Vec<Undone> {
    let asked = |item: &Item| recorded.iter().any(|request| is(item, request));
    failed_items(report).filter(|(item, _)| asked(item)).map(|(item, causes)| undone(shared, item, causes)).collect()
}

/// The items of a round, for a report that is written at the end.
pub(super) fn past_items(shared: &Shared, report: &Report) -> Vec<PastItem> {
    let one = |(item, verdict): &(Item, Verdict)| {
        let error = match verdict {
            Verdict::Committed => None,
            Verdict::Undone(causes) => Some(undone(shared, item, causes).to_string()),
        };
        let (kind, name, asked_by) = (kind(item), item.name().into(), item.holders.iter().collect());
        PastItem { kind, name, asked_by, committed: error.is_none(), error }
    };
    report.items.iter().map(one).collect()
}

fn kind(item: &Item) -> &'static str {
    match item.what {
        What::Library(_) => "library",
        What::Module { .. } => "module",
        What::Callback(_) => "callback",
        What::Unload(_) => "unload",
        What::Invalid { .. } => "call",
    }
}

fn undone(shared: &Shared, item: &Item, causes: &[Cause]) -> Undone {
    let failures = causes.iter().map(|cause| RankFailure {
        ranks: cause.ranks.iter().collect(),
        hosts: cause.ranks.iter().map(|rank| shared.host_of(rank)).collect(),
        phase: cause.failure.phase,
        message: cause.failure.message.clone(),
        traceback: cause.failure.traceback.clone(),
    });
    Undone { kind: kind(item), name: item.name().into(), size: shared.size, failures: failures.collect() }
}

/// What this rank does not even ask the others for.
pub(super) fn refused(shared: &Shared, request: &Request, failure: Failure) -> Undone {
    let (kind, name) = match request {
        Request::Library { spelling, .. } => ("library", spelling.clone()),
        Request::Unload { spelling } => ("unload", spelling.clone()),
        Request::Module { name } => ("module", name.clone()),
        Request::Callback { code, tag } => ("callback", Callback::new(code.clone(), *tag).name),
        Request::Invalid { message } => ("call", message.clone()),
    };
    let (ranks, hosts) = (vec![shared.rank], vec![shared.host_of(shared.rank)]);
    let Failure { phase, message, traceback } = failure;
    Undone { kind, name, size: shared.size, failures: vec![RankFailure { ranks, hosts, phase, message, traceback }] }
}

/// What became of the request that the call itself made.
///
/// `mine` is the library that it means on this rank.
pub(super) fn own(shared: &Shared, own: &Request, mine: Option<Identity>, report: &Report) -> Option<Own> {
    // Two ranks may mean different files by one spelling: this rank's own comes first.
    let mut verdicts = report.items.iter().rev().filter(|(item, _)| is(item, own));
    let first = verdicts.clone().next();
    let verdict = verdicts.find(|(item, _)| mine.is_some() && identity_of(item) == mine.as_ref()).or(first);
    if let (Some((item, Verdict::Undone(causes))), false) = (verdict, matches!(own, Request::Invalid { .. })) {
        return Some(Own::Undone(undone(shared, item, causes)));
    }
    match own {
        Request::Library { .. } => {
            // Committed now, or long ago: then no item was needed.
            let identity = verdict.and_then(|(item, _)| identity_of(item).cloned()).or(mine);
            // Long ago, and taken away by another rank in this very round.
            let unloaded = report.items.iter().find(|(item, verdict)| {
                let is_unload = matches!(item.what, What::Unload(_)) && *verdict == Verdict::Committed;
                is_unload && identity_of(item) == identity.as_ref()
            });
            if let (None, Some((item, _))) = (verdict, unloaded) {
                let failure = Failure::new(Phase::Call, "was unloaded in the same round, by these ranks");
                let cause = Cause { item: 0, failure, ranks: item.holders.clone() };
                return Some(Own::Undone(Undone { kind: "library", ..undone(shared, item, &[cause]) }));
            }
            identity.as_ref().and_then(Call::library_of).map(Own::Library)
        }
        Request::Module { name } => verdict.map(|_| Own::Module(name.clone())),
        Request::Callback { .. } => Some(Own::Called),
        Request::Unload { .. } => Some(Own::Unloaded),
        Request::Invalid { message } => Some(Own::Invalid(message.clone())),
    }
}

fn identity_of(item: &Item) -> Option<&Identity> {
    match &item.what {
        What::Library(library) | What::Unload(library) => library.identity.as_ref(),
        _ => None,
    }
}

fn is(item: &Item, own: &Request) -> bool {
    match (&item.what, own) {
        (What::Library(library), Request::Library { spelling, .. }) => library.spellings.contains(spelling),
        (What::Module { name }, Request::Module { name: wanted }) => name == wanted,
        (What::Invalid { message }, Request::Invalid { message: own }) => message == own,
        (What::Callback(callback), Request::Callback { code, tag }) => {
            callback.tag == *tag && callback.key() == Callback::new(code.clone(), *tag).key()
        }
        (What::Unload(library), Request::Unload { spelling }) => library.spellings.contains(spelling),
        _ => false,
    }
}
