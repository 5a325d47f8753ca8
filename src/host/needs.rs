//! What ld.so would load with a program: its DT_NEEDED and theirs, each with the file that the search leads to.
//!
//! It reads files and loads nothing. What the program opens later with dlopen is not told.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::search;
use crate::layers::elf::{self, Elf};

/// One library that a program needs.
#[derive(Debug)]
pub struct Need {
    /// The name that stands in the object that needs it.
    pub name: String,
    /// That object.
    pub by: PathBuf,
    /// The file, or why there is none.
    pub found: Result<PathBuf, search::NotFound>,
}

/// An object that was read, and the RPATH folders of those that led to it.
struct Reader {
    path: PathBuf,
    elf: Elf,
    /// RPATH of an object counts for all that it brings along (ld.so(8)).
    inherited: Vec<PathBuf>,
}

/// Everything that `object` needs, in the order of ld.so: breadth first, each name once.
///
/// # Errors
/// Why `object` itself cannot be read; what it needs is reported in the list.
pub fn of(object: &Path) -> Result<Vec<Need>, String> {
    let real = std::fs::canonicalize(object).map_err(|error| format!("{}: {error}", object.display()))?;
    let elf = read(&real)?;
    let mut readers = vec![Reader { path: real, elf, inherited: Vec::new() }];
    let (mut needs, mut seen) = (Vec::new(), HashSet::new());
    let mut next = 0;
    while let Some(reader) = readers.get(next) {
        next += 1;
        let folders = |entries: &[String]| -> Vec<PathBuf> {
            entries.iter().filter_map(|entry| folder(entry, &reader.path)).collect()
        };
        let runpath = folders(&reader.elf.runpath);
        // An object with RUNPATH has no RPATH, nor those above it for its own needs.
        let rpath = match reader.elf.runpath.is_empty() {
            true => folders(&reader.elf.rpath).into_iter().chain(reader.inherited.clone()).collect(),
            false => Vec::new(),
        };
        let mut found_here = Vec::new();
        for name in &reader.elf.needed {
            if !seen.insert(name.clone()) {
                continue;
            }
            let found = match name.contains('/') {
                true => Ok(PathBuf::from(name)),
                false => search::find_for(name, &rpath, &runpath),
            };
            if let Ok(path) = &found
                && let Ok(elf) = read(path)
            {
                // A later need of that name is met by it.
                seen.extend(elf.soname.clone());
                found_here.push(Reader { path: path.clone(), elf, inherited: rpath.clone() });
            }
            needs.push(Need { name: name.clone(), by: reader.path.clone(), found });
        }
        readers.extend(found_here);
    }
    Ok(needs)
}

/// The name under which others need a library.
#[must_use]
pub fn soname(path: &Path) -> Option<String> {
    read(path).ok()?.soname
}

fn read(path: &Path) -> Result<Elf, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    elf::read_any_file(&file).map_err(|error| format!("{}: {error}", path.display()))
}

/// `$ORIGIN` is the folder of the object. Other tokens mean what this ld.so was built with, and lead nowhere here.
fn folder(entry: &str, object: &Path) -> Option<PathBuf> {
    let origin = object.parent()?.to_str()?;
    let entry = entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin);
    (!entry.is_empty() && !entry.contains('$')).then(|| entry.into())
}
