//! Where a library is to be opened, and where else libraries of its name are: in a Python's environment, or in a stack's layers.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::layers::Layers;
use super::python::{self, Found, Python};
use super::subject::Subject;
use super::{Arguments, Scene};
use crate::config;
use crate::host::program;
use crate::layers::explain::{Place, State};

/// What the command looks at.
pub struct View {
    /// The layers that the user has named.
    layers: Option<Layers>,
    /// The program that the user has named.
    program: Option<PathBuf>,
    /// The Python in PATH, if there is one.
    python: Option<PathBuf>,
    asked: OnceCell<Result<Python, String>>,
    files: RefCell<Option<HashMap<String, Vec<PathBuf>>>>,
}

impl View {
    /// What the options say.
    ///
    /// # Errors
    /// Why there is nothing to look at.
    pub fn new(arguments: &Arguments) -> Result<View, String> {
        let folders = config::program_folders();
        let program = arguments.program.as_ref().map(|name| program::find(name.as_os_str(), &folders));
        let program = program.transpose().map_err(|error| error.to_string())?;
        let python = ["python", "python3"].into_iter().find_map(|name| program::find(name.as_ref(), &folders).ok());
        let layers = Layers::new(arguments)?;
        Ok(View { layers, program, python, asked: OnceCell::new(), files: RefCell::default() })
    }

    /// The Python in PATH.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub fn python(&self) -> Option<&Result<Python, String>> {
        let path = self.python.as_ref()?;
        Some(self.asked.get_or_init(|| python::ask(path, None).map(|(python, _)| python)))
    }

    /// Where a module is.
    ///
    /// # Errors
    /// Why it cannot be looked for.
    pub fn module(&mut self, name: &str) -> Result<Option<Found>, String> {
        if let Some(layers) = &mut self.layers {
            return Ok(layers.module(name));
        }
        let Some(path) = &self.python else {
            return Err(format!(
                "module `{name}`: there is no python in PATH to look for it; give the path of its file"
            ));
        };
        let (python, found) = python::ask(path, Some(name))?;
        // Asked once is enough.
        let _known = self.asked.set(Ok(python));
        Ok(found)
    }

    /// A file is to be explained: the layer that has it is looked at.
    pub fn look_at(&mut self, path: &Path) {
        if let Some(layers) = &mut self.layers {
            layers.look_at(path);
        }
    }

    /// Where modules were looked for.
    pub fn modules_of(&self) -> String {
        if let Some(layers) = &self.layers {
            return layers.told();
        }
        self.python.as_ref().map_or(String::new(), |path| format!("for {}", path.display()))
    }

    /// Where the subject is opened.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn scene(&self, subject: &Subject) -> Result<Scene, String> {
        if let Some(layers) = &self.layers {
            let scene = layers.scene();
            return Ok(match subject {
                Subject::Program(path) => Scene { program: Some(path.clone()), told: "is started".into(), ..scene },
                _ => scene,
            });
        }
        let variable = super::variable();
        if let Subject::Program(path) = subject {
            return Ok(Scene { program: Some(path.clone()), told: "is started".into(), variable });
        }
        if let Some(program) = &self.program {
            let program = behind(program)?;
            return Ok(Scene { told: format!("is opened by {}", program.display()), program: Some(program), variable });
        }
        match self.python() {
            None => Ok(Scene { program: None, told: "is opened by some program".into(), variable }),
            Some(Err(error)) => {
                Ok(Scene { program: None, told: format!("is opened by some program ({error})"), variable })
            }
            Some(Ok(python)) => {
                let told = format!("is opened by {}", python.program.display());
                Ok(Scene { program: Some(python.program.clone()), told, variable: python.library_path.clone().into() })
            }
        }
    }

    /// How a library that is somewhere else comes into a process.
    pub fn way_to(&self, place: &Place) -> String {
        if let Some(layers) = &self.layers {
            return layers.way_to(place);
        }
        let folder = place.path.parent().unwrap_or(Path::new("/"));
        format!("open it first, by its path (ctypes.CDLL), or add {} to LD_LIBRARY_PATH", folder.display())
    }

    /// Where else files of a name are.
    pub fn elsewhere(&self) -> impl Fn(&str) -> Vec<Place> + '_ {
        |name: &str| {
            if let Some(layers) = &self.layers {
                return layers.places(name);
            }
            let mut files = self.files.borrow_mut();
            let files = files.get_or_insert_with(|| match self.python() {
                Some(Ok(python)) => files_below(&python.prefix),
                _ => HashMap::new(),
            });
            let paths = files.get(name).into_iter().flatten();
            paths.map(|path| Place { layer: None, path: path.clone(), state: State::Offered }).collect()
        }
    }
}

/// A script is no program that opens anything: what runs it is.
fn behind(path: &Path) -> Result<PathBuf, String> {
    let program::Program { mut chain, .. } = program::look(path, &config::program_folders());
    chain.pop().ok_or_else(|| format!("{}: no program", path.display()))
}

/// The files of an environment that are called like libraries, by name. An environment that is the whole system is left out: what
/// it has ld.so finds by itself.
fn files_below(prefix: &Path) -> HashMap<String, Vec<PathBuf>> {
    let mut files: HashMap<String, Vec<PathBuf>> = HashMap::new();
    let mut folders = vec![prefix.join("lib"), prefix.join("lib64")];
    if [Path::new("/"), Path::new("/usr")].contains(&prefix) {
        return files;
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if name.contains(".so") && entry.path().is_file() {
                        files.entry(name).or_default().push(entry.path());
                    }
                }
                Err(_) => {}
            }
        }
    }
    files.values_mut().for_each(|paths| paths.sort());
    files
}
