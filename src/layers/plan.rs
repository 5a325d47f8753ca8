//! What a process has to open before what, so that it needs neither a wrapper nor LD_LIBRARY_PATH: a value that travels as JSON.
//!
//! It is made on one rank and carried out on all; nothing is opened here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::check::Index;
use super::check::wants::wants;
use super::elf;
use super::link::{self, LinkError};
use super::regular;
use super::scan::{self, ScanError};
use super::search::{Disk, Process, Rule, System};
use super::stack::Stack;

/// The version of the format.
pub const VERSION: u32 = 2;

/// The order of opening for the layers of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The file that describes the stack.
    pub stack: PathBuf,
    /// The folders of the layers that count, without links: what lies in them was looked at.
    #[serde(default)]
    pub roots: Vec<PathBuf>,
    /// What may have to be opened.
    pub libraries: Vec<Library>,
    /// By the path of an object, in which the folder of the layer is without links: which libraries have to be open before it, in this order.
    pub objects: BTreeMap<PathBuf, Vec<usize>>,
    /// By a name without a folder of which ld.so does not know, or for which the host would have another file: the library.
    pub names: BTreeMap<String, usize>,
}

/// A library of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Its file, absolute.
    pub file: PathBuf,
    /// The layer that has it.
    pub layer: String,
    /// What it calls itself: once it is open, ld.so takes it for this name.
    pub soname: Option<String>,
    /// Which libraries have to be open before it, in this order.
    pub first: Vec<usize>,
}

/// Why a plan that has travelled cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It was written by something else.
    #[error("the plan of the layers cannot be read: {0}")]
    Format(#[from] serde_json::Error),
    /// By another dlcast.
    #[error("the plan of {} is of version {found}, and this dlcast reads {VERSION}: give all ranks the same dlcast", stack.display())]
    Version {
        /// The stack.
        stack: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoPlan {
    /// A layer cannot be looked through.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// What the layers offer to each other is not clear.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A plan is JSON, which is text.
    #[error("{}: its path, or its SONAME, is not UTF-8, which the plan of the layers cannot carry; rename it", path.display())]
    NotText {
        /// What cannot be named.
        path: PathBuf,
    },
}

/// For what process to plan.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its program; none: as if nothing were loaded.
    pub program: Option<PathBuf>,
    /// Its LD_LIBRARY_PATH.
    pub library_path: OsString,
    /// Folders of Python's search path, the first one first, or that of the program as it was called: they tell which layers count. None of them
    /// in a layer: all do.
    pub path: Vec<PathBuf>,
    /// Objects outside the layers, for which to plan, too.
    pub objects: Vec<PathBuf>,
}

impl Plan {
    /// Plans. It looks at every layer that counts, and takes the time for that.
    ///
    /// # Errors
    ///
    /// [`NoPlan`].
    pub fn make(stack: &Stack, target: &Target, system: &System) -> Result<Plan, NoPlan> {
        let disk = Disk::default();
        let (scanned, roots) = (scan::scan(stack)?, link::roots(stack)?);
        let links = link::plan(stack, &roots, &scanned, &mut link::same)?;
        let mut index = Index::new(stack, &roots, &scanned, Some(&links));
        let order = order(&index, &target.path);
        // The process's own layer sees all that count.
        let Some(own) = order.first().copied() else { return Ok(Plan::empty(stack)) };
        index.order[own].clone_from(&order);
        for at in &order {
            if let Some((_, file)) = links.links[*at].iter().find(|(name, _)| name.to_str().is_none()) {
                return Err(NoPlan::NotText { path: roots[*at].join(file) });
            }
        }
        let base = base(target, system, &disk);
        let mut maker = Maker { index: &index, own, base: &base, plan: Plan::empty(stack) };
        maker.plan.roots = order.iter().map(|layer| index.roots[*layer].clone()).collect();
        let of_layers = scanned.iter().filter(|scanned| order.contains(&scanned.layer)).flat_map(|scanned| {
            let opened = scanned.objects.iter().filter(|object| object.class.elf().is_some());
            opened.map(|object| index.roots[scanned.layer].join(&object.path))
        });
        for object in of_layers.chain(target.objects.iter().cloned()) {
            let first = maker.first(&object);
            if !first.is_empty() {
                maker.plan.objects.insert(object, first);
            }
        }
        for name in order.iter().flat_map(|layer| index.offers[*layer].keys()) {
            if let (Some((layer, file)), Some(text)) = (maker.means(name), name.to_str()) {
                let library = maker.library(layer, &file);
                maker.plan.names.insert(text.into(), library);
            }
        }
        let not_text = maker.plan.paths().find(|path| path.to_str().is_none()).map(Path::to_path_buf);
        match not_text {
            Some(path) => Err(NoPlan::NotText { path }),
            None => Ok(maker.plan),
        }
    }

    /// All paths that it has.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let libraries = self.libraries.iter().map(|library| library.file.as_path());
        [&self.stack]
            .into_iter()
            .chain(&self.roots)
            .map(PathBuf::as_path)
            .chain(libraries)
            .chain(self.objects.keys().map(PathBuf::as_path))
    }

    fn empty(stack: &Stack) -> Plan {
        let (objects, names) = (BTreeMap::new(), BTreeMap::new());
        let (roots, libraries) = (Vec::new(), Vec::new());
        Plan { version: VERSION, stack: stack.file.clone(), roots, libraries, objects, names }
    }

    /// What has to be open before `name`, a path or a bare name, is opened, in this order; a bare name's own library is not among it.
    pub fn before(&self, name: &str) -> impl Iterator<Item = &Library> {
        let path = Path::new(name);
        let first = match name.contains('/') {
            false => self.names.get(name).map(|index| &self.libraries[*index].first),
            true => self.objects.get(path).or_else(|| {
                // The path to the layer may have links in it; one that is an object itself has a name of its own.
                let beside = path.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
                let beside = beside.zip(path.file_name()).map(|(folder, file)| folder.join(file));
                beside
                    .and_then(|beside| self.objects.get(&beside))
                    .or_else(|| self.objects.get(&std::fs::canonicalize(path).ok()?))
            }),
        };
        first.into_iter().flatten().map(|index| &self.libraries[*index])
    }

    /// Whether the object at `path` was looked at: what it needs of the layers is in the plan, if it needs anything.
    pub fn has(&self, path: &Path) -> bool {
        let is_below = |path: &Path| self.roots.iter().any(|root| path.starts_with(root));
        is_below(path) || std::fs::canonicalize(path).is_ok_and(|real| is_below(&real))
    }

    /// The library that a bare name means, after those that have to be open before it.
    pub fn with(&self, name: &str) -> Option<Vec<Library>> {
        let own = &self.libraries[*self.names.get(name)?];
        let first = own.first.iter().map(|index| &self.libraries[*index]);
        Some(first.chain([own]).cloned().collect())
    }

    /// As it travels.
    ///
    /// # Errors
    ///
    /// [`PlanError::Format`] for a path that is not UTF-8.
    pub fn to_json(&self) -> Result<String, PlanError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads what [`to_json`](Self::to_json) has written.
    ///
    /// # Errors
    ///
    /// [`PlanError`]; a number that is none of a library is one, too.
    pub fn from_json(text: &str) -> Result<Plan, PlanError> {
        let plan: Plan = serde_json::from_str(text)?;
        if plan.version != VERSION {
            return Err(PlanError::Version { stack: plan.stack, found: plan.version });
        }
        let lists = plan.libraries.iter().map(|library| &library.first).chain(plan.objects.values());
        let beyond = lists.flatten().chain(plan.names.values()).any(|index| *index >= plan.libraries.len());
        match beyond {
            true => Err(PlanError::Format(serde::de::Error::custom("it names a library that it does not have"))),
            false => Ok(plan),
        }
    }
}

