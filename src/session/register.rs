//! After the libraries of a batch are open: their tables are read, callbacks run, and what they ask for is recorded.
//!
//! The host is not held while a callback runs: it may open what it likes. Whether the ranks have registered the same is
//! for the vote to say.

use std::path::Path;

use super::pending::Pending;
use super::{Core, Shared, lock, read};
use crate::error::Phase;
use crate::host::table::{Asked, CHECKED_AT_LOAD, Table};
use crate::host::{callback, dl};
use crate::identity::Identity;
use crate::outcome::Failure;
use crate::plan::{Callback, Item, Key, What};
use crate::registry::runs;
use crate::task::{Function, Shapes, TaskTable};

/// A plugin that this session has met, and how far it has been followed.
pub(super) struct Met {
    pub identity: Identity,
    pub table: Table,
    key: Key,
    callbacks: usize,
    requests: usize,
}

/// A batch on its way: what failed, by index.
pub(super) struct Batch<'a> {
    shared: &'a Shared,
    core: &'a mut Core,
    items: &'a [(u32, Item)],
    failed: Vec<(u32, Failure)>,
    /// Items whose plugins are new in this batch.
    fresh: Vec<(u32, Identity)>,
}

/// Reads the tables of `items`, runs callbacks until there are no new ones, and records what was asked for.
pub(super) fn run(
    shared: &Shared,
    core: &mut Core,
    items: &[(u32, Item)],
    failed: Vec<(u32, Failure)>,
) -> (Vec<(u32, Failure)>, Shapes) {
    let mut batch = Batch { shared, core, items, failed, fresh: Vec::new() };
    batch.meet();
    batch.follow(items.first().map_or(0, |(index, _)| *index));
    for (index, item) in items {
        if let What::Callback(callback) = &item.what
            && !batch.has_failed(*index)
        {
            if let Err(failure) = run_callback(callback, item.place_key()) {
                batch.failed.push((*index, failure));
            }
            batch.follow(*index);
        }
    }
    let shapes = batch.shapes();
    (batch.failed, shapes)
}

/// The library that must be open for an item: a callback's as well.
pub(super) fn identity_of(item: &Item) -> Option<&Identity> {
    match &item.what {
        What::Library(library) => library.identity.as_ref(),
        What::Callback(callback) => callback.code.home().map(|home| &home.identity),
        _ => None,
    }
}

fn run_callback(callback: &Callback, key: Key) -> Result<(), Failure> {
    let found = dl::host(None).address_of(&callback.code);
    match found.map_err(|text| Failure::new(Phase::Resolve, text))? {
        Some(function) => call(function, callback.tag, &callback.code.payload, key),
        // A library alone: it has registered itself.
        None => Ok(()),
    }
}

/// At most once in this process.
fn call(function: Function, tag: u64, payload: &[u8], asker: Key) -> Result<(), Failure> {
    let key = dl::host(None).run_key(function, tag, payload);
    let outcome = runs::once(key, || {
        let called = dl::inside_callback(asker, || callback::call(function, payload, tag));
        called.unwrap_or_else(|_panic| Err("it panicked; see stderr".into()))
    });
    outcome.map_err(|message| Failure::new(Phase::Callback, message))
}

