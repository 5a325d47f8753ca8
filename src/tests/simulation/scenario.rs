//! What each rank has, wants, and lets fail. A value: running it is `run`'s.

use std::collections::BTreeMap;

use super::plugin::{Calling, Plugin};
use super::thing::Thing;
use crate::comm::sim::{Broadcasts, Fault};
use crate::identity::Identity;
use crate::plan::Plan;
use crate::request::{OpenFlags, Request};

/// The content of a library, by number; two files of one content are one library.
pub type Content = u32;

/// How opening a library goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It works.
    Works,
    /// The loader refuses; no constructor runs.
    Fails,
    /// Something panics after the constructors.
    Panics,
    /// It works once this library is visible with RTLD_GLOBAL.
    Needs(Content),
}

/// How importing a module goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importing {
    /// It works.
    Works,
    /// Its body raises.
    Raises,
    /// Its body raises unless this library is visible with RTLD_GLOBAL.
    Needs(Content),
}

/// One rank.
#[derive(Clone, Debug, Default)]
pub struct Rank {
    /// Path to content.
    pub files: BTreeMap<String, Content>,
    /// Spelling to path: symbolic links and bare names. A path that is a file finds itself.
    pub links: BTreeMap<String, String>,
    /// What is recorded before the round.
    pub wishes: Vec<Request>,
    /// Found out about the wishes already: used instead of looking at files, once.
    pub gathered: Option<Plan>,
    /// Libraries that do not simply work.
    pub openings: BTreeMap<Content, Opening>,
    /// Modules that do not simply work.
    pub importings: BTreeMap<String, Importing>,
    /// What code records while it runs: a constructor, a module's body, a callback.
    pub records: BTreeMap<Thing, Vec<Request>>,
    /// Tasks that code adds to a plugin while it runs.
    pub grows: BTreeMap<Thing, (Content, u32)>,
    /// Libraries that are plugins.
    pub plugins: BTreeMap<Content, Plugin>,
    /// Callbacks that do not simply work.
    pub callings: BTreeMap<Thing, Calling>,
    /// Paths that the program opened itself, where they are more than one.
    pub copies: BTreeMap<Content, Vec<String>>,
    /// How many rounds of the session it has been through.
    pub serial: u64,
    /// The first put-back bug.
    pub skips_vote_on_failure: bool,
    /// The second.
    pub skips_compare_when_unchanged: bool,
}

impl Rank {
    /// Whether any file has this content.
    pub fn has(&self, content: Content) -> bool {
        self.files.values().any(|&known| known == content)
    }

    /// What a spelling leads to.
    pub fn find(&self, spelling: &str) -> Option<(String, Content)> {
        let path = self.links.get(spelling).map_or(spelling, String::as_str);
        self.files.get(path).map(|&content| (path.to_string(), content))
    }

    /// How opening goes.
    pub fn opening(&self, content: Content) -> Opening {
        self.openings.get(&content).copied().unwrap_or(Opening::Works)
    }

    /// How importing goes.
    pub fn importing(&self, module: &str) -> Importing {
        self.importings.get(module).copied().unwrap_or(Importing::Works)
    }

    /// Whether a callback goes well.
    pub fn calls(&self, callback: &Thing) -> bool {
        self.callings.get(callback).is_none_or(|calling| *calling == Calling::Works)
    }
}

/// All ranks, and the weather.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides every delay and who is next.
    pub seed: u64,
    /// By rank.
    pub ranks: Vec<Rank>,
    /// When broadcasts complete.
    pub broadcasts: Broadcasts,
    /// Damaged shares.
    pub faults: Vec<Fault>,
}

impl Scenario {
    /// `size` ranks that have the libraries `0..contents` in `/lib`, linked from `/link` and found by bare name, with
    /// copies in `/copy`; nobody wants anything yet.
    pub fn of(size: u32, contents: Content, seed: u64) -> Self {
        let mut rank = Rank::default();
        for content in 0..contents {
            rank.files.insert(path(content), content);
            rank.files.insert(format!("/copy/lib{content}.so"), content);
            for link in [format!("/link/lib{content}.so"), format!("lib{content}.so")] {
                rank.links.insert(link, path(content));
            }
        }
        let broadcasts = [Broadcasts::Eager, Broadcasts::Tree, Broadcasts::Together][seed as usize % 3];
        Scenario { seed, ranks: vec![rank; size as usize], broadcasts, faults: Vec::new() }
    }

    /// These ranks want this.
    pub fn want(mut self, ranks: impl IntoIterator<Item = u32>, wish: Request) -> Self {
        ranks.into_iter().for_each(|rank| self.ranks[rank as usize].wishes.push(wish.clone()));
        self
    }

    /// Every rank wants this.
    pub fn all_want(self, wish: Request) -> Self {
        let size = self.size();
        self.want(0..size, wish)
    }

    /// On every rank this library is a plugin.
    pub fn plugin(self, content: Content, plugin: Plugin) -> Self {
        self.everywhere(|rank| {
            rank.plugins.insert(content, plugin.clone());
        })
    }

    /// The next call of the same session: other wishes, nothing else.
    pub fn next(&self) -> Self {
        let next = Scenario { seed: self.seed + 1, ..self.clone() };
        next.everywhere(|rank| {
            rank.wishes.clear();
            rank.serial += 1;
        })
    }

    /// Something else is different on every rank.
    pub fn everywhere(mut self, change: impl Fn(&mut Rank)) -> Self {
        self.ranks.iter_mut().for_each(change);
        self
    }

    /// Something else is different on one rank.
    pub fn on(mut self, rank: u32, change: impl FnOnce(&mut Rank)) -> Self {
        change(&mut self.ranks[rank as usize]);
        self
    }

    /// How many ranks.
    pub fn size(&self) -> u32 {
        self.ranks.len() as u32
    }
}

/// Where a library is, unless a scenario says otherwise.
pub fn path(content: Content) -> String {
    format!("/lib/lib{content}.so")
}

/// A library, by its path.
pub fn library(content: Content) -> Request {
    spelled(path(content), OpenFlags::NOW)
}

/// A library, by its path, visible to later ones.
pub fn global(content: Content) -> Request {
    spelled(path(content), OpenFlags::NOW | OpenFlags::GLOBAL)
}

/// A library as spelled.
pub fn spelled(spelling: impl Into<String>, flags: OpenFlags) -> Request {
    Request::Library { spelling: spelling.into(), flags, opened: false }
}

/// A module.
pub fn module(name: &str) -> Request {
    Request::Module { name: name.into() }
}

/// The identity of a content.
pub fn identity(content: Content) -> Identity {
    let mut digest = [content as u8; 32];
    digest[..4].copy_from_slice(&content.to_le_bytes());
    let build_id = content.is_multiple_of(2).then(|| vec![content as u8; 20]);
    // Other content of one name and size differs in the digest alone, as a patched byte does.
    Identity { name: format!("lib{}.so", content % OTHER), size: 4096, build_id, digest }
}

/// Added to a content: another library under the same name.
pub const OTHER: Content = 1_000_000;

/// The content that an identity is of.
pub fn content(identity: &Identity) -> Content {
    let [a, b, c, d, ..] = identity.digest;
    u32::from_le_bytes([a, b, c, d])
}
