//! `dlcast explain`: why a library is found or not, step by step, and the way out.
//!
//! # Layout
//! - `subject` what LIB is: a path, a bare name, a module of Python
//! - `started` what is behind a program that is a script; `python` what a Python says of itself
//! - `place` where it is opened, and where else a library is: in the environment, or (`layers`) in the layers of a stack
//! - `module` where a module is in these layers
//! - `text` for people; `json` for programs

mod json;
mod layers;
mod module;
mod place;
mod python;
mod started;
mod subject;
mod text;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::printable;
use crate::config;
use crate::host::search;
use crate::layers::elf;
use crate::layers::explain::{self, Elsewhere, Explanation, Target};
use crate::layers::regular;
use crate::layers::search::{Disk, Process, System};
use place::View;
use python::Caller;
use subject::Subject;

/// What to explain.
#[derive(clap::Args)]
pub struct Arguments {
    /// A path with a slash (./libheat.so), a bare name (libmpi.so.12), or a module of Python (mpi4py.MPI)
    #[arg(value_name = "LIB")]
    library: OsString,
    /// In a layer of this stack: a stack.toml, a venvstacks.toml, or a folder that holds one of them
    #[arg(long, value_name = "STACK")]
    stack: Option<PathBuf>,
    /// In the Python of this layer (default: the one that has LIB; else the first that no other one uses)
    #[arg(long, value_name = "NAME", requires = "stack")]
    layer: Option<String>,
    /// Where venvstacks has built the environments (default: _build beside its venvstacks.toml; the file's folder if it has exported there)
    #[arg(long, value_name = "FOLDER", requires = "stack")]
    build_dir: Option<PathBuf>,
    /// The program that opens it (default: the Python in PATH)
    #[arg(long, value_name = "PROGRAM", conflicts_with = "stack")]
    program: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Where something is to be opened.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The program that opens it; none if there is none.
    pub program: Option<PathBuf>,
    /// Its LD_LIBRARY_PATH.
    pub variable: OsString,
    /// How that is told.
    pub told: String,
    /// What calls dlopen there.
    pub caller: Caller,
}

/// One object, and the search for it.
pub struct Explained {
    /// What is opened: a path or a bare name.
    pub target: Target,
    /// The search.
    pub explanation: Explanation,
}

/// Prints the explanation; 1 if anything that is needed is not found.
pub fn run(arguments: &Arguments) -> u8 {
    super::tell(explained(arguments))
}

fn explained(arguments: &Arguments) -> Result<(String, bool), String> {
    let mut view = View::new(arguments)?;
    let subject = subject::find(&arguments.library, &mut view)?;
    let asked = super::shown(&arguments.library);
    let scene = view.scene(&subject);
    let (system, disk) = (search::system(), Disk::default());
    let all: Vec<Explained> = subject
        .targets(&scene)
        .into_iter()
        .map(|target| {
            let explanation = one(&scene, &target, &view.elsewhere(), &system, &disk);
            Explained { target, explanation }
        })
        .collect();
    let is_well = all.iter().all(|one| one.explanation.missing().next().is_none());
    let text = match arguments.json {
        true => json::json(&asked, &subject, &scene, &all).to_string(),
        false => printable(&text::text(&asked, &subject, &scene, &all, &view)),
    };
    Ok((text, is_well))
}

fn one(scene: &Scene, target: &Target, elsewhere: &Elsewhere, system: &System, disk: &Disk) -> Explanation {
    let program = match target {
        Target::Start(program) => Some(program.as_path()),
        Target::Open(_) | Target::File(_) => scene.program.as_deref(),
    };
    let loader = program.and_then(loader);
    let mut process = Process::empty(system, disk, loader.as_deref());
    let at = program.unwrap_or(Path::new("/"));
    process.set_library_path(Process::library_path(at, &scene.variable, system));
    if let (Target::Open(_) | Target::File(_), Some(program)) = (target, program) {
        // What the program itself lacks is another question.
        let _needs = process.start(program);
    }
    let caller = caller(&mut process, target, &scene.caller);
    explain::explain(&mut process, target, caller, elsewhere)
}

/// The object that calls dlopen, where that makes a difference.
fn caller(process: &mut Process, target: &Target, caller: &Caller) -> Option<usize> {
    match (target, caller) {
        (Target::Open(_), Caller::Object(path)) => process.take(path).ok().map(|(index, _)| index),
        (Target::Open(_), Caller::Interpreter) => process.objects().iter().position(|object| {
            let soname = object.elf.soname.as_deref().map(OsStr::as_bytes).unwrap_or_default();
            soname.starts_with(b"libpython") || soname.starts_with(b"libpypy")
        }),
        _ => None,
    }
}

fn loader(program: &Path) -> Option<String> {
    elf::interpreter(&regular::open(program).ok()?).ok()?
}

/// LD_LIBRARY_PATH as this process has it.
fn variable() -> OsString {
    config::library_path()
}

impl Subject {
    /// What ld.so is asked for.
    fn targets(&self, scene: &Scene) -> Vec<Target> {
        match self {
            Subject::Program(path) => vec![Target::Start(path.clone())],
            Subject::Script(_) => scene.program.iter().cloned().map(Target::Start).collect(),
            Subject::Library(path) => vec![Target::File(path.clone())],
            Subject::Name(name) => vec![Target::Open(name.clone())],
            Subject::Module { objects, .. } => objects.iter().cloned().map(Target::File).collect(),
        }
    }
}
