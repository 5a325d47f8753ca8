//! Tasks as values: an id that is the same on every rank, and what a plugin's table says of one.
//!
//! It neither reads tables (`host/table.rs`) nor keeps them (`registry`).

use std::ffi::c_void;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcome::Failure;

/// A task, on every rank: the plugin's agreed number, and the index in its table. Never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(u64);

impl TaskId {
    /// Task `index` of plugin `plugin`.
    pub fn new(plugin: u32, index: u32) -> Self {
        TaskId(u64::from(plugin) << 32 | u64::from(index))
    }

    /// From [`TaskId::bits`].
    pub fn from_bits(bits: u64) -> Self {
        TaskId(bits)
    }

    /// For a message, or C.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The number that the session's ranks gave the plugin.
    pub fn plugin(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Where in its table.
    pub fn index(self) -> u32 {
        self.0 as u32
    }
}

/// `3:17`.
impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.plugin(), self.index())
    }
}

/// An entry of a plugin's table. Libraries are never unmapped, so that it lives as long as the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Scoped by its plugin.
    pub name: &'static str,
    /// As its author wrote it, or as header and macros derived it.
    pub signature: &'static str,
    /// What the signature says.
    pub function: Function,
}

/// An address of code in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Function(pub usize);

impl Function {
    /// For a cast to the type that the signature names, or for dladdr.
    pub fn as_ptr(self) -> *const c_void {
        std::ptr::with_exposed_provenance(self.0)
    }
}

/// What a registry needs of a plugin's table.
pub trait TaskTable: Send + Sync {
    /// Entries by now; it only grows.
    fn len(&self) -> u32;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The entry at an index below [`TaskTable::len`].
    ///
    /// # Errors
    /// What is wrong with it: a null pointer, a name that is no text.
    fn entry(&self, index: u32) -> Result<Entry, String>;
}

/// What plugins have registered on a rank, as digests to be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shapes {
    /// Of the plugins that this batch brings.
    pub fresh: u64,
    /// Of those that were there before: callbacks add to them.
    pub old: u64,
    /// The same in words, by item of the plan, should it turn out not to be the same everywhere.
    pub notes: Vec<(u32, Failure)>,
}