impl Batch<'_> {
    fn has_failed(&self, index: u32) -> bool {
        self.failed.iter().any(|(failed, _)| *failed == index)
    }

    /// Reads the tables of plugins that the session does not know yet.
    fn meet(&mut self) {
        for (index, item) in self.items {
            let Some(identity) = identity_of(item) else { continue };
            if self.has_failed(*index) || self.core.met.iter().any(|met| met.identity == *identity) {
                continue;
            }
            let read = dl::host(None).table(identity);
            match read.and_then(|table| table.map(|table| self.named_once(table)).transpose()) {
                Ok(None) => {}
                Ok(Some(table)) => {
                    let (identity, key) = (identity.clone(), item.place_key());
                    self.fresh.push((*index, identity.clone()));
                    self.core.met.push(Met { identity, table, key, callbacks: 0, requests: 0 });
                }
                Err(failure) => self.failed.push((*index, failure)),
            }
        }
    }

    /// Tasks are scoped by plugin, so that a plugin's name must be its own.
    fn named_once(&self, table: Table) -> Result<Table, Failure> {
        match self.core.met.iter().find(|met| met.table.name() == table.name()) {
            None => Ok(table),
            Some(met) => {
                let (name, other) = (table.name(), &met.identity.name);
                let text = format!(
                    "plugin `{name}` is loaded already, from {other}: unload that one first, or rename this one"
                );
                Err(Failure::new(Phase::Register, text))
            }
        }
    }

    /// Runs the callbacks that plugins have and that have not run, until there are no more; then takes their requests.
    /// What an older plugin's callback does wrong is `cause`'s failure.
    fn follow(&mut self, cause: u32) {
        let mut at = 0;
        while let Some(met) = self.core.met.get(at) {
            let index =
                self.fresh.iter().find(|(_, identity)| *identity == met.identity).map_or(cause, |(index, _)| *index);
            let (callbacks, _) = met.table.counts();
            if callbacks == met.callbacks || self.has_failed(index) {
                at += 1;
                continue;
            }
            let (first, key) = (met.callbacks, met.key);
            let outcome =
                met.table.callbacks(first).map_err(|text| Failure::new(Phase::Register, text)).and_then(|new| {
                    self.core.met[at].callbacks += new.len();
                    new.iter().try_for_each(|new| call(new.function, new.tag, new.payload, key))
                });
            if let Err(failure) = outcome {
                self.failed.push((index, failure));
            }
            // It may have added to any plugin.
            at = 0;
        }
        for at in 0..self.core.met.len() {
            if let Err(text) = self.take_requests(at) {
                let index = self.index_of(&self.core.met[at], cause);
                self.failed.push((index, Failure::new(Phase::Register, text)));
            }
        }
    }

    /// The item that a plugin came with in this batch; what an older one does is `cause`'s doing.
    fn index_of(&self, met: &Met, cause: u32) -> u32 {
        self.fresh.iter().find(|(_, identity)| *identity == met.identity).map_or(cause, |(index, _)| *index)
    }

    fn take_requests(&mut self, at: usize) -> Result<(), String> {
        let met = &mut self.core.met[at];
        let (_, requests) = met.table.counts();
        if requests == met.requests {
            return Ok(());
        }
        let asked = met.table.requests(met.requests)?;
        met.requests += asked.len();
        let library = dl::host(None).library(&met.identity);
        let folder = library.as_ref().and_then(|library| library.path().parent()).unwrap_or(Path::new(""));
        for asked in asked {
            let request = match asked {
                Asked::Module(name) => super::record::module(name),
                Asked::Library(name, flags) => match name.strip_prefix("$ORIGIN/") {
                    Some(rest) => super::record::library(&folder.join(rest).to_string_lossy(), flags),
                    None => super::record::library(name, flags),
                },
            };
            let request = request.map_err(|error| error.to_string())?;
            lock(&self.shared.pending).push(Pending { request, asked_by: Some(met.key) });
        }
        Ok(())
    }

    /// What there is now, to be compared with the other ranks.
    fn shapes(&self) -> Shapes {
        let mut shapes = Shapes::default();
        let (mut fresh, mut old) = (blake3::Hasher::new(), blake3::Hasher::new());
        for (index, identity) in self.fresh.iter().filter(|(index, _)| !self.has_failed(*index)) {
            let Some(met) = self.core.met.iter().find(|met| met.identity == *identity) else { continue };
            let (count, names) = (met.table.len(), names(&met.table));
            fresh.update(&index.to_le_bytes()).update(&count.to_le_bytes()).update(&names);
            let names = u64_of(&names);
            let text = format!(
                "plugin `{}` has registered {count} tasks here (digest of their names {names:016x}): every rank must register the same tasks in the same order",
                met.table.name()
            );
            shapes.notes.push((*index, Failure::new(Phase::Compare, text)));
        }
        if let Some((first, _)) = self.items.first() {
            for plugin in read(&self.shared.registry).plugins() {
                let Some(count) = plugin.in_table() else { continue };
                old.update(&plugin.number.to_le_bytes()).update(&count.to_le_bytes());
                if count != plugin.len() {
                    let text = format!("plugin `{}` has grown to {count} tasks here", plugin.name);
                    shapes.notes.push((*first, Failure::new(Phase::Compare, text)));
                }
            }
        }
        shapes.fresh = u64_of(fresh.finalize().as_bytes());
        shapes.old = u64_of(old.finalize().as_bytes());
        shapes
    }
}

fn u64_of(digest: &[u8; 32]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(bytes)
}

/// Of the names, where the table is small enough to be read at load.
fn names(table: &Table) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    if table.len() <= CHECKED_AT_LOAD {
        for index in 0..table.len() {
            let name = table.entry(index).map(|entry| entry.name).unwrap_or_default();
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}
