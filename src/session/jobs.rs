//! What a round wants done on this rank: the joint between the round's jobs and the host.
//!
//! Whatever goes wrong here becomes a value for the next collective.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{CallError, Core, Shared, lock};
use crate::comm::mpi::world;
use crate::host::{Opener, dl};
use crate::identity::Identity;
use crate::importer::ImportJob;
use crate::intercept::maps::{self, Watch};
use crate::outcome::Failure;
use crate::plan::{Copies, Item, Plan, What};
use crate::ranks::RankSet;
use crate::request::{OpenFlags, Request};
use crate::round::Done;

/// Everything that this rank wants and not every rank has: what was recorded, then the call's own request.
///
/// Also which library the own request means.
pub(super) fn gather(shared: &Shared, core: &mut Core, own: Option<Request>) -> (Plan, Option<Identity>) {
    tell_mapped();
    let mut means = None;
    let recorded: Vec<Request> = lock(&shared.pending).drain(..).collect();
    let requests = recorded.into_iter().map(|request| (request, false)).chain(own.map(|own| (own, true)));
    let mut plan = Plan::default();
    let mut host = dl::host(core.node.as_mut());
    for (request, is_own) in requests {
        let (what, copies) = match request {
            Request::Library { spelling, flags, opened } => {
                let library = host.find(&spelling, flags, opened);
                if is_own {
                    means.clone_from(&library.identity);
                }
                let paths = host.copies(&library);
                let known = library.identity.as_ref().and_then(|identity| core.committed.get(identity));
                if paths.is_empty() && known.is_some_and(|flags| covers(*flags, library.flags)) {
                    continue;
                }
                let copies = if paths.is_empty() { Vec::new() } else { vec![Copies { rank: shared.rank, paths }] };
                (What::Library(library), copies)
            }
            Request::Module { name } => (What::Module { name }, Vec::new()),
            Request::Invalid { message } => (What::Invalid { message }, Vec::new()),
        };
        plan.add(Item { what, holders: RankSet::one(shared.rank), copies });
    }
    (plan, means)
}

/// Whether a library that was committed with `had` needs nothing done for `wanted`.
fn covers(had: OpenFlags, wanted: OpenFlags) -> bool {
    !wanted.contains(OpenFlags::GLOBAL) || had.contains(OpenFlags::GLOBAL)
}

/// What the host has been told of: one a process, as the host is.
static WATCH: Mutex<Option<Watch>> = Mutex::new(None);
/// An MPI has come into the process that has not been found to be the right one.
static MPI_CAME: AtomicBool = AtomicBool::new(true);

/// The host hears of objects that anybody has mapped since.
pub(super) fn tell_mapped() {
    if dl::is_opening() {
        // A constructor: this thread has the host already.
        return;
    }
    let (news, everything) = lock(&WATCH).get_or_insert_default().news();
    if news.is_empty() {
        return;
    }
    if news.iter().any(|new| world::is_mpi(&new.path)) {
        MPI_CAME.store(true, Ordering::Relaxed);
    }
    dl::host(None).note_mapped(news.into_iter().map(|new| (new.path, new.base)).collect(), everything, maps::inode_at);
}

/// Before anything is sent: has another MPI come in?
pub(super) fn look_around() -> Result<(), CallError> {
    tell_mapped();
    if MPI_CAME.load(Ordering::Relaxed) {
        super::attach::refuse_other_mpi()?;
        MPI_CAME.store(false, Ordering::Relaxed);
    }
    Ok(())
}

fn tried(shared: &Shared, items: &[(u32, Item)], mut attempt: impl FnMut(&Item) -> Result<(), Failure>) -> Done {
    let failed = items.iter().filter_map(|(index, item)| Some((*index, attempt(item).err()?))).collect();
    Done::Tried { failed, more: !lock(&shared.pending).is_empty() }
}

pub(super) fn stage(shared: &Shared, core: &mut Core, items: &[(u32, Item)]) -> Done {
    tell_mapped();
    let mut host = dl::host(core.node.as_mut());
    tried(shared, items, |item| host.stage(item))
}

pub(super) fn open(shared: &Shared, core: &mut Core, items: &[(u32, Item)]) -> Done {
    let mut host = dl::host(core.node.as_mut());
    tried(shared, items, |item| match &item.what {
        What::Library(library) => host.open(library),
        _ => Ok(()),
    })
}

/// Libraries are settled here; what is to be done about modules is returned, for Python to do.
pub(super) fn settle(core: &mut Core, commit: &[Item], undo: &[Item]) -> Vec<ImportJob> {
    let mut host = dl::host(None);
    for item in commit {
        let What::Library(library) = &item.what else { continue };
        if let Err(failure) = host.commit(library) {
            // The object is open, so the loader has no reason to refuse; a program that sees this has closed it itself.
            eprintln!("dlcast: {}: {}", failure.phase, failure.message);
        }
        if let Some(identity) = &library.identity {
            let flags = core.committed.entry(identity.clone()).or_insert(library.flags);
            *flags = flags.joined(library.flags);
        }
    }
    let name = |item: &Item| match &item.what {
        What::Module { name } => Some(name.clone()),
        _ => None,
    };
    let committed = commit.iter().filter_map(name).map(ImportJob::Commit);
    committed.chain(undo.iter().filter_map(name).map(ImportJob::Undo)).collect()
}
