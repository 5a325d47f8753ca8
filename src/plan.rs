//! The union of all ranks' requests as one ordered plan, and the arithmetic of agreeing on it.
//!
//! Pure: a plan never looks at a file. Libraries are the same by identity, modules by name.

use serde::{Deserialize, Serialize};

use crate::code::{CodePlace, CodeRef, Home};
use crate::identity::Identity;
use crate::ranks::RankSet;
use crate::request::OpenFlags;

/// A library as one rank, or after merging all ranks, want it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// `None` where no rank that asked could find or read it.
    pub identity: Option<Identity>,
    /// How callers spelled it; two ranks that cannot both find it are matched by this.
    pub spellings: Vec<String>,
    /// Where the first rank that found it has it.
    pub path: Option<String>,
    /// The joined flags.
    pub flags: OpenFlags,
}

/// The key of the item that asks for a library.
pub fn library_key(identity: &Identity) -> Key {
    *blake3::Hasher::new().update(&identity.digest).update(identity.name.as_bytes()).finalize().as_bytes()
}

impl Library {
    /// Equal for what is one library; by the first spelling where nobody knows what it is.
    fn key(&self) -> Key {
        match &self.identity {
            Some(identity) => library_key(identity),
            None => *blake3::hash(self.spellings.first().map_or("", String::as_str).as_bytes()).as_bytes(),
        }
    }
}

/// What an item asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A library of the native lane.
    Library(Library),
    /// A module of the Python lane.
    Module {
        /// Absolute dotted name.
        name: String,
    },
    /// Code of the native lane, or of Python's, to be run once in every process.
    Callback(Callback),
    /// A library whose registrations are taken away.
    Unload(Library),
    /// A bad call of one rank; it can only fail.
    Invalid {
        /// What was wrong.
        message: String,
    },
}

/// Code that every process runs once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The code and its payload.
    pub code: CodeRef,
    /// Tells registrations of one function apart.
    pub tag: u64,
    /// The code, for people.
    pub name: String,
}

impl Callback {
    /// For the code, with its name.
    pub fn new(code: CodeRef, tag: u64) -> Self {
        let name = code.to_string();
        Callback { code, tag, name }
    }

    /// The library that must be open, local and bound at once; none for Python.
    pub fn library(&self) -> Option<Library> {
        self.code.home().map(|Home { identity, path }| Library {
            identity: Some(identity.clone()),
            spellings: vec![identity.name.clone()],
            path: Some(path.clone()),
            flags: OpenFlags::NOW,
        })
    }

    /// Everything that makes two registrations one: not the signature, which only says what the code is.
    pub fn key(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        if let Some(home) = self.code.home() {
            field(home.identity.name.as_bytes());
            field(&home.identity.digest);
        }
        match &self.code.place {
            CodePlace::Symbol { symbol, .. } => field(symbol.as_bytes()),
            CodePlace::Offset { offset, .. } => field(&offset.to_le_bytes()),
            CodePlace::Library(_) => {}
            CodePlace::Python { module, qualname } => {
                field(b"python");
                field(module.as_bytes());
                field(qualname.as_bytes());
            }
        }
        field(&self.tag.to_le_bytes());
        field(&self.code.payload);
        *hasher.finalize().as_bytes()
    }
}

/// Names an item across plans and passes: equal for items that ask for the same thing.
pub type Key = [u8; 32];

/// Among those who asked for an item: somebody who was not asked for himself.
const OUTRIGHT: Key = [0; 32];

/// Copies of one library that a program opened itself on one rank: each has run its constructors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// On which rank.
    pub rank: u32,
    /// Two paths or more.
    pub paths: Vec<String>,
}

/// One entry of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What is asked for.
    pub what: What,
    /// Who asked.
    pub holders: RankSet,
    /// Who has it more than once already.
    pub copies: Vec<Copies>,
    /// The items whose constructors or callbacks asked for it: they fail with it.
    pub asked_by: Vec<Key>,
}

impl Item {
    /// What `rank` wants, by itself.
    pub fn new(what: What, rank: u32) -> Self {
        Item { what, holders: RankSet::one(rank), copies: Vec::new(), asked_by: Vec::new() }
    }

    /// Whether nobody wants it any more once the items of `undone` have been undone.
    pub fn is_orphan(&self, undone: impl Fn(&Key) -> bool) -> bool {
        !self.asked_by.is_empty() && self.asked_by.iter().all(undone)
    }

    /// The library that it is about, if any.
    pub fn library(&self) -> Option<&Library> {
        match &self.what {
            What::Library(library) | What::Unload(library) => Some(library),
            _ => None,
        }
    }

