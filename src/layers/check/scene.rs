//! The process of a layer's Python, in thought: which program it is, and what LD_LIBRARY_PATH holds there.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Host, Index};
use crate::layers::scan::Scanned;
use crate::layers::search::{Disk, Folder, Process, System};
use crate::layers::wrapper::interpreter::{self, Kind};
use crate::layers::wrapper::{self, DYNLIB};
use crate::layers::{elf, regular};

/// How a layer's Python is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// By the wrapper, with the links that `dlcast layers link` makes, whether they are there or not.
    Linked,
    /// As it is on the disk.
    Now,
    /// Without wrapper and links.
    Plain,
}

/// The processes of all layers.
pub struct Scenes<'a> {
    index: &'a Index,
    system: &'a System,
    variable: OsString,
    programs: Vec<Option<PathBuf>>,
    wrapped: Vec<bool>,
    links: Vec<Rc<BTreeSet<OsString>>>,
    with_links: Disk,
    as_it_is: Disk,
}

impl<'a> Scenes<'a> {
    /// Looks which Python each layer has.
    #[must_use]
    pub fn new(index: &'a Index, host: &'a Host, scanned: &[Scanned]) -> Scenes<'a> {
        let mut links = HashMap::new();
        for (root, offers) in index.roots.iter().zip(&index.offers) {
            links.extend(offers.iter().map(|(name, file)| (root.join(DYNLIB).join(name), file.clone())));
        }
        let bins = || index.roots.iter().map(|root| root.join("bin"));
        let program = |bin: PathBuf| interpreter::find(&bin).ok().map(|found| found.file);
        let wrapped =
            |bin: PathBuf| matches!(interpreter::look(&bin.join("python")), Ok(Some(Kind::Ours | Kind::Venvstacks)));
        let scenes = Scenes {
            index,
            system: &host.system,
            variable: without_layers(&host.variable, index),
            programs: bins().map(program).collect(),
            wrapped: bins().map(wrapped).collect(),
            links: index.offers.iter().map(|offers| Rc::new(offers.keys().cloned().collect())).collect(),
            with_links: Disk::with_links(links),
            as_it_is: Disk::default(),
        };
        for scanned in scanned {
            for object in &scanned.objects {
                if let Some(elf) = object.class.elf() {
                    let (path, elf) = (index.roots[scanned.layer].join(&object.path), Rc::new(elf.clone()));
                    scenes.with_links.know(&path, &elf);
                    scenes.as_it_is.know(&path, &elf);
                }
            }
        }
        scenes
    }

    /// The layer's interpreter, or that of a layer below.
    #[must_use]
    pub fn program(&self, layer: usize) -> Option<&Path> {
        self.index.order[layer].iter().find_map(|at| self.programs[*at].as_deref())
    }

    /// Tells whether a layer's `bin/python` is a wrapper.
    #[must_use]
    pub fn is_wrapped(&self, layer: usize) -> bool {
        self.wrapped[layer]
    }

    /// What is on the disk, seen that way.
    #[must_use]
    pub fn disk(&self, way: Way) -> &Disk {
        match way {
            Way::Linked => &self.with_links,
            Way::Now | Way::Plain => &self.as_it_is,
        }
    }

    /// What ld.so is here.
    #[must_use]
    pub fn system(&self) -> &'a System {
        self.system
    }

    /// The folders of LD_LIBRARY_PATH in the layer's process.
    #[must_use]
    pub fn folders(&self, layer: usize, way: Way) -> Vec<Folder> {
        let origin = self.program(layer).unwrap_or(Path::new("/"));
        let read = |variable: &OsStr| Process::library_path(origin, variable, self.system);
        let of_layer = |at: &usize| {
            let links = (way == Way::Linked).then(|| self.links[*at].clone());
            Folder { path: self.index.roots[*at].join(DYNLIB), links }
        };
        if way == Way::Plain || (way == Way::Now && !self.is_wrapped(layer)) {
            return read(&self.variable);
        }
        let (own, others) = sorted(&self.variable);
        let mut folders = read(&own);
        folders.extend(self.index.order[layer].iter().map(of_layer));
        folders.extend(read(&others));
        folders
    }

    /// LD_LIBRARY_PATH as it stands there.
    #[must_use]
    pub fn variable(&self, layer: usize, way: Way) -> OsString {
        let folders = self.folders(layer, way);
        let folders: Vec<&OsStr> = folders.iter().map(|folder| folder.path.as_os_str()).collect();
        folders.join(OsStr::new(":"))
    }

    /// A process of a program with the layer's LD_LIBRARY_PATH, nothing in it yet.
    #[must_use]
    pub fn empty(&self, layer: usize, way: Way, program: Option<&Path>) -> Process<'_> {
        let loader = program.and_then(|program| elf::interpreter(&regular::open(program).ok()?).ok()?);
        let mut process = Process::empty(self.system, self.disk(way), loader.as_deref());
        process.set_library_path(self.folders(layer, way));
        process
    }

    /// The layer's Python, started.
    #[must_use]
    pub fn python(&self, layer: usize, way: Way) -> Process<'_> {
        let program = self.program(layer);
        let mut process = self.empty(layer, way, program);
        if let Some(program) = program {
            // What Python itself lacks is no object's need; Python would not start.
            let _needs = process.start(program);
        }
        process
    }
}

/// What the wrappers of these layers have added to the variable is not the user's.
fn without_layers(variable: &OsStr, index: &Index) -> OsString {
    let is_layers = |entry: &&OsStr| index.roots.iter().any(|root| Path::new(entry) == root.join(DYNLIB));
    let own: Vec<&OsStr> = entries(variable).filter(|entry| !is_layers(entry)).collect();
    own.join(OsStr::new(":"))
}

/// The user's own entries, and those of the wrappers of other stacks, which a wrapper puts after its own.
fn sorted(variable: &OsStr) -> (OsString, OsString) {
    let (others, own): (Vec<&OsStr>, Vec<&OsStr>) = entries(variable).partition(|entry| wrapper::is_wrappers(entry));
    (own.join(OsStr::new(":")), others.join(OsStr::new(":")))
}

fn entries(variable: &OsStr) -> impl Iterator<Item = &OsStr> {
    let entries = variable.as_bytes().split(|byte| matches!(byte, b':' | b';'));
    entries.filter(|entry| !entry.is_empty()).map(OsStr::from_bytes)
}
