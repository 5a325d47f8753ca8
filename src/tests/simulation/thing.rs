//! What a simulated rank has, tries and registers, by name rather than by item: equal on every rank.

use super::scenario::{Content, content};
use crate::plan::{Callback, Library, What};

/// What becomes visible or does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// By content.
    Library(Content),
    /// By name.
    Module(String),
    /// A library that nobody found.
    Unfound(Vec<String>),
    /// A callback of a library, by its tag.
    Native(Content, u64),
    /// A callback of Python, by its tag.
    Python(u64),
    /// That a library's registrations are taken away.
    Unload(Content),
    /// A bad call.
    Invalid(String),
}

impl Thing {
    /// What an item is about.
    pub fn of(what: &What) -> Thing {
        match what {
            What::Library(Library { identity: Some(identity), .. }) => Thing::Library(content(identity)),
            What::Unload(Library { identity: Some(identity), .. }) => Thing::Unload(content(identity)),
            What::Library(library) => Thing::Unfound(library.spellings.clone()),
            What::Unload(library) => {
                let unload = std::iter::once("unload".to_string());
                Thing::Unfound(unload.chain(library.spellings.iter().cloned()).collect())
            }
            What::Module { name } => Thing::Module(name.clone()),
            What::Callback(callback) => Thing::of_callback(callback),
            What::Invalid { message } => Thing::Invalid(message.clone()),
        }
    }

    fn of_callback(callback: &Callback) -> Thing {
        match callback.code.home() {
            Some(home) => Thing::Native(content(&home.identity), callback.tag),
            None => Thing::Python(callback.tag),
        }
    }

    /// The library that must be open for it.
    pub fn carries(&self) -> Option<Content> {
        match self {
            Thing::Library(content) | Thing::Native(content, _) => Some(*content),
            _ => None,
        }
    }
}
