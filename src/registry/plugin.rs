//! One plugin of a session: its visible tasks. Names are read when the first one is asked for.
//!
//! The index holds numbers alone: names stay in the library.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Task, TaskError};
use crate::identity::Identity;
use crate::task::{TaskId, TaskTable};

/// A plugin under its agreed number.
#[derive(Clone)]
pub struct Plugin {
    /// The same on every rank; never given twice.
    pub number: u32,
    /// Unique among the plugins that are loaded.
    pub name: Arc<str>,
    /// For people.
    pub version: Arc<str>,
    /// Its library.
    pub identity: Identity,
    table: Arc<dyn TaskTable>,
    /// Tasks that every rank has agreed on; the table may have more.
    visible: u32,
    index: OnceLock<Result<Arc<Index>, String>>,
}

#[derive(Default)]
struct Index {
    hasher: DefaultHashBuilder,
    tasks: HashTable<u32>,
}

impl Plugin {
    pub(super) fn new(
        number: u32,
        name: &str,
        version: &str,
        identity: Identity,
        table: Arc<dyn TaskTable>,
        visible: u32,
    ) -> Self {
        let index = OnceLock::new();
        Plugin { number, name: name.into(), version: version.into(), identity, table, visible, index }
    }

    /// Its tasks are those with an index below.
    pub fn len(&self) -> u32 {
        self.visible
    }

    /// Whether it has no task.
    pub fn is_empty(&self) -> bool {
        self.visible == 0
    }

    pub(super) fn grow(&mut self, count: u32) {
        self.visible = count;
        self.index = OnceLock::new();
    }

    pub(super) fn get(&self, id: TaskId) -> Result<Task, TaskError> {
        if id.index() >= self.visible {
            return Err(TaskError::NoTask { id, count: self.visible, plugin: self.name.clone() });
        }
        let entry = self.table.entry(id.index());
        entry.map(|entry| Task { id, entry }).map_err(|what| self.bad(format!("task {}: {what}", id.index())))
    }

    pub(super) fn find(&self, name: &str) -> Result<Task, TaskError> {
        let index = self
            .index
            .get_or_init(|| self.read_names().map(Arc::new))
            .as_ref()
            .map_err(|what| self.bad(what.clone()))?;
        // The name is compared once: the hash has told all others apart, nearly always.
        let mut found = None;
        let is = |&task: &u32| {
            found = self.table.entry(task).ok().filter(|entry| entry.name == name);
            found.is_some()
        };
        let task = index.tasks.find(index.hasher.hash_one(name), is).copied();
        match (task, found) {
            (Some(task), Some(entry)) => Ok(Task { id: TaskId::new(self.number, task), entry }),
            _ => Err(TaskError::NoName { plugin: self.name.clone(), name: name.into() }),
        }
    }

    fn bad(&self, what: String) -> TaskError {
        TaskError::Bad { plugin: self.name.clone(), what }
    }

    fn read_names(&self) -> Result<Index, String> {
        let mut index =
            Index { hasher: DefaultHashBuilder::default(), tasks: HashTable::with_capacity(self.visible as usize) };
        let Index { hasher, tasks } = &mut index;
        let name =
            |task: u32| self.table.entry(task).map(|entry| entry.name).map_err(|what| format!("task {task}: {what}"));
        for task in 0..self.visible {
            let own = name(task)?;
            // What is in the index has a readable name.
            let rehash = |&known: &u32| hasher.hash_one(name(known).unwrap_or_default());
            let is = |&known: &u32| name(known).is_ok_and(|name| name == own);
            match tasks.entry(hasher.hash_one(own), is, rehash) {
                hashbrown::hash_table::Entry::Vacant(place) => place.insert(task),
                hashbrown::hash_table::Entry::Occupied(_) => return Err(format!("two tasks are named `{own}`")),
            };
        }
        Ok(index)
    }
}