    /// The name by which people know it: the library's first spelling, the module's name.
    pub fn name(&self) -> &str {
        match &self.what {
            What::Library(library) | What::Unload(library) => match (library.spellings.first(), &library.identity) {
                (Some(spelling), _) => spelling,
                (None, Some(identity)) => &identity.name,
                (None, None) => "a library without a name",
            },
            What::Module { name } => name,
            What::Callback(callback) => &callback.name,
            What::Invalid { .. } => "a call with a bad argument",
        }
    }

    /// Whether this item belongs to the native lane (libraries, their callbacks), not to Python's.
    pub fn is_native(&self) -> bool {
        match &self.what {
            What::Library(_) | What::Unload(_) => true,
            What::Callback(callback) => callback.code.home().is_some(),
            What::Module { .. } | What::Invalid { .. } => false,
        }
    }

    /// Whether Python does this.
    pub fn is_python(&self) -> bool {
        matches!(self.what, What::Module { .. } | What::Callback(_)) && !self.is_native()
    }

    /// Whether both ask for the same thing.
    pub fn same_as(&self, other: &Item) -> bool {
        match (&self.what, &other.what) {
            (What::Library(a), What::Library(b)) | (What::Unload(a), What::Unload(b)) => {
                match (&a.identity, &b.identity) {
                    (Some(a), Some(b)) => a == b,
                    (None, None) => a.spellings.iter().any(|spelling| b.spellings.contains(spelling)),
                    _ => false,
                }
            }
            (What::Module { name: a }, What::Module { name: b }) => a == b,
            (What::Callback(a), What::Callback(b)) => a.tag == b.tag && a.key() == b.key(),
            (What::Invalid { message: a }, What::Invalid { message: b }) => a == b,
            _ => false,
        }
    }

    fn absorb(&mut self, other: Item) {
        self.holders.union(&other.holders);
        for copies in other.copies {
            if !self.copies.contains(&copies) {
                self.copies.push(copies);
            }
        }
        // Nobody's asking means that the program itself wants it.
        if self.asked_by.is_empty() != other.asked_by.is_empty() && !self.asked_by.contains(&OUTRIGHT) {
            self.asked_by.push(OUTRIGHT);
        }
        for key in other.asked_by {
            if !self.asked_by.contains(&key) {
                self.asked_by.push(key);
            }
        }
        if let (What::Library(mine), What::Library(theirs)) | (What::Unload(mine), What::Unload(theirs)) =
            (&mut self.what, other.what)
        {
            for spelling in theirs.spellings {
                if !mine.spellings.contains(&spelling) {
                    mine.spellings.push(spelling);
                }
            }
            mine.flags = mine.flags.joined(theirs.flags);
            if mine.path.is_none() {
                mine.path = theirs.path;
            }
        }
    }

    /// The bytes that make two ranks' items equal: everything but the rank and the path.
    fn key(&self, hasher: &mut blake3::Hasher) {
        let mut field = |tag: u8, bytes: &[u8]| {
            hasher.update(&[tag]);
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        match &self.what {
            What::Library(library) | What::Unload(library) => {
                match &library.identity {
                    Some(identity) => {
                        field(0, identity.name.as_bytes());
                        field(1, &identity.size.to_le_bytes());
                        field(2, &identity.digest);
                    }
                    None => library.spellings.iter().for_each(|spelling| field(3, spelling.as_bytes())),
                }
                field(4, &library.flags.bits().to_le_bytes());
            }
            What::Module { name } => field(5, name.as_bytes()),
            What::Callback(callback) => field(9, &callback.key()),
            What::Invalid { message } => field(6, message.as_bytes()),
        }
        if let What::Unload(_) = &self.what {
            field(10, b"unload");
        }
        self.asked_by.iter().for_each(|key| field(11, key));
        // Copies differ per rank: a rank that has some makes the sets differ, so that everybody hears of them.
        for copies in &self.copies {
            field(7, &copies.rank.to_le_bytes());
            copies.paths.iter().for_each(|path| field(8, path.as_bytes()));
        }
    }
}

/// What is to be done in a round, in the order in which it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The entries.
    pub items: Vec<Item>,
}

impl Plan {
    /// Adds one item; an item that is there already absorbs it.
    pub fn add(&mut self, item: Item) {
        match self.items.iter_mut().find(|known| known.same_as(&item)) {
            Some(known) => known.absorb(item),
            None => self.items.push(item),
        }
    }

