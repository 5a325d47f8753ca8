//! What has to be opened before an object, in a process that has neither links nor wrapper, so that it is given the libraries of
//! the layers: in the order of opening, each by its path.
//!
//! An object that is loaded under its SONAME satisfies every later need of that name, without a search (ld.so(8)). That is the
//! means here; an object's own RPATH or RUNPATH that leads to a library is not overridden.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Index;
use super::verdict::Compared;
use crate::layers::search::process::{Need, NotGiven, of_system};
use crate::layers::search::{Process, Rule};

/// Why a library has to be opened first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// ld.so would find none.
    Missing,
    /// ld.so would take the host's.
    Trapped {
        /// That one, without links.
        host: PathBuf,
    },
}

/// A library to be opened first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The name that is needed.
    pub name: OsString,
    /// The object that needs it first.
    pub by: PathBuf,
    /// Why.
    pub why: Why,
    /// The layer that has the right one.
    pub layer: usize,
    /// The file, without links.
    pub file: PathBuf,
}

/// What opening first does not cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// No layer within reach has it.
    Nowhere,
    /// The layer's file bears another SONAME, or none, so that opening it satisfies nobody: it takes a link.
    OtherName {
        /// The file.
        file: PathBuf,
    },
    /// The process has the host's loaded already; a second one beside it is worse than the wrong one.
    Loaded {
        /// The host's.
        host: PathBuf,
        /// The layer's.
        file: PathBuf,
    },
    /// The layer's file needs, by way of others, the object itself: neither can be opened before the other. It takes a link.
    Circle {
        /// The file.
        file: PathBuf,
    },
    /// The layer's file cannot be opened either, because of what is left for it.
    Fails {
        /// The file.
        file: PathBuf,
    },
    /// What would have to be opened cannot be loaded.
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// What there is to do for one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// To be opened in this order, before the object.
    pub first: Vec<Want>,
    /// What remains: a name, and the object that needs it.
    pub left: Vec<(OsString, PathBuf, Left)>,
}

/// Finds what has to be opened before `object` in `process`, which is as it is before that, and is left as it is afterwards.
/// `layer` is the one whose Python it is.
pub fn wants(process: &mut Process, index: &Index, layer: usize, object: &Path) -> Wants {
    let mut finder =
        Finder { index, layer, compared: Compared::default(), asked: HashSet::new(), wants: Wants::default() };
    finder.before(process, object);
    let _opened = process.open_file(object);
    finder.wants
}

struct Finder<'a> {
    index: &'a Index,
    layer: usize,
    compared: Compared,
    asked: HashSet<PathBuf>,
    wants: Wants,
}

impl Finder<'_> {
    /// Opens in `process` what has to be opened before `object`, and notes it.
    fn before(&mut self, process: &mut Process, object: &Path) {
        self.asked.insert(object.to_path_buf());
        // Each library that is opened may change what the next need is given: one at a time.
        loop {
            let mut trial = process.clone();
            let opened = trial.open_file(object);
            let system = of_system(&opened.needs);
            let next = opened.needs.iter().find_map(|need| self.want(process, &trial, need, &system));
            let Some(want) = next else {
                self.rest(&trial, &opened.needs);
                return;
            };
            self.before(process, &want.file);
            let mut trial = process.clone();
            let opened = trial.open_file(&want.file);
            if let Err(NotGiven::Unread(why)) = opened.given {
                let why = why.to_string();
                self.left(want.name, want.by, Left::Refused { path: want.file, why });
            } else if opened.needs.iter().all(|need| need.given.is_ok()) {
                *process = trial;
                self.wants.first.push(want);
            } else {
                // dlopen would fail for what is left of it.
                self.left(want.name, want.by, Left::Fails { file: want.file });
            }
        }
    }

    /// The library of a layer that a need should be given and is not, if opening that one would help.
    fn want(&mut self, process: &Process, trial: &Process, need: &Need, system: &HashSet<usize>) -> Option<Want> {
        let (layer, file) = self.index.offered(self.layer, &need.trail.name)?;
        let file = file.to_path_buf();
        let (name, by) = (need.trail.name.clone(), trial.object(need.by).path.clone());
        if self.is_left(&name, &by) {
            return None;
        }
        let why = match (&need.given, &need.trail.found) {
            (Err(NotGiven::NotFound), _) => Why::Missing,
            // What the host's own libraries need is theirs: another one below them is what a link would do to git.
            (Ok(_), _) if system.contains(&need.by) => return None,
            // So is what the user's own LD_LIBRARY_PATH has: it goes before the layers, as in a wrapper.
            (_, Some(found)) if found.rule == Rule::LibraryPath => return None,
            (Ok(given), Some(found)) if !matches!(found.rule, Rule::Rpath(_) | Rule::Runpath(_) | Rule::Path) => {
                let host = self.host(trial, *given, &file)?;
                // Loaded before anything was opened for this object: it stays.
                if process.loaded(&name).is_some() {
                    self.left(name, by, Left::Loaded { host, file });
                    return None;
                }
                Why::Trapped { host }
            }
            _ => return None,
        };
        let soname = process.disk().object(&file).ok().and_then(|elf| elf.soname.clone());
        if soname.as_ref() != Some(&name) {
            self.left(name, by, Left::OtherName { file });
            return None;
        }
        // What is being opened already needs this object in turn.
        if self.asked.contains(&file) {
            self.left(name, by, Left::Circle { file });
            return None;
        }
        Some(Want { name, by, why, layer, file })
    }

    /// The host's library that was given, if it is the host's, and another than `file`.
    fn host(&mut self, trial: &Process, given: usize, file: &Path) -> Option<PathBuf> {
        let real = std::fs::canonicalize(&trial.object(given).path).ok()?;
        (self.index.owner(&real).is_none() && !self.compared.same(&real, file)).then_some(real)
    }

    /// What is missing still.
    fn rest(&mut self, trial: &Process, needs: &[Need]) {
        for need in needs {
            let (name, by) = (need.trail.name.clone(), trial.object(need.by).path.clone());
            match &need.given {
                Err(NotGiven::NotFound) if !self.is_left(&name, &by) => self.left(name, by, Left::Nowhere),
                Err(NotGiven::Unread(why)) if !self.is_left(&name, &by) => {
                    let path = need.trail.found.as_ref().map(|found| found.path.clone()).unwrap_or_default();
                    self.left(name, by, Left::Refused { path, why: why.to_string() });
                }
                _ => {}
            }
        }
    }

    fn is_left(&self, name: &OsStr, by: &Path) -> bool {
        self.wants.left.iter().any(|(left, of, _)| left == name && of == by)
    }

    fn left(&mut self, name: OsString, by: PathBuf, left: Left) {
        if !self.is_left(&name, &by) {
            self.wants.left.push((name, by, left));
        }
    }
}
