//! The plugins that a session has met: how far each was followed, and how many of its tasks the ranks have agreed on.
//!
//! Numbers are given when a call ends, in the order in which the ranks have committed the plugins.

use std::collections::HashSet;

use crate::host::table::Table;
use crate::identity::Identity;
use crate::plan::{self, Key};
use crate::registry::Registry;
use crate::round::Growth;
use crate::task::TaskTable;

/// A plugin: registered, or on its way.
pub(super) struct Met {
    pub identity: Identity,
    pub table: Table,
    /// What it asks for is asked for by its library, whichever item brought that.
    pub key: Key,
    /// Callbacks that were run, requests that were recorded.
    pub callbacks: usize,
    pub requests: usize,
    /// Tasks when they were last looked at, to see who adds to it.
    pub seen: u32,
    /// Tasks when they were last compared with the other ranks'.
    pub counted: u32,
    /// Tasks that every rank has; none before the plugin was committed.
    pub agreed: Option<u32>,
    /// The ranks differ in it, or what was added is bad: it does not grow any more.
    pub frozen: bool,
    /// What was added since cannot be used.
    pub bad: bool,
}

/// The plugins of a session, in the order in which they were met.
#[derive(Default)]
pub(super) struct Plugins {
    pub met: Vec<Met>,
    /// Committed in this call, not numbered yet.
    staged: Vec<Identity>,
    /// Libraries that were committed in this call, by their keys, with the items that brought them.
    brought: Vec<(Key, Key)>,
    /// Whose requests were recorded in this call.
    asked: HashSet<Key>,
}

impl Plugins {
    /// Whether what a constructor or callback has asked for is still to be recorded in this call.
    pub fn asks_now(&mut self, asker: Key) -> bool {
        self.asked.insert(asker)
    }

    /// Adds one that nobody knew.
    pub fn meet(&mut self, identity: Identity, table: Table) {
        let (key, seen) = (plan::library_key(&identity), table.len());
        let (callbacks, requests, counted) = (0, 0, seen);
        self.met.push(Met {
            identity,
            table,
            key,
            callbacks,
            requests,
            seen,
            counted,
            agreed: None,
            frozen: false,
            bad: false,
        });
    }

    /// The plugin that a library is.
    pub fn find(&self, identity: &Identity) -> Option<&Met> {
        self.met.iter().find(|met| met.identity == *identity)
    }

    /// Whether a library was committed in this very call.
    pub fn is_fresh(&self, identity: &Identity) -> bool {
        !self.brought.is_empty() && self.is_fresh_key(&plan::library_key(identity))
    }

    fn is_fresh_key(&self, library: &Key) -> bool {
        self.brought.iter().any(|(known, _)| known == library)
    }

    /// Every rank has the library, which `item` brought; `is_new`: it was not committed before.
    pub fn commit(&mut self, identity: &Identity, item: Key, is_new: bool) {
        // An item that is the library has its key.
        let library = plan::library_key(identity);
        if is_new || self.is_fresh_key(&library) {
            self.brought.push((library, item));
        }
        if let Some(met) = self.met.iter_mut().find(|met| met.identity == *identity)
            && met.agreed.is_none()
        {
            met.agreed = Some(met.counted);
            self.staged.push(identity.clone());
        }
    }

    /// As if it had never been met.
    pub fn forget(&mut self, identity: &Identity) {
        self.met.retain(|met| met.identity != *identity);
        self.staged.retain(|staged| staged != identity);
        if !self.brought.is_empty() {
            let library = plan::library_key(identity);
            self.brought.retain(|(known, _)| *known != library);
        }
    }

    /// An item that was committed in this call is not, after all. Whether its library has nobody left who brought it.
    pub fn revoke(&mut self, identity: &Identity, item: &Key) -> bool {
        let library = plan::library_key(identity);
        let was_brought = self.is_fresh_key(&library);
        self.brought.retain(|brought| *brought != (library, *item));
        was_brought && !self.is_fresh_key(&library)
    }

    /// What was compared is agreed on, or differs.
    pub fn agree(&mut self, registry: &mut Registry, growth: &Growth) {
        for met in self.met.iter_mut().filter(|met| met.agreed.is_some() && !met.frozen) {
            match growth {
                Growth::Unknown => {}
                Growth::Agreed if met.bad => met.frozen = true,
                Growth::Agreed => {
                    met.agreed = Some(met.counted);
                    registry.grow(&met.identity, met.counted);
                }
                Growth::Differs(notes) => {
                    let own = grown(met.table.name());
                    met.frozen = notes.iter().any(|note| note.starts_with(&own));
                }
            }
        }
    }

    /// The end of a call.
    pub fn forget_call(&mut self) {
        self.brought.clear();
        self.asked.clear();
    }

    /// The end of a call: those that are staged get their numbers.
    pub fn conclude(&mut self, registry: &mut Registry) {
        self.forget_call();
        for identity in std::mem::take(&mut self.staged) {
            let Some(Met { table, agreed: Some(count), .. }) = self.find(&identity) else { continue };
            registry.add(table.name(), table.version(), identity.clone(), table.tasks(), *count);
        }
    }
}

/// How the note begins that an older plugin has grown; its name ends at the quote, which what follows makes plain.
pub(super) fn grown(plugin: &str) -> String {
    format!("plugin `{plugin}` has grown to ")
}