    /// The union: what is in both stands where `self` has it, the rest follows in the order of `other`.
    #[must_use]
    pub fn merged(mut self, other: Plan) -> Plan {
        // Few items are compared one by one; a map would cost more than it saves below some hundred.
        if self.items.len().max(other.items.len()) < 64 {
            other.items.into_iter().for_each(|item| self.add(item));
            return self;
        }
        let mut places: std::collections::HashMap<[u8; 32], usize> =
            self.items.iter().enumerate().map(|(place, item)| (item.place_key(), place)).collect();
        for item in other.items {
            match places.get(&item.place_key()) {
                Some(&place) if self.items[place].same_as(&item) => self.items[place].absorb(item),
                _ => {
                    places.insert(item.place_key(), self.items.len());
                    self.items.push(item);
                }
            }
        }
        self
    }

    /// After all ranks' sets are in: a library that one rank could not find is the one that another rank found under
    /// the same spelling.
    pub fn fold_unfound(&mut self) {
        let is_unfound = |item: &Item| item.library().is_some_and(|library| library.identity.is_none());
        if !self.items.iter().any(is_unfound) {
            return;
        }
        let (found, unfound): (Vec<Item>, Vec<Item>) =
            std::mem::take(&mut self.items).into_iter().partition(|item| !is_unfound(item));
        self.items = found;
        for lost in unfound {
            let Some(library) = lost.library() else { continue };
            let twin = self.items.iter_mut().find(|item| match (&item.what, &lost.what) {
                (What::Library(known), What::Library(_)) | (What::Unload(known), What::Unload(_)) => {
                    known.spellings.iter().any(|spelling| library.spellings.contains(spelling))
                }
                _ => false,
            });
            match twin {
                Some(twin) => twin.absorb(lost),
                None => self.items.push(lost),
            }
        }
    }

    /// Where ranks mean different files by a bare name: which. A path with another content on some rank is found when it is
    /// staged there; a bare name leads every rank to a file of its own, and all of them might be everywhere.
    pub fn ambiguous(&self, index: usize) -> Option<String> {
        let named = |item: &Item, name: &str| match &item.what {
            What::Library(library) => library.spellings.iter().any(|spelling| spelling == name),
            _ => false,
        };
        let What::Library(library) = &self.items.get(index)?.what else { return None };
        let bare = library.spellings.iter().filter(|spelling| !spelling.contains('/'));
        bare.into_iter().find_map(|name| {
            let meant: Vec<&Item> = self.items.iter().filter(|item| named(item, name)).collect();
            if meant.len() < 2 {
                return None;
            }
            let meanings = meant.iter().filter_map(|item| {
                let identity = item.library()?.identity.as_ref()?;
                Some(format!("{identity} on {}", item.holders))
            });
            let meanings: Vec<String> = meanings.collect();
            Some(format!(
                "`{name}` means different files: {}; give all ranks the same file, or name it by its path",
                meanings.join(", ")
            ))
        })
    }

    /// Two digests of 128 bits: of the set, and of the sequence.
    pub fn digests(&self) -> ([u64; 2], [u64; 2]) {
        if self.items.is_empty() {
            return Default::default();
        }
        let keys: Vec<[u8; 32]> = self.items.iter().map(Item::digest).collect();
        let sequence = words(&keys);
        if keys.is_sorted() {
            return (sequence, sequence);
        }
        let mut sorted = keys;
        sorted.sort_unstable();
        (words(&sorted), sequence)
    }

    /// The order that every rank can work out alone: used where all have the same set in another order.
    pub fn sort_canonically(&mut self) {
        self.items.sort_by_cached_key(Item::digest);
    }
}

impl Item {
    fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        self.key(&mut hasher);
        *hasher.finalize().as_bytes()
    }

    /// Equal for items that [`Item::same_as`] holds for, except unfound libraries with several spellings.
    pub fn place_key(&self) -> Key {
        match &self.what {
            What::Library(library) => library.key(),
            What::Unload(library) => *blake3::hash(&library.key()).as_bytes(),
            What::Callback(callback) => callback.key(),
            What::Module { name } => *blake3::hash(name.as_bytes()).as_bytes(),
            What::Invalid { message } => *blake3::hash(message.as_bytes()).as_bytes(),
        }
    }
}

fn words(keys: &[[u8; 32]]) -> [u64; 2] {
    let mut hasher = blake3::Hasher::new();
    keys.iter().for_each(|key| {
        hasher.update(key);
    });
    let digest = hasher.finalize();
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.as_bytes()[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    [word(0), word(8)]
}
