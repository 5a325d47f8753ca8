//! The layers of a stack, as an explanation needs them: whose Python opens something, and which layer has which library.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::module;
use super::python::{Caller, Found};
use super::{Arguments, Scene};
use crate::config;
use crate::host::search;
use crate::layers::check::scene::Way;
use crate::layers::check::{Host, Index, Scenes};
use crate::layers::explain::{Place, State};
use crate::layers::link;
use crate::layers::scan;
use crate::layers::stack::Stack;

/// A stack, and the layer that is looked at.
pub struct Layers {
    file: PathBuf,
    index: Index,
    /// For each layer its interpreter, and LD_LIBRARY_PATH of its `bin/python`.
    pythons: Vec<(Option<PathBuf>, OsString)>,
    /// The layer that the user has named.
    named: Option<usize>,
    layer: usize,
}

impl Layers {
    /// Reads the stack that the options name, if they do.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn new(arguments: &Arguments) -> Result<Option<Layers>, String> {
        let Some(path) = &arguments.stack else { return Ok(None) };
        let stack = Stack::read(path, arguments.build_dir.as_deref()).map_err(|error| error.to_string())?;
        let scanned = scan::scan(&stack).map_err(|error| error.to_string())?;
        let roots = link::roots(&stack).map_err(|error| error.to_string())?;
        // Names that mean several libraries are for `link` to complain about.
        let plan = link::plan(&stack, &roots, &scanned, &mut link::same).ok();
        let index = Index::new(&stack, &roots, &scanned, plan.as_ref());
        let host = Host { system: search::system(), variable: config::library_path(), programs: Vec::new() };
        let scenes = Scenes::new(&index, &host, &scanned);
        let python = |at: usize| (scenes.program(at).map(Path::to_path_buf), scenes.variable(at, Way::Now));
        let pythons = (0..index.layers.len()).map(python).collect();
        let named = arguments.layer.as_ref().map(|name| named(&stack, name)).transpose()?;
        let is_used = |at: usize| stack.layers.iter().any(|layer| layer.below.contains(&at));
        let top = (0..stack.layers.len()).find(|at| !is_used(*at)).unwrap_or(0);
        Ok(Some(Layers { file: stack.file, index, pythons, named, layer: named.unwrap_or(top) }))
    }

    /// Chooses the layer that has a file, unless the user has chosen.
    pub fn look_at(&mut self, path: &Path) {
        let real = std::fs::canonicalize(path).ok();
        if let (None, Some(owner)) = (self.named, real.and_then(|real| self.index.owner(&real))) {
            self.layer = owner;
        }
    }

    /// Where a module is; the layer is that which has it, unless the user has chosen.
    pub fn module(&mut self, name: &str) -> Option<Found> {
        let layers = match self.named {
            Some(at) => vec![at],
            None => [self.layer].into_iter().chain(0..self.index.layers.len()).collect(),
        };
        for at in layers {
            let roots: Vec<&Path> = self.index.order[at].iter().map(|at| self.index.roots[*at].as_path()).collect();
            if let Some(found) = module::find(&roots, name) {
                self.layer = at;
                return Some(found);
            }
        }
        None
    }

    /// Which layers were searched.
    pub fn told(&self) -> String {
        match self.named {
            Some(at) => format!("in layer `{}` and those that it uses", self.index.layers[at]),
            None => format!("in the layers of {}", self.file.display()),
        }
    }

    /// The layer's Python.
    pub fn scene(&self) -> Scene {
        let (program, variable) = self.pythons[self.layer].clone();
        let told = format!(
            "is opened by the Python of layer `{}`{}",
            self.index.layers[self.layer],
            program.as_ref().map_or(String::new(), |program| format!(", {}", program.display()))
        );
        let caller = program.as_deref().map_or(Caller::Program, |program| Caller::of_ctypes(module::ctypes(program)));
        Scene { program, variable, told, caller }
    }

    /// The layer's Python, which a script starts.
    pub fn started(&self) -> Scene {
        let scene = self.scene();
        let program = scene.program.as_ref().map_or("some program".into(), |program| program.display().to_string());
        Scene { told: format!("starts {program}, the Python of layer `{}`", self.index.layers[self.layer]), ..scene }
    }

    /// Where else a library of that name is.
    pub fn places(&self, name: &OsStr) -> Vec<Place> {
        self.index.places(self.layer, name)
    }

    /// How such a library comes into the process.
    pub fn way_to(&self, place: &Place) -> String {
        let layer = &self.index.layers[self.layer];
        let file = self.file.display();
        match &place.state {
            State::Offered => format!(
                "dlcast layers link {file}, and start by bin/python of `{layer}`; or call \
                 dlcast.layers.activate(\"{file}\") in the program"
            ),
            State::NotUsed => format!("name it in `uses` of `{layer}`"),
            State::Excluded => "take it out of its `dynlib_exclude`".into(),
            State::Broken(_) => "put a sound one in its place".into(),
        }
    }
}

fn named(stack: &Stack, name: &str) -> Result<usize, String> {
    let found = stack.layers.iter().position(|layer| layer.name == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = stack.layers.iter().map(|layer| layer.name.as_str()).collect();
        format!("{}: no layer `{name}`; there are {}", stack.file.display(), known.join(", "))
    })
}
