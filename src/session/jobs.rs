//! What a round wants done on this rank: the joint between the round's jobs and the host.
//!
//! Whatever goes wrong here becomes a value for the next collective.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::pending::Pending;
use super::register::{self, identity_of};
use super::{CallError, Shared, State, lock, program, record, service, write};
use crate::error::{Phase, complain};
use crate::host::{Opener, dl, inside};
use crate::identity::Identity;
use crate::importer::ImportJob;
use crate::intercept::maps::{self, Mapped, Watch};
use crate::outcome::Failure;
use crate::plan::{self, Callback, Copies, Item, Key, Library, Plan, What};
use crate::request::{Lane, OpenFlags, Request};
use crate::round::{Done, Growth, More};
use crate::task::Shapes;
use crate::vendor;

/// What this rank brings to a pass of a round.
pub(super) struct Gathered {
    pub plan: Plan,
    /// The library that the request of a ticket means on this rank.
    pub means: Vec<(u64, Option<Identity>)>,
    /// What nobody waits for.
    pub recorded: Vec<Request>,
}

/// Everything of `taken` that not every rank has.
pub(super) fn gather(shared: &Shared, state: &mut State, taken: Vec<Pending>) -> Gathered {
    let mut means = Vec::new();
    let mut recorded = Vec::new();
    let mut plan = Plan::default();
    let (node, mut host) = (&mut state.node, None);
    // Taken for libraries only: Python's lane is not held up by a constructor.
    let mut node = node.as_mut();
    for Pending { request, asked_by, ticket, .. } in taken {
        if ticket.is_none() && asked_by.is_none() {
            recorded.push(request.clone());
        }
        let (what, copies) = match request {
            Request::Library { spelling, flags, opened } => {
                let host = host.get_or_insert_with(|| dl::host(node.take()));
                let library = host.find(&spelling, flags, opened);
                means.extend(ticket.map(|ticket| (ticket, library.identity.clone())));
                let paths = host.copies(&library);
                let known = library.identity.as_ref().and_then(|identity| state.committed.get(identity));
                // Who asks for what this call has just committed fails with it, should that be undone after all.
                let is_fresh = library.identity.as_ref().is_some_and(|identity| state.plugins.is_fresh(identity));
                let known = known.filter(|_| asked_by.is_none() || !is_fresh);
                if paths.is_empty() && known.is_some_and(|flags| covers(*flags, library.flags)) {
                    continue;
                }
                let copies = if paths.is_empty() { Vec::new() } else { vec![Copies { rank: shared.rank, paths }] };
                (What::Library(library), copies)
            }
            Request::Module { name } => (What::Module { name }, Vec::new()),
            Request::Callback { code, tag } => {
                let callback = Callback::new(code, tag);
                let is_fresh = state.just_called.contains(&callback.key());
                if state.called.contains(&callback.key()) && (asked_by.is_none() || !is_fresh) {
                    continue;
                }
                (What::Callback(callback), Vec::new())
            }
            Request::Unload { spelling } => {
                let host = host.get_or_insert_with(|| dl::host(node.take()));
                (What::Unload(to_unload(host, &state.committed, &spelling)), Vec::new())
            }
            Request::Invalid { message } => (What::Invalid { message }, Vec::new()),
        };
        let mut item = Item { copies, ..Item::new(what, shared.rank) };
        // What asks for itself is there.
        item.asked_by = asked_by.into_iter().filter(|asker| *asker != item.place_key()).collect();
        plan.add(item);
    }
    Gathered { plan, means, recorded }
}

/// What was loaded from there is meant, also where another file has taken its place since.
fn to_unload(host: &mut dl::Opening, committed: &HashMap<Identity, OpenFlags>, spelling: &str) -> Library {
    let found = host.find(spelling, OpenFlags::NOW, false);
    let has = |identity: &Identity| committed.contains_key(identity);
    if found.identity.as_ref().is_some_and(has) {
        return found;
    }
    match host.held_at(Path::new(spelling)).into_iter().find(has) {
        Some(held) => Library { identity: Some(held), path: Some(spelling.into()), ..found },
        None => found,
    }
}

