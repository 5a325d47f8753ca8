//! ld.so's search as data: where it looks for a name, in which order, and why each place serves or does not (ld.so(8)).
//!
//! It looks at files as ld.so does, and loads nothing. What only a process can tell (the system's own folders, what the processor
//! can do) it is given, as a [`System`]: it asks no loader. Whoever is curious what happens to a whole program asks a [`Process`],
//! which keeps books of what is loaded.
//!
//! # Layout
//! - [`folders`] `$ORIGIN` and its like; the folders of RPATH, RUNPATH and LD_LIBRARY_PATH
//! - [`disk`] what is there, looked at once; `head` what ld.so looks at before it takes a file
//! - [`cache`] the format of `/etc/ld.so.cache`
//! - [`process`] which object asks for what, and what it is given

pub mod cache;
pub mod disk;
pub mod folders;
mod head;
pub mod process;
#[cfg(test)]
pub(in crate::layers) mod tests;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use disk::Disk;
pub use folders::Folder;
pub use head::Reason;
pub use process::Process;

/// What ld.so is on a machine.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// The system's own folders, which come last.
    pub folders: Vec<PathBuf>,
    /// The folders that are looked into within each folder before it itself: builds for this processor, the best first.
    pub subfolders: Vec<String>,
    /// What of them the cache knows: `x86-64-v3`.
    pub hwcaps: Vec<String>,
    /// What `$LIB` stands for.
    pub lib: String,
    /// What `$PLATFORM` stands for.
    pub platform: String,
    /// The cache that ldconfig writes.
    pub cache: PathBuf,
}

/// Which of ld.so's rules leads to a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rule {
    /// It is loaded already, under that name.
    Loaded,
    /// The name has a slash: it is a path, and not searched for.
    Path,
    /// DT_RPATH of this object: of the one that asks, of one that led to it, or of the program.
    Rpath(PathBuf),
    /// The variable.
    LibraryPath,
    /// DT_RUNPATH of the object that asks, which this is.
    Runpath(PathBuf),
    /// RPATH, LD_LIBRARY_PATH or RUNPATH: a process's own loader does not say which.
    Own,
    /// The system's cache.
    Cache,
    /// The system's own folders.
    System,
}

/// Folders that one rule gives.
#[derive(Debug, Clone)]
pub struct List {
    /// The rule.
    pub rule: Rule,
    /// Its folders.
    pub folders: Vec<Folder>,
}

/// One place, and why it did not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// What led there.
    pub rule: Rule,
    /// The file; for the cache, the cache itself.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: Reason,
}

/// The place that served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What led there.
    pub rule: Rule,
    /// The file, as ld.so calls it.
    pub path: PathBuf,
}

/// A search from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// What was sought.
    pub name: OsString,
    /// What did not serve, in the order of looking. Where the last one [stops](Reason::stops), ld.so looked no further.
    pub tried: Vec<Tried>,
    /// What did.
    pub found: Option<Found>,
}

impl Trail {
    /// Tells whether a bad file ended the search: then another folder is no help.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.tried.last().is_some_and(|tried| tried.reason.stops())
    }

    /// What ld.so says when it has found nothing: the text that people look up.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        let name = self.name.display();
        if self.found.is_some() {
            return None;
        }
        let last = self.tried.last().filter(|last| last.reason.stops());
        let because = last.and_then(|last| Some((last.path.display(), last.reason.said()?)));
        Some(match because {
            Some((path, why)) => format!("{path}: {why}"),
            None if self.tried.iter().any(|tried| tried.reason == Reason::OtherClass) => {
                format!("{name}: wrong ELF class: ELFCLASS{}", if cfg!(target_pointer_width = "64") { 32 } else { 64 })
            }
            // The rest of the message is the system's word on the last file that was tried.
            None => match self.tried.last().map(|last| &last.reason) {
                Some(Reason::Unwanted | Reason::Denied | Reason::Unopened(_)) => {
                    format!("{name}: cannot open shared object file")
                }
                _ => format!("{name}: cannot open shared object file: No such file or directory"),
            },
        })
    }
}

