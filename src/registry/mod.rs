//! What plugins have registered: tasks by id and by name, and callbacks at most once.
//!
//! Numbers are given by the caller's order, which the ranks have agreed on; this neither reads tables nor asks other ranks.
//!
//! # Layout
//! - `plugin` one plugin: its visible tasks, found by name when first asked for
//! - [`runs`] callbacks, once in a process
mod plugin;
pub mod runs;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::plugin::Plugin;
use crate::identity::Identity;
use crate::task::{Entry, TaskId, TaskTable};

/// A task that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// The same on every rank.
    pub id: TaskId,
    /// What the plugin's table says.
    pub entry: Entry,
}

/// Why a task was not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// The number was never given.
    #[error("no plugin of this session has the number of task {0}")]
    NoPlugin(TaskId),
    /// It was given, and taken back.
    #[error(
        "task {id} is stale: plugin `{plugin}` was unloaded, or undone; look its tasks up by name after it was loaded again"
    )]
    Stale {
        /// The old id.
        id: TaskId,
        /// Whose it was.
        plugin: Arc<str>,
    },
    /// Beyond the end.
    #[error("task {id} is beyond the {count} tasks of plugin `{plugin}`")]
    NoTask {
        /// The id.
        id: TaskId,
        /// Visible ones.
        count: u32,
        /// Whose.
        plugin: Arc<str>,
    },
    /// No plugin has the name.
    #[error("no plugin `{name}` is loaded{}", known(.loaded, "; loaded are "))]
    NoPluginName {
        /// What was sought.
        name: String,
        /// What there is.
        loaded: Vec<Arc<str>>,
    },
    /// The plugin has no such task.
    #[error("plugin `{plugin}` has no task `{name}`")]
    NoName {
        /// Whose.
        plugin: Arc<str>,
        /// What was sought.
        name: String,
    },
    /// A large table is checked when it is first used.
    #[error("the plugin table of `{plugin}` cannot be used: {what}")]
    Bad {
        /// Whose.
        plugin: Arc<str>,
        /// What is wrong with it.
        what: String,
    },
}

fn known(names: &[Arc<str>], before: &str) -> String {
    match names {
        [] => String::new(),
        names => format!("{before}{}", names.join(", ")),
    }
}

/// A number that was given.
#[derive(Clone)]
enum Slot {
    Live(Arc<Plugin>),
    /// Whose it was.
    Gone(Arc<str>),
}

/// The plugins of one session. Clones share the plugins and their indices of names.
#[derive(Clone, Default)]
pub struct Registry {
    /// By number.
    slots: Vec<Slot>,
    by_name: HashMap<Arc<str>, u32>,
}

impl Registry {
    /// Gives the next number to a plugin, of whose tasks the first `count` are visible. Its name must not be taken.
    pub fn add(&mut self, name: &str, version: &str, identity: Identity, table: Arc<dyn TaskTable>, count: u32) -> u32 {
        let number = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let plugin = Plugin::new(number, name, version, identity, table, count);
        self.by_name.insert(plugin.name.clone(), number);
        self.slots.push(Slot::Live(Arc::new(plugin)));
        number
    }

    /// Takes the tasks of a library away, for ever; whether there were any.
    pub fn remove(&mut self, identity: &Identity) -> bool {
        let Some(number) = self.of(identity).map(|plugin| plugin.number) else { return false };
        let slot = &mut self.slots[number as usize];
        if let Slot::Live(plugin) = slot {
            let name = plugin.name.clone();
            self.by_name.remove(&name);
            *slot = Slot::Gone(name);
        }
        true
    }

    /// The plugin that a library is.
    pub fn of(&self, identity: &Identity) -> Option<&Plugin> {
        self.plugins().find(|plugin| plugin.identity == *identity)
    }

    /// The plugin with a name.
    pub fn named(&self, name: &str) -> Option<&Plugin> {
        self.live(*self.by_name.get(name)?)
    }

    /// All that are loaded, by number.
    pub fn plugins(&self) -> impl Iterator<Item = &Plugin> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Live(plugin) => Some(&**plugin),
            Slot::Gone(_) => None,
        })
    }

    fn live(&self, number: u32) -> Option<&Plugin> {
        match self.slots.get(number as usize) {
            Some(Slot::Live(plugin)) => Some(plugin),
            _ => None,
        }
    }

    /// Makes the first `count` tasks of a plugin visible.
    pub fn grow(&mut self, identity: &Identity, count: u32) {
        for slot in &mut self.slots {
            if let Slot::Live(plugin) = slot
                && plugin.identity == *identity
                && plugin.len() < count
            {
                Arc::make_mut(plugin).grow(count);
            }
        }
    }

    /// The task with an id.
    ///
    /// # Errors
    /// Why there is none: the id is stale, or was never given.
    pub fn get(&self, id: TaskId) -> Result<Task, TaskError> {
        match self.slots.get(id.plugin() as usize) {
            Some(Slot::Live(plugin)) => plugin.get(id),
            Some(Slot::Gone(plugin)) => Err(TaskError::Stale { id, plugin: plugin.clone() }),
            None => Err(TaskError::NoPlugin(id)),
        }
    }

    /// The task of a plugin with a name. The first look-up reads all names of the plugin.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(&self, plugin: &str, name: &str) -> Result<Task, TaskError> {
        match self.named(plugin) {
            Some(plugin) => plugin.find(name),
            None => Err(TaskError::NoPluginName {
                name: plugin.into(),
                loaded: self.plugins().map(|plugin| plugin.name.clone()).collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
