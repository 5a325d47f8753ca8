//! After the libraries of a batch are open: their tables are read, callbacks run, and what they ask for is recorded.
//!
//! The host is not held while a callback runs: it may open what it likes. Whether the ranks have registered the same is
//! for the vote to say.

use std::path::Path;

use super::Shared;
use super::met::{self, Met, Plugins};
use super::pending::Pending;
use crate::error::Phase;
use crate::host::table::{Asked, CHECKED_AT_LOAD, Table};
use crate::host::{callback, dl, inside};
use crate::identity::Identity;
use crate::outcome::Failure;
use crate::plan::{self, Callback, Item, Key, What};
use crate::registry::runs;
use crate::task::{Function, Shapes, TaskTable};

/// A batch on its way.
struct Batch<'a> {
    shared: &'a Shared,
    plugins: &'a mut Plugins,
    items: &'a [(u32, Item)],
    /// By index.
    failed: Vec<(u32, Failure)>,
    /// Items that brought a plugin which is new in this batch.
    fresh: Vec<(u32, Identity)>,
    /// Items whose callbacks have added tasks to an older plugin.
    grown: Vec<(u32, Identity)>,
}

/// Reads the tables of `items`, runs callbacks until there are no new ones, and records what was asked for.
pub(super) fn run(
    shared: &Shared,
    plugins: &mut Plugins,
    items: &[(u32, Item)],
    failed: Vec<(u32, Failure)>,
) -> (Vec<(u32, Failure)>, Shapes) {
    let mut batch = Batch { shared, plugins, items, failed, fresh: Vec::new(), grown: Vec::new() };
    let Some((first, _)) = items.first() else { return (batch.failed, Shapes::default()) };
    batch.notice_growth(None);
    batch.meet();
    batch.follow(*first);
    for (index, item) in items {
        if let What::Callback(callback) = &item.what
            && item.is_native()
            && !batch.has_failed(*index)
        {
            if let Err(failure) = run_callback(callback, item.place_key()) {
                batch.failed.push((*index, failure));
            }
            batch.follow(*index);
        }
    }
    batch.ask_again();
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
        let called = inside::callback(asker, || callback::call(function, payload, tag));
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
            if self.has_failed(*index) {
                continue;
            }
            if self.plugins.find(identity).is_some() {
                // Two items of the batch may bring one plugin: both answer for it.
                if self.fresh.iter().any(|(_, fresh)| fresh == identity) {
                    self.fresh.push((*index, identity.clone()));
                }
                continue;
            }
            let read = dl::host(None).table(identity);
            match read.and_then(|table| table.map(|table| self.named_once(table)).transpose()) {
                Ok(None) => {}
                Ok(Some(table)) => {
                    self.fresh.push((*index, identity.clone()));
                    self.plugins.meet(identity.clone(), table);
                }
                Err(failure) => self.failed.push((*index, failure)),
            }
        }
    }

    /// Tasks are scoped by plugin, so that a plugin's name must be its own.
    fn named_once(&self, table: Table) -> Result<Table, Failure> {
        match self.plugins.met.iter().find(|met| met.table.name() == table.name()) {
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
        while let Some(met) = self.plugins.met.get(at) {
            let brought_by = self.brought_by(met, cause);
            let (callbacks, _) = met.table.counts();
            if callbacks == met.callbacks || brought_by.iter().all(|index| self.has_failed(*index)) {
                at += 1;
                continue;
            }
            let (first, key) = (met.callbacks, met.key);
            let new = met.table.callbacks(first).map_err(|text| Failure::new(Phase::Register, text));
            let outcome = new.and_then(|new| {
                self.plugins.met[at].callbacks += new.len();
                new.iter().try_for_each(|new| call(new.function, new.tag, new.payload, key))
            });
            self.fail(&brought_by, outcome.err());
            self.notice_growth(Some(brought_by.first().copied().unwrap_or(cause)));
            // It may have added to any plugin.
            at = 0;
        }
        self.notice_growth(Some(cause));
        for at in 0..self.plugins.met.len() {
            let failure = self.take_requests(at).err().map(|text| Failure::new(Phase::Register, text));
            self.fail(&self.brought_by(&self.plugins.met[at], cause), failure);
        }
    }

    fn fail(&mut self, items: &[u32], failure: Option<Failure>) {
        let Some(failure) = failure else { return };
        self.failed.extend(items.iter().map(|index| (*index, failure.clone())));
    }

    /// The items that a plugin came with in this batch; what an older one does is `cause`'s doing.
    fn brought_by(&self, met: &Met, cause: u32) -> Vec<u32> {
        let fresh = self.fresh.iter().filter(|(_, identity)| *identity == met.identity);
        let items: Vec<u32> = fresh.map(|(index, _)| *index).collect();
        if items.is_empty() { vec![cause] } else { items }
    }

    /// Whatever has been added to older plugins since the last look is `cause`'s doing; what was added before the batch, by
    /// another session or by the program, is nobody's.
    fn notice_growth(&mut self, cause: Option<u32>) {
        for met in self.plugins.met.iter_mut().filter(|met| met.agreed.is_some()) {
            let seen = std::mem::replace(&mut met.seen, met.table.len());
            if seen == met.seen {
                continue;
            }
            let name = met.table.name();
            let wrong = match met.frozen {
                true => Some(format!(
                    "plugin `{name}` grows no more in this session: the ranks have added different tasks to it, or bad ones"
                )),
                false => met.table.check_names().err().map(|what| format!("what was added to plugin `{name}`: {what}")),
            };
            met.bad |= wrong.is_some();
            let Some(cause) = cause else { continue };
            self.failed.extend(wrong.map(|text| (cause, Failure::new(Phase::Register, text))));
            if !self.grown.iter().any(|(_, identity)| *identity == met.identity) {
                self.grown.push((cause, met.identity.clone()));
            }
        }
    }

    fn take_requests(&mut self, at: usize) -> Result<(), String> {
        let met = &mut self.plugins.met[at];
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
            self.shared.ask([Pending::asked(request, Some(met.key))]);
        }
        Ok(())
    }

    /// What ran in an earlier call that was undone does not run again, but it still wants what it asked for.
    fn ask_again(&mut self) {
        if !Pending::any_again() {
            return;
        }
        for (index, item) in self.items {
            if self.has_failed(*index) {
                continue;
            }
            let library = identity_of(item).map(plan::library_key);
            for key in library.into_iter().chain([item.place_key()]) {
                if self.plugins.asks_now(key) {
                    self.shared.ask(Pending::again(key));
                }
            }
        }
    }

    /// What there is now, to be compared with the other ranks.
    fn shapes(&mut self) -> Shapes {
        let mut shapes = Shapes::default();
        if self.plugins.met.is_empty() {
            return shapes;
        }
        let (mut fresh, mut old) = (blake3::Hasher::new(), blake3::Hasher::new());
        let first = self.items.first().map_or(0, |(index, _)| *index);
        let failed: Vec<u32> = self.failed.iter().map(|(index, _)| *index).collect();
        for met in self.plugins.met.iter_mut().filter(|met| !met.frozen) {
            met.counted = met.table.len();
            let (count, name) = (met.counted, met.table.name());
            let bytes = met.identity.digest;
            if let Some(agreed) = met.agreed {
                old.update(&bytes).update(&count.to_le_bytes()).update(&[u8::from(met.bad)]);
                if count != agreed {
                    let names = names(&met.table);
                    old.update(&names);
                    let text = format!(
                        "{}{count} tasks here (digest of all names {:016x}), but not so everywhere",
                        met::grown(name),
                        u64_of(&names)
                    );
                    let grown = self.grown.iter().find(|(_, identity)| *identity == met.identity);
                    let (index, phase) = grown.map_or((first, Phase::Growth), |(index, _)| (*index, Phase::Compare));
                    shapes.notes.push((index, Failure::new(phase, text)));
                }
                continue;
            }
            let mine: Vec<u32> = self
                .fresh
                .iter()
                .filter(|(index, identity)| *identity == met.identity && !failed.contains(index))
                .map(|(index, _)| *index)
                .collect();
            if mine.is_empty() {
                continue;
            }
            let names = names(&met.table);
            fresh.update(&bytes).update(&count.to_le_bytes()).update(&names);
            let text = format!(
                "plugin `{name}` has registered {count} tasks here (digest of their names {:016x}): every rank must register the same tasks in the same order",
                u64_of(&names)
            );
            let note = Failure::new(Phase::Compare, text);
            shapes.notes.extend(mine.into_iter().map(|index| (index, note.clone())));
        }
        // Nothing is the same nothing everywhere, also where there is nothing of the other kind.
        let digest =
            |hasher: &blake3::Hasher| if hasher.count() == 0 { 0 } else { u64_of(hasher.finalize().as_bytes()) };
        (shapes.fresh, shapes.old) = (digest(&fresh), digest(&old));
        shapes
    }
}

fn u64_of(digest: &[u8; 32]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(bytes)
}

/// Of the names, where the table is small enough to be read.
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