/// Searches for `name`: in the folders of `lists`, in the cache, in the system's own folders. `no_default`: the object that asks
/// was linked with `-z nodefaultlib`, and does not want the last ones.
#[must_use]
pub fn search(name: impl AsRef<OsStr>, lists: &[List], no_default: bool, system: &System, disk: &Disk) -> Trail {
    let mut search =
        Search { disk, system, trail: Trail { name: name.as_ref().into(), tried: Vec::new(), found: None } };
    for list in lists {
        search.list(list);
    }
    search.cache(no_default);
    if !no_default {
        let folders = system.folders.iter().cloned().map(Folder::new).collect();
        search.list(&List { rule: Rule::System, folders });
    }
    search.trail
}

/// Looks at one file: what a name with a slash leads to.
#[must_use]
pub fn at(name: impl AsRef<OsStr>, path: &Path, disk: &Disk) -> Trail {
    let trail = Trail { name: name.as_ref().into(), tried: Vec::new(), found: None };
    let mut search = Search { disk, system: &System::default(), trail };
    search.take(&Rule::Path, path);
    search.trail
}

struct Search<'a> {
    disk: &'a Disk,
    system: &'a System,
    trail: Trail,
}

impl Search<'_> {
    fn ended(&self) -> bool {
        self.trail.found.is_some() || self.trail.stopped()
    }

    fn miss(&mut self, rule: &Rule, path: PathBuf, reason: Reason) {
        self.trail.tried.push(Tried { rule: rule.clone(), path, reason });
    }

    /// Takes the file if ld.so would.
    fn take(&mut self, rule: &Rule, path: &Path) {
        match self.disk.head(path) {
            Ok(()) => self.trail.found = Some(Found { rule: rule.clone(), path: path.to_path_buf() }),
            Err(reason) => self.miss(rule, path.to_path_buf(), reason),
        }
    }

    fn list(&mut self, list: &List) {
        for folder in &list.folders {
            if self.ended() {
                return;
            }
            let name = &self.trail.name.clone();
            if let Some(links) = &folder.links {
                match links.contains(name) {
                    true => self.take(&list.rule, &folder.path.join(name)),
                    false => self.miss(&list.rule, folder.path.join(name), Reason::Missing),
                }
                continue;
            }
            if !self.disk.is_folder(&folder.path) {
                self.miss(&list.rule, folder.path.join(name), Reason::NoFolder);
                continue;
            }
            for better in &self.system.subfolders {
                let better = folder.path.join(better);
                // Those that do not exist, which is usual, are not worth a line of the report.
                if !self.ended() && self.disk.is_folder(&better) {
                    self.take(&list.rule, &better.join(name));
                }
            }
            if !self.ended() {
                self.take(&list.rule, &folder.path.join(name));
            }
            // glibc's open_path goes on to the next folder after ENOENT and EACCES, and after nothing else.
            if self.trail.tried.last().is_some_and(|tried| tried.reason.leaves_list()) {
                return;
            }
        }
    }

    fn cache(&mut self, no_default: bool) {
        if self.ended() {
            return;
        }
        let system = self.system;
        let hwcaps: Vec<&str> = system.hwcaps.iter().map(String::as_str).collect();
        let entry = cache::THIS_MACHINE.and_then(|flags| {
            let data = self.disk.cache(&system.cache)?;
            cache::lookup(&data, self.trail.name.as_bytes(), flags, &hwcaps)
        });
        match entry {
            Some(path) if no_default && system.folders.iter().any(|folder| path.starts_with(folder)) => {
                self.miss(&Rule::Cache, path, Reason::Unwanted);
            }
            Some(path) => self.take(&Rule::Cache, &path),
            None => self.miss(&Rule::Cache, system.cache.clone(), Reason::NotCached),
        }
    }
}
