//! The plugins that a session has met: how far each was followed, and how many of its tasks the ranks have agreed on.
//!
//! Numbers are given when a call ends, in the order in which the ranks have committed the plugins.

use std::collections::{HashMap, HashSet};

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
    /// Libraries that were committed in this call, each with the items that brought it.
    brought: HashMap<Identity, Vec<Key>>,
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
        self.brought.contains_key(identity)
    }

    /// Every rank has the library, which `item` brought; `is_new`: it was not committed before.
    pub fn commit(&mut self, identity: &Identity, item: Key, is_new: bool) {
        if is_new || self.is_fresh(identity) {
            self.brought.entry(identity.clone()).or_default().push(item);
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
        self.brought.remove(identity);
    }

    /// An item that was committed in this call is not, after all. Whether its library has nobody left who brought it.
    pub fn revoke(&mut self, identity: &Identity, item: &Key) -> bool {
        let Some(items) = self.brought.get_mut(identity) else { return false };
        items.retain(|known| known != item);
        items.is_empty()
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

    /// The end of a call: those that are staged get their numbers.
    pub fn conclude(&mut self, registry: &mut Registry) {
        self.brought.clear();
        self.asked.clear();
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