struct Maker<'a> {
    index: &'a Index,
    own: usize,
    base: &'a Process<'a>,
    plan: Plan,
}

impl Maker<'_> {
    /// What has to be open before an object.
    fn first(&mut self, object: &Path) -> Vec<usize> {
        let wants = wants(&mut self.base.clone(), self.index, self.own, object);
        // Of copies of one library, one.
        wants.first.into_iter().map(|want| self.library(want.layer, &want.file)).collect()
    }

    /// The number of a library.
    fn library(&mut self, layer: usize, file: &Path) -> usize {
        if let Some(known) = self.plan.libraries.iter().position(|known| known.file == file) {
            return known;
        }
        let soname = self.base.disk().object(file).ok().and_then(|elf| elf.soname.clone());
        // The names of links are text, or there is no plan.
        let soname = soname.and_then(|soname| soname.into_string().ok());
        let number = self.plan.libraries.len();
        // It has its number before those that it needs are asked for: they may need it in turn.
        let library =
            Library { file: file.to_path_buf(), layer: self.index.layers[layer].clone(), soname, first: Vec::new() };
        self.plan.libraries.push(library);
        self.plan.libraries[number].first = self.first(file);
        number
    }

    /// What a plain dlopen of a bare name would not give: the library of a layer.
    fn means(&self, name: &OsStr) -> Option<(usize, PathBuf)> {
        let (layer, file) = self.index.offered(self.own, name)?;
        let file = file.to_path_buf();
        match self.base.clone().open(name, None).trail.found {
            None => Some((layer, file)),
            Some(found) if !matches!(found.rule, Rule::Cache | Rule::System) => None,
            Some(found) => (!super::same(&found.path, &file).unwrap_or(false)).then_some((layer, file)),
        }
    }
}

/// The process as it is before a library of a layer is opened.
fn base<'a>(target: &Target, system: &'a System, disk: &'a Disk) -> Process<'a> {
    let program = target.program.as_deref();
    let loader = program.and_then(|program| elf::interpreter(&regular::open(program).ok()?).ok()?);
    let mut process = Process::empty(system, disk, loader.as_deref());
    let at = program.unwrap_or(Path::new("/"));
    process.set_library_path(Process::library_path(at, &target.library_path, system));
    // It runs: whatever it needs it has been given.
    let _needs = program.map(|program| process.start(program));
    process
}

/// The layers that count, the first one first: the first on the path is the process's own; then come those that it uses, then others
/// on the path. Where none is there, all do.
fn order(index: &Index, path: &[PathBuf]) -> Vec<usize> {
    let mut tops: Vec<usize> =
        path.iter().filter_map(|folder| index.owner(&std::fs::canonicalize(folder).ok()?)).collect();
    if tops.is_empty() {
        tops.extend(0..index.roots.len());
    }
    let mut order = Vec::new();
    for layer in tops.into_iter().flat_map(|top| &index.order[top]) {
        if !order.contains(layer) {
            order.push(*layer);
        }
    }
    order
}

#[cfg(test)]
mod tests;
