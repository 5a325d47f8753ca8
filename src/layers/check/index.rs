//! Which layer has which library, under which names.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::layers::explain::{Place, State};
use crate::layers::link::{Plan, names};
use crate::layers::scan::{Class, Scanned};
use crate::layers::stack::Stack;

/// Names, and the files that they lead to: absolute, without links.
pub type Names = BTreeMap<OsString, PathBuf>;

/// What the layers of a stack have for each other.
#[derive(Debug, Clone)]
pub struct Index {
    /// What the layers are called.
    pub layers: Vec<String>,
    /// Their folders, without links.
    pub roots: Vec<PathBuf>,
    /// For each layer itself, and those that it uses, in their order.
    pub order: Vec<Vec<usize>>,
    /// For each layer what others get of it.
    pub offers: Vec<Names>,
    /// For each layer what `dynlib_exclude` keeps from others.
    pub excluded: Vec<Names>,
    /// For each layer files that are named like libraries, and are none that this machine loads: where, and what they are.
    pub broken: Vec<BTreeMap<OsString, (PathBuf, String)>>,
}

impl Index {
    /// Takes it from a scan, and from the plan of the links. Without a plan, because a name means several libraries, the first one
    /// counts.
    #[must_use]
    pub fn new(stack: &Stack, roots: &[PathBuf], scanned: &[Scanned], plan: Option<&Plan>) -> Index {
        let mut index = Index {
            layers: stack.layers.iter().map(|layer| layer.name.clone()).collect(),
            roots: roots.to_vec(),
            order: Vec::new(),
            offers: vec![Names::new(); roots.len()],
            excluded: vec![Names::new(); roots.len()],
            broken: vec![BTreeMap::new(); roots.len()],
        };
        for (at, layer) in stack.layers.iter().enumerate() {
            index.order.push([at].into_iter().chain(layer.below.iter().copied()).collect());
            for (name, file) in plan.iter().flat_map(|plan| &plan.links[at]) {
                if let Ok(real) = std::fs::canonicalize(roots[at].join(file)) {
                    index.offers[at].insert(name.clone(), real);
                }
            }
        }
        for scanned in scanned {
            index.take(stack, scanned, plan.is_some());
        }
        index
    }

    fn take(&mut self, stack: &Stack, scanned: &Scanned, planned: bool) {
        let at = scanned.layer;
        for object in &scanned.objects {
            let path = self.roots[at].join(&object.path);
            let elf = match &object.class {
                Class::Library(elf) => elf,
                Class::Neither(neither) => {
                    if let (Some(name), Some(what)) = (object.path.file_name(), neither.what()) {
                        self.broken[at].entry(name.into()).or_insert((path, what));
                    }
                    continue;
                }
                Class::Extension(_) | Class::Program(_) => continue,
            };
            let real = object.link.clone().unwrap_or(path);
            let is_excluded = stack.layers[at].exclude.covers(&object.path);
            if planned && !is_excluded {
                continue;
            }
            let into = if is_excluded { &mut self.excluded[at] } else { &mut self.offers[at] };
            for name in names::names(object.path.file_name().unwrap_or_default(), elf.soname.as_deref()) {
                into.entry(name).or_insert_with(|| real.clone());
            }
        }
    }

    /// The library that `layer` gets for a name: of itself, or of the first layer below that has it.
    #[must_use]
    pub fn offered(&self, layer: usize, name: &OsStr) -> Option<(usize, &Path)> {
        self.order[layer].iter().find_map(|at| Some((*at, self.offers[*at].get(name)?.as_path())))
    }

    /// All libraries of a name, as `layer` sees them: what it gets first, then what it would get, if, and what it cannot get.
    #[must_use]
    pub fn places(&self, layer: usize, name: &OsStr) -> Vec<Place> {
        let others = (0..self.layers.len()).filter(|at| !self.order[layer].contains(at));
        let all: Vec<usize> = self.order[layer].iter().copied().chain(others).collect();
        let place = |at: &usize, names: &Names, state| {
            let path = names.get(name)?.clone();
            Some(Place { layer: Some(self.layers[*at].clone()), path, state })
        };
        let state = |at: &usize| if self.order[layer].contains(at) { State::Offered } else { State::NotUsed };
        let offered = all.iter().filter_map(|at| place(at, &self.offers[*at], state(at)));
        let excluded = all.iter().filter_map(|at| place(at, &self.excluded[*at], State::Excluded));
        let broken = self.order[layer].iter().filter_map(|at| {
            let (path, what) = self.broken[*at].get(name)?.clone();
            Some(Place { layer: Some(self.layers[*at].clone()), path, state: State::Broken(what) })
        });
        offered.chain(excluded).chain(broken).collect()
    }

    /// The layer that has a file, given without links.
    #[must_use]
    pub fn owner(&self, real: &Path) -> Option<usize> {
        let having = (0..self.roots.len()).filter(|at| real.starts_with(&self.roots[*at]));
        // A layer may lie in another one's folder.
        having.max_by_key(|at| self.roots[*at].as_os_str().len())
    }
}
