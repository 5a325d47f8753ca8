//! What LIB is: a path, a bare name, or a module of Python.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::place::View;
use super::started;
use crate::layers::elf::{self, Kind};
use crate::layers::regular;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A program: what its start needs.
    Program(PathBuf),
    /// A script: what the program that runs it needs.
    Script(PathBuf),
    /// A library, by its path.
    Library(PathBuf),
    /// A name that is searched for.
    Name(OsString),
    /// A module of Python.
    Module {
        /// Its file; none of a package without one.
        origin: Option<PathBuf>,
        /// Its package chooses one of its objects.
        is_choice: bool,
        /// Its own object, or all those of a package, sorted.
        objects: Vec<PathBuf>,
    },
}

/// More objects than a package has.
const MOST_OBJECTS: usize = 2000;

/// Tells what `library` is.
///
/// # Errors
/// Why it is nothing that can be explained.
pub fn find(library: &OsStr, view: &mut View) -> Result<Subject, String> {
    if library.is_empty() {
        return Err("an empty name is no library".into());
    }
    if library.as_bytes().contains(&b'/') {
        return by_path(Path::new(library), view);
    }
    match library.to_str() {
        Some(name) if is_module(name) => module(name, view),
        _ => Ok(Subject::Name(library.into())),
    }
}

fn by_path(path: &Path, view: &mut View) -> Result<Subject, String> {
    let at = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let path = std::path::absolute(path).map_err(|error| at(&error))?;
    let file = regular::open(&path).map_err(|error| at(&error))?;
    view.look_at(&path);
    // One that is called like a library is meant to be one.
    if started::is_script(&path) && !is_object_name(&path) {
        view.look_at_script(&path);
        return Ok(Subject::Script(path));
    }
    match elf::read_any_file(&file) {
        Ok(elf) if elf.kind == Kind::Executable => Ok(Subject::Program(path)),
        // One that dlopen would refuse is explained, too: the search comes to it, and says what is wrong.
        _ => Ok(Subject::Library(path)),
    }
}

/// `numpy`, `mpi4py.MPI`; not `libz.so`, `libz.so.1`, `libstdc++`.
fn is_module(name: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    name.split('.').all(is_name) && !name.ends_with(".so")
}

fn module(name: &str, view: &mut View) -> Result<Subject, String> {
    let Some(found) = view.module(name)? else {
        let bare = if name.contains('.') { "" } else { "; for a library, give its whole name (libz.so.1)" };
        return Err(format!("no module `{name}` {}{bare}", view.modules_of()));
    };
    let origin = found.origin.filter(|origin| origin.is_absolute());
    if let Some(object) = origin.clone().filter(|origin| is_object_name(origin)) {
        return Ok(Subject::Module { origin, is_choice: false, objects: vec![object] });
    }
    let is_choice = origin.is_none() && !found.objects.is_empty();
    let mut objects = found.objects;
    for folder in &found.folders {
        objects_below(folder, &mut objects);
    }
    objects.sort();
    Ok(Subject::Module { origin, is_choice, objects })
}

fn is_object_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.ends_with(".so") || name.contains(".so.")
    })
}

/// What dlopen would open below a folder: not links, which are other names of something, and not linker scripts.
fn objects_below(folder: &Path, objects: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let (path, kind) = (entry.path(), entry.file_type());
        match kind {
            Ok(kind) if kind.is_dir() => objects_below(&path, objects),
            Ok(kind) if kind.is_file() && is_object_name(&path) && objects.len() < MOST_OBJECTS => {
                let elf = regular::open(&path).ok().map(|file| elf::read_any_file(&file));
                if elf.is_some_and(|elf| elf.is_ok_and(|elf| elf.kind == Kind::SharedObject)) {
                    objects.push(path);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_module_if_it_can_be_imported() {
        for name in ["numpy", "mpi4py.MPI", "_ctypes", "a.b.c"] {
            assert!(is_module(name), "{name}");
        }
        for name in ["libz.so", "libz.so.1", "libstdc++", "a..b", "a-b", "1a", ".a"] {
            assert!(!is_module(name), "{name}");
        }
    }
}
