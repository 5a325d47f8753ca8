//! Where a library is to be opened, and where else libraries of its name are: in a Python's environment, or in a stack's layers.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::layers::Layers;
use super::module;
use super::python::{self, Caller, Found, Python};
use super::started::{self, Started};
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
    program: Option<Started>,
    /// The script that is to be explained.
    script: Option<Started>,
    /// The Python that is asked: the program, or what runs the script, if that is one; else the one in PATH, if there is one.
    python: Option<PathBuf>,
    asked: OnceCell<Result<Python, String>>,
    files: RefCell<Option<HashMap<OsString, Vec<PathBuf>>>>,
}

impl View {
    /// What the options say.
    ///
    /// # Errors
    /// Why there is nothing to look at.
    pub fn new(arguments: &Arguments) -> Result<View, String> {
        let folders = config::program_folders();
        let program = arguments.program.as_ref().map(|name| program::find(name.as_os_str(), &folders));
        let program = program.transpose().map_err(|error| error.to_string())?.map(|path| started::look(&path));
        let in_path = || ["python", "python3"].into_iter().find_map(|name| program::find(name.as_ref(), &folders).ok());
        let python = program.as_ref().and_then(|program| program.python.clone()).or_else(in_path);
        let layers = Layers::new(arguments)?;
        Ok(View { layers, program, script: None, python, asked: OnceCell::new(), files: RefCell::default() })
    }

    /// The Python that is asked.
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

    /// A script is to be explained: what runs it is looked at.
    pub fn look_at_script(&mut self, path: &Path) {
        let started = started::look(path);
        self.python = started.python.clone().or(self.python.take());
        self.script = Some(started);
    }

    /// Where modules were looked for.
    pub fn modules_of(&self) -> String {
        if let Some(layers) = &self.layers {
            return layers.told();
        }
        self.python.as_ref().map_or(String::new(), |path| format!("for {}", path.display()))
    }

    /// Where the subject is opened.
    pub fn scene(&self, subject: &Subject) -> Scene {
        let started = match subject {
            Subject::Script(_) => self.script.as_ref(),
            _ => self.program.as_ref(),
        };
        let plain = |told: &str| Scene { variable: super::variable(), told: told.into(), ..Scene::default() };
        match (&self.layers, subject) {
            (Some(layers), Subject::Program(path)) => {
                Scene { program: Some(path.clone()), told: "is started".into(), ..layers.scene() }
            }
            (Some(layers), Subject::Script(_)) => match started {
                Some(Started { python: None, program, .. }) => {
                    Scene { program: Some(program.clone()), told: run_by(program), ..layers.scene() }
                }
                _ => layers.started(),
            },
            (Some(layers), _) => layers.scene(),
            (None, Subject::Program(path)) => Scene { program: Some(path.clone()), ..plain("is started") },
            (None, Subject::Script(_)) => started.map_or(plain("is run by some program"), |script| self.run(script)),
            (None, _) => started.map_or_else(|| self.opened(), |program| self.opened_by(program)),
        }
    }

    /// By the Python in PATH.
    fn opened(&self) -> Scene {
        match self.python() {
            None => by_some("is opened by some program".into()),
            Some(Err(error)) => by_some(format!("is opened by some program ({error})")),
            Some(Ok(python)) => by_python(python, format!("is opened by {}", python.program.display())),
        }
    }

    /// By the program that the user has named.
    fn opened_by(&self, started: &Started) -> Scene {
        let named = match started.is_script {
            true => format!(", which {} starts", started.path.display()),
            false => String::new(),
        };
        let told = |program: &Path| format!("is opened by {}{named}", program.display());
        match started.python.as_ref().and_then(|_| self.python()) {
            Some(Ok(python)) => by_python(python, told(&python.program)),
            Some(Err(error)) => unasked(started, &told(&started.unasked()), error),
            None => {
                let program = started.program.display();
                let told = match started.is_script {
                    true => {
                        let script = started.path.display();
                        format!("is opened by {program}, which runs the script {script}; what that starts is not known")
                    }
                    false => format!("is opened by {program}"),
                };
                Scene { program: Some(started.program.clone()), ..by_some(told) }
            }
        }
    }

    /// The script that is to be explained.
    fn run(&self, started: &Started) -> Scene {
        let told = |program: &Path| format!("starts {}", program.display());
        match started.python.as_ref().and_then(|_| self.python()) {
            Some(Ok(python)) => by_python(python, told(&python.program)),
            Some(Err(error)) => unasked(started, &told(&started.unasked()), error),
            None => Scene { program: Some(started.program.clone()), ..by_some(run_by(&started.program)) },
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
    pub fn elsewhere(&self) -> impl Fn(&OsStr) -> Vec<Place> + '_ {
        |name: &OsStr| {
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

fn by_some(told: String) -> Scene {
    Scene { told, variable: super::variable(), ..Scene::default() }
}

fn by_python(python: &Python, told: String) -> Scene {
    let (variable, caller) = (python.library_path.clone(), python.caller.clone());
    Scene { program: Some(python.program.clone()), told, variable, caller }
}

/// A Python that does not start; it may be just that which is to be explained.
fn unasked(started: &Started, told: &str, error: &str) -> Scene {
    let program = started.unasked();
    let caller = Caller::of_ctypes(module::ctypes(&program));
    let told = format!("{told} (which does not say what it adds to LD_LIBRARY_PATH: {error})");
    Scene { program: Some(program), caller, ..by_some(told) }
}

fn run_by(program: &Path) -> String {
    format!("is run by {}; what it starts in turn is not known", program.display())
}

/// The files of an environment that are called like libraries, by name. An environment that is the whole system is left out: what
/// it has ld.so finds by itself.
fn files_below(prefix: &Path) -> HashMap<OsString, Vec<PathBuf>> {
    let mut files: HashMap<OsString, Vec<PathBuf>> = HashMap::new();
    let mut folders = vec![prefix.join("lib"), prefix.join("lib64")];
    if [Path::new("/"), Path::new("/usr")].contains(&prefix) {
        return files;
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => {
                    let name = entry.file_name();
                    if name.to_string_lossy().contains(".so") && entry.path().is_file() {
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
