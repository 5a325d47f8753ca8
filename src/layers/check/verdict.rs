//! What is to be thought of what an object is given.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::Index;
use super::needs::{How, Key, Met, Seen};
use crate::layers::explain::Place;
use crate::layers::link::same;

/// What is wrong with a need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Nothing is found, even with links and wrapper.
    Missing,
    /// What is found cannot be loaded.
    Refused,
    /// Even with links and wrapper another library is taken than the layers have for it: the user's LD_LIBRARY_PATH is in the way, or
    /// something that was loaded before.
    Replaced {
        /// The library that it should be.
        by: PathBuf,
    },
    /// It would be found with links and wrapper, which are not there, or are out of date.
    Unlinked,
}

/// What happens without links and wrapper, where that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Without {
    /// Nothing is found.
    Missing,
    /// The host's own library is taken, without a word.
    Trapped {
        /// That library.
        host: PathBuf,
    },
}

/// A need, and what came of it, alike for these layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The need.
    pub key: Key,
    /// In whose Python it is so.
    pub viewers: Vec<usize>,
    /// What it is given with links and wrapper.
    pub linked: Met,
    /// What it is given as it is now.
    pub now: Met,
    /// What is wrong.
    pub problem: Option<Problem>,
    /// What happens without links and wrapper.
    pub without: Option<Without>,
    /// Who has a library of that name.
    pub places: Vec<Place>,
}

impl Finding {
    /// Tells whether without links and wrapper the host's own library would be taken.
    #[must_use]
    pub fn is_trapped(&self) -> bool {
        matches!(self.without, Some(Without::Trapped { .. }))
    }
}

/// Judges every need.
#[must_use]
pub fn judge(index: &Index, needs: BTreeMap<Key, Vec<Seen>>) -> Vec<Finding> {
    let mut compared = Compared::default();
    let mut findings: Vec<Finding> = Vec::new();
    for (key, seen) in needs {
        let first = findings.len();
        for Seen { viewer, linked, now, plain } in seen {
            let mut finding = one(index, &mut compared, key.clone(), viewer, linked, now, &plain);
            let alike = |other: &&mut Finding| {
                other.linked.is_like(&finding.linked)
                    && other.now.is_like(&finding.now)
                    && (&other.problem, &other.without, &other.places)
                        == (&finding.problem, &finding.without, &finding.places)
            };
            match findings[first..].iter_mut().find(alike) {
                Some(other) => other.viewers.append(&mut finding.viewers),
                None => findings.push(finding),
            }
        }
    }
    findings
}

fn one(index: &Index, compared: &mut Compared, key: Key, viewer: usize, linked: Met, now: Met, plain: &Met) -> Finding {
    let offered = index.offered(viewer, &key.name).map(|(_, file)| file.to_path_buf());
    let taken = |met: &Met, compared: &mut Compared| taken(met, offered.as_deref(), compared);
    let without = match (plain, taken(plain, compared)) {
        (Met::Missing(_), _) if offered.is_some() => Some(Without::Missing),
        (_, Some(host)) => Some(Without::Trapped { host }),
        _ => None,
    };
    let problem = match (&linked, &offered, taken(&linked, compared)) {
        (Met::Missing(_), _, _) => Some(Problem::Missing),
        (Met::Refused { .. }, _, _) => Some(Problem::Refused),
        (_, Some(by), Some(_)) => Some(Problem::Replaced { by: by.clone() }),
        _ if matches!(now, Met::Missing(_) | Met::Refused { .. }) || taken(&now, compared).is_some() => {
            Some(Problem::Unlinked)
        }
        _ => None,
    };
    let wanted = problem.is_some() || without.is_some();
    let places = if wanted { index.places(viewer, &key.name) } else { Vec::new() };
    Finding { viewers: vec![viewer], key, linked, now, problem, without, places }
}

/// The host's library that is taken though a layer offers a different one; what an object's own path leads to is its own affair.
fn taken(met: &Met, offered: Option<&Path>, compared: &mut Compared) -> Option<PathBuf> {
    match (met, offered) {
        (Met::File { layer: None, real, how }, Some(offered)) if *how != How::Own => {
            (!compared.same(real, offered)).then(|| real.clone())
        }
        _ => None,
    }
}

/// Files that were compared; a library is needed by many.
#[derive(Default)]
pub struct Compared(HashMap<(PathBuf, PathBuf), bool>);

impl Compared {
    /// Tells whether two files have the same content. One that cannot be read has not.
    pub fn same(&mut self, one: &Path, other: &Path) -> bool {
        let known = self.0.entry((one.to_path_buf(), other.to_path_buf()));
        *known.or_insert_with(|| one == other || same(one, other).unwrap_or(false))
    }
}