/// Whether a library that was committed with `had` needs nothing done for `wanted`.
pub(super) fn covers(had: OpenFlags, wanted: OpenFlags) -> bool {
    !wanted.contains(OpenFlags::GLOBAL) || had.contains(OpenFlags::GLOBAL)
}

/// What the host has been told of: one a process, as the host is.
static WATCH: Mutex<Option<Watch>> = Mutex::new(None);
/// An MPI has come into the process that has not been found to be the right one.
static MPI_CAME: AtomicBool = AtomicBool::new(true);

/// The host hears of objects that anybody has mapped since.
pub(super) fn tell_mapped() {
    if inside::is_opening() {
        // A constructor: this thread has the host already.
        return;
    }
    let (news, everything) = lock(&WATCH).get_or_insert_default().news();
    if news.is_empty() {
        return;
    }
    // The library worker may have been at one of them until now.
    let mut host = dl::host(None);
    // After an unmapping the news are all that there are.
    let paths: Vec<_> =
        news.iter().filter(|new| !host.has_noted(&new.path, new.base)).map(|new| new.path.clone()).collect();
    let own = note(&mut host, news, everything);
    drop(host);
    // In service mode a plugin that the program opens reaches all ranks without a call.
    if let Some(session) = service::first() {
        let plugins = paths.iter().filter(|path| !own.contains(path)).filter_map(|path| record::plugin(path));
        session.ask(plugins.map(Pending::here));
        program::found(&paths, &own);
    }
}

/// Those that dlcast has opened.
fn note(host: &mut dl::Opening, news: Vec<Mapped>, everything: bool) -> Vec<PathBuf> {
    if news.is_empty() {
        return Vec::new();
    }
    if news.iter().any(|new| vendor::is_mpi(&new.path)) {
        MPI_CAME.store(true, Ordering::Relaxed);
    }
    host.note_mapped(news.into_iter().map(|new| (new.path, new.base)).collect(), everything, maps::inode_at)
}

/// What was mapped since the last look, while dlcast was opening libraries.
#[derive(Default)]
struct Along {
    /// All of it: the program may have opened something in the meantime.
    paths: Vec<PathBuf>,
    /// What dlcast was asked for.
    own: Vec<PathBuf>,
}

