//! What every object is given for what it needs, in the process of every layer that has it within reach.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Index;
use super::alone::Alone;
use super::scene::{Scenes, Way};
use crate::layers::scan::Scanned;
use crate::layers::search::disk::FileId;
use crate::layers::search::process::{Need, NotGiven};
use crate::layers::search::{Process, Rule, Trail};

/// How an object came to a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum How {
    /// RPATH or RUNPATH, or a path.
    Own,
    /// LD_LIBRARY_PATH.
    Variable,
    /// The system's cache and folders.
    System,
    /// It was loaded before.
    Loaded,
}

/// What an object is given for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// A file.
    File {
        /// The layer that has it; none: the host.
        layer: Option<usize>,
        /// The file, without links.
        real: PathBuf,
        /// What led to it.
        how: How,
    },
    /// Nothing; where it was sought.
    Missing(Rc<Trail>),
    /// A file that cannot be loaded.
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// More places than anybody reads; thousands of such searches are kept.
const MOST_PLACES: usize = 64;

/// A search without its middle, if it is long. The last place tells how it ended.
fn shortened(mut trail: Trail) -> Trail {
    if trail.tried.len() > MOST_PLACES {
        trail.tried.drain(MOST_PLACES - 1..trail.tried.len() - 1);
    }
    trail.tried.shrink_to_fit();
    trail
}

impl Met {
    /// Tells whether it comes to the same; where nothing was found, the way there does not matter.
    #[must_use]
    pub fn is_like(&self, other: &Met) -> bool {
        matches!((self, other), (Met::Missing(_), Met::Missing(_))) || self == other
    }

    /// The worse of two comes first.
    fn rank(&self) -> u8 {
        match self {
            Met::Missing(_) => 0,
            Met::Refused { .. } => 1,
            Met::File { layer: None, .. } => 2,
            Met::File { .. } => 3,
        }
    }
}

/// A need of an object of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The layer that has the object.
    pub layer: usize,
    /// The object, relative to it.
    pub object: PathBuf,
    /// What it needs.
    pub name: OsString,
}

/// What a need was given in the process of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whose Python it is.
    pub viewer: usize,
    /// With links and wrapper.
    pub linked: Met,
    /// As it is.
    pub now: Met,
    /// Without them.
    pub plain: Met,
}

type Mets = HashMap<Key, Met>;

/// Opens everything in every layer that has it within reach. `linked` says which layers are linked as they should be.
#[must_use]
pub fn all(index: &Index, scenes: &Scenes, scanned: &[Scanned], linked: &[bool]) -> BTreeMap<Key, Vec<Seen>> {
    let mut all: BTreeMap<Key, Vec<Seen>> = BTreeMap::new();
    for viewer in 0..index.layers.len() {
        let alone = Alone::new(index, viewer, scanned);
        let of = |way| Opening::new(index, scenes, viewer, way).all(&alone);
        let (with_links, plain) = (of(Way::Linked), of(Way::Plain));
        let is_linked = scenes.is_wrapped(viewer) && index.order[viewer].iter().all(|at| linked[*at]);
        let now = match (is_linked, scenes.is_wrapped(viewer)) {
            (true, _) => None,
            (false, true) => Some(of(Way::Now)),
            (false, false) => Some(plain.clone()),
        };
        for (key, linked) in with_links {
            let now = now.as_ref().map_or(Some(&linked), |now| now.get(&key)).unwrap_or(&linked).clone();
            let plain = plain.get(&key).unwrap_or(&linked).clone();
            all.entry(key).or_default().push(Seen { viewer, linked, now, plain });
        }
    }
    all
}

/// Opening everything in one process.
struct Opening<'a> {
    index: &'a Index,
    scenes: &'a Scenes<'a>,
    viewer: usize,
    way: Way,
    python: Process<'a>,
    places: HashMap<PathBuf, Option<(usize, PathBuf)>>,
    mets: Mets,
    reached: HashSet<FileId>,
}

impl<'a> Opening<'a> {
    fn new(index: &'a Index, scenes: &'a Scenes<'a>, viewer: usize, way: Way) -> Opening<'a> {
        let python = scenes.python(viewer, way);
        let (places, mets, reached) = (HashMap::new(), Mets::new(), HashSet::new());
        Opening { index, scenes, viewer, way, python, places, mets, reached }
    }

    fn all(mut self, alone: &Alone) -> Mets {
        alone.extensions.iter().for_each(|path| self.open(path));
        alone.programs.iter().for_each(|path| self.start(path));
        for path in &alone.libraries {
            if !self.scenes.disk(self.way).id(path).is_some_and(|id| self.reached.contains(&id)) {
                self.open(path);
            }
        }
        self.mets
    }

    fn open(&mut self, path: &Path) {
        let mut process = self.python.clone();
        let opened = process.open_file(path);
        self.note(&process, opened.given.ok(), opened.needs);
    }

    fn start(&mut self, path: &Path) {
        let mut process = self.scenes.empty(self.viewer, self.way, Some(path));
        if let Ok(needs) = process.start(path) {
            self.note(&process, process.program_index(), needs);
        }
    }

    /// Keeps what was given; the worst, where an object was opened in several ways.
    fn note(&mut self, process: &Process, first: Option<usize>, needs: Vec<Need>) {
        let disk = self.scenes.disk(self.way);
        let id = |index: usize| disk.id(&process.object(index).path);
        self.reached.extend(first.and_then(id));
        for need in needs {
            self.reached.extend(need.given.as_ref().ok().and_then(|index| id(*index)));
            let Some((layer, object)) = self.place(&process.object(need.by).path) else { continue };
            let key = Key { layer, object, name: need.trail.name.clone() };
            let met = self.met(process, need);
            match self.mets.get(&key) {
                Some(known) if known.rank() <= met.rank() => {}
                _ => {
                    self.mets.insert(key, met);
                }
            }
        }
    }

    fn met(&mut self, process: &Process, Need { trail, given, .. }: Need) -> Met {
        let how = match trail.found.as_ref().map(|found| &found.rule) {
            Some(Rule::Rpath(_) | Rule::Runpath(_) | Rule::Path | Rule::Own) => How::Own,
            Some(Rule::LibraryPath) => How::Variable,
            Some(Rule::Cache | Rule::System) => How::System,
            Some(Rule::Loaded) | None => How::Loaded,
        };
        match given {
            Ok(index) => {
                let path = &process.object(index).path;
                let real = self.real(path);
                Met::File { layer: self.index.owner(&real), real, how }
            }
            Err(NotGiven::NotFound) => Met::Missing(Rc::new(shortened(trail))),
            Err(error) => {
                let path = trail.found.map(|found| found.path).unwrap_or_default();
                Met::Refused { path, why: error.to_string() }
            }
        }
    }

    fn real(&self, path: &Path) -> PathBuf {
        let path = self.scenes.disk(self.way).real(path);
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
    }

    /// The layer that has an object, and its place there; none for the host's own.
    fn place(&mut self, path: &Path) -> Option<(usize, PathBuf)> {
        if let Some(known) = self.places.get(path) {
            return known.clone();
        }
        let real = self.real(path);
        let place = self
            .index
            .owner(&real)
            .and_then(|at| Some((at, real.strip_prefix(&self.index.roots[at]).ok()?.to_path_buf())));
        self.places.insert(path.to_path_buf(), place.clone());
        place
    }
}
