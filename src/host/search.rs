//! Finds the file that plain `dlopen(name)` would open, called from the main program of this process.
//!
//! It loads nothing: it asks the loader for its search path, and has the search gone through by [`layers::search`](search). It does
//! not follow a caller's own RUNPATH; who called is not known when a request is carried to another rank.

use std::path::{Path, PathBuf};

use crate::layers::search::{self, Disk, Folder, List, Rule, System, Tried};

mod loader;
mod machine;

/// A name that plain `dlopen` would not find or not accept.
#[derive(Debug, thiserror::Error)]
#[error("library `{name}` not found: {}, tried:{}", way_out(.tried), list(.tried))]
pub struct NotFound {
    /// What was sought.
    pub name: String,
    /// Where it was sought, in the order of the search. Where the last one says [`stops`](search::Reason::stops), ld.so looks no
    /// further.
    pub tried: Vec<Tried>,
}

/// Where one bad file stopped the search, another folder on the path is no help.
fn way_out(tried: &[Tried]) -> &'static str {
    match tried.last().is_some_and(|tried| tried.reason.stops()) {
        true => "replace the last file, or give the library's path",
        false => "give its path, or add its folder to LD_LIBRARY_PATH",
    }
}

fn list(tried: &[Tried]) -> String {
    let lines = tried.iter().map(|t| format!("\n  {}: {}", t.path.display(), t.reason));
    lines.collect()
}

/// Finds what `dlopen(name)` called from the main program would open. A name with a `/` is a path and is not searched for.
///
/// The order is ld.so's (ld.so(8)): an object that is loaded already under that SONAME; the folders of RPATH, LD_LIBRARY_PATH and
/// RUNPATH as `dlinfo(RTLD_DI_SERINFO)` gives them for the main program; `/etc/ld.so.cache`; the system's own folders. In each
/// folder the glibc-hwcaps builds for this processor go first.
///
/// # Errors
///
/// [`NotFound`] with every place tried, when none serves or when one stops the search.
pub fn find(name: &str) -> Result<PathBuf, NotFound> {
    if !name.contains('/')
        && let Some(path) = loader::loaded(name)
    {
        return Ok(path);
    }
    let disk = Disk::default();
    let trail = match name.contains('/') {
        true => search::at(name, Path::new(name), &disk),
        false => {
            let (own, system) = folders();
            search::search(name, &[own], false, &system, &disk)
        }
    };
    match trail.found {
        Some(found) => Ok(found.path),
        None => Err(NotFound { name: name.to_string(), tried: trail.tried }),
    }
}

/// The path of what is loaded under this SONAME.
#[must_use]
pub fn loaded(soname: &str) -> Option<PathBuf> {
    loader::loaded(soname)
}

/// What ld.so is here. The system's own folders are those of this process's loader.
#[must_use]
pub fn system() -> System {
    folders().1
}

/// Where ld.so looks for the program, before the cache and after it.
pub(super) fn folders() -> (List, System) {
    let (system, own): (Vec<_>, Vec<_>) = loader::folders().into_iter().partition(|folder| folder.default);
    let own = own.into_iter().map(|folder| Folder::new(folder.path)).collect();
    let folders = system.into_iter().map(|folder| folder.path).collect();
    (List { rule: Rule::Own, folders: own }, machine::system(folders))
}

#[cfg(test)]
mod tests;