impl Along {
    /// After an attempt to open a library: the plugins that came with it, which it needs or its constructor has opened.
    fn plugins(&mut self, host: &mut dl::Opening, library: &Identity) -> Vec<Request> {
        let (news, everything) = lock(&WATCH).get_or_insert_default().news();
        let itself = host.held_path(library);
        let others = news.iter().map(|new| &new.path).filter(|path| itself != Some(path));
        let plugins = others.filter_map(|path| record::plugin(path)).collect();
        self.own.extend(itself.map(Path::to_path_buf));
        self.paths.extend(news.iter().map(|new| new.path.clone()));
        note(host, news, everything);
        plugins
    }
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

pub(super) fn stage(state: &mut State, items: &[(u32, Item)]) -> Done {
    tell_mapped();
    let mut host = dl::host(state.node.as_mut());
    let failed = items.iter().filter_map(|(index, item)| Some((*index, host.stage(item).err()?))).collect();
    Done::Tried { failed, more: More::default(), shapes: Shapes::default() }
}

/// Opens what is to be opened, all of it; then plugins register and callbacks run.
pub(super) fn open(shared: &Shared, state: &mut State, lane: Option<Lane>, items: &[(u32, Item)]) -> Done {
    let mut failed = Vec::new();
    let mut came: Vec<(Option<Key>, Request)> = Vec::new();
    let mut along = Along::default();
    {
        let mut host = dl::host(state.node.as_mut());
        for (index, item) in items {
            // What a constructor asks for is asked for by its library, whichever item brought that.
            host.item = identity_of(item).map(plan::library_key);
            let outcome = match &item.what {
                What::Library(library) => host.open(library),
                // Equal sets are not staged, and code may have come in a message.
                What::Callback(callback) => {
                    host.stage(item).and_then(|()| callback.library().map_or(Ok(()), |library| host.open(&library)))
                }
                What::Unload(library) => match &library.identity {
                    Some(identity) if items.iter().any(|(_, item)| identity_of(item) == Some(identity)) => {
                        Err(Failure::new(Phase::Call, "another request of the same round loads it"))
                    }
                    Some(identity) if state.committed.contains_key(identity) => Ok(()),
                    _ => Err(Failure::new(Phase::Call, "this session has not loaded it")),
                },
                _ => Ok(()),
            };
            if let Some(identity) = identity_of(item) {
                // Looked at in any case: what dlcast has opened is not the program's, also where its constructor failed.
                let plugins = along.plugins(&mut host, identity);
                if outcome.is_ok() {
                    came.extend(plugins.into_iter().map(|request| (host.item, request)));
                }
            }
            failed.extend(outcome.err().map(|failure| (*index, failure)));
        }
    }
    shared.ask(came.into_iter().map(|(asked_by, request)| Pending::asked(request, asked_by)));
    program::found(&along.paths, &along.own);
    let (failed, shapes) = register::run(shared, &mut state.plugins, items, failed);
    Done::Tried { failed, more: shared.more(lane), shapes }
}

/// Libraries are settled here; what is to be done about modules is returned, for Python to do.
pub(super) fn settle(
    shared: &Shared,
    state: &mut State,
    commit: &[Item],
    undo: &[Item],
    growth: &Growth,
) -> Vec<ImportJob> {
    // Before the batch's own plugins are committed: those were compared apart.
    if !state.plugins.met.is_empty() {
        state.plugins.agree(Arc::make_mut(&mut write(&shared.registry)), growth);
    }
    for item in commit {
        match &item.what {
            What::Library(library) => {
                if let Err(failure) = dl::host(None).commit(library) {
                    // The object is open, so the loader has no reason to refuse; a program that sees this has closed it itself.
                    complain(&format!("{}: {}", failure.phase, failure.message));
                }
                if let Some(identity) = &library.identity {
                    state.commit(identity, library.flags, item.place_key());
                }
            }
            What::Callback(callback) => {
                if state.called.insert(callback.key()) {
                    state.just_called.insert(callback.key());
                }
                if let Some(home) = callback.code.home() {
                    state.commit(&home.identity, OpenFlags::NOW, item.place_key());
                }
            }
            What::Unload(Library { identity: Some(identity), .. }) => {
                state.forget(identity);
                Arc::make_mut(&mut write(&shared.registry)).remove(identity);
            }
            _ => {}
        }
    }
    for identity in undo.iter().filter_map(identity_of) {
        if !state.committed.contains_key(identity) {
            state.forget(identity);
        }
    }
    let name = |item: &Item| match &item.what {
        What::Module { name } => Some(name.clone()),
        _ => None,
    };
    let committed = commit.iter().filter_map(name).map(ImportJob::Commit);
    committed.chain(undo.iter().filter_map(name).map(ImportJob::Undo)).collect()
}

/// The last of a call: plugins get their numbers, in the order in which the ranks have committed them.
pub(super) fn conclude(shared: &Shared, state: &mut State, revoke: &[Item]) {
    for item in revoke {
        if let What::Callback(callback) = &item.what {
            state.called.remove(&callback.key());
        }
        if let Some(identity) = identity_of(item)
            && state.plugins.revoke(identity, &item.place_key())
        {
            state.forget(identity);
        }
    }
    state.just_called.clear();
    if state.plugins.met.is_empty() {
        state.plugins.forget_call();
    } else {
        state.plugins.conclude(Arc::make_mut(&mut write(&shared.registry)));
    }
}

impl State {
    /// Every rank has it; `item` brought it.
    fn commit(&mut self, identity: &Identity, flags: OpenFlags, item: Key) {
        let had = self.committed.get(identity).copied();
        self.committed.insert(identity.clone(), had.map_or(flags, |had| had.joined(flags)));
        self.plugins.commit(identity, item, had.is_none());
    }

    /// As if the session had never had it.
    fn forget(&mut self, identity: &Identity) {
        self.committed.remove(identity);
        self.plugins.forget(identity);
    }
}
