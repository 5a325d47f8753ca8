//! Libraries of the host that the links of a layer hide from the host's own programs, once these inherit LD_LIBRARY_PATH from a
//! wrapper.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::scene::{Scenes, Way};
use super::verdict::Compared;
use super::{Host, Index};
use crate::layers::search::search;

/// More programs than a machine has in its PATH.
const MOST_PROGRAMS: usize = 20_000;

/// One library of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The name.
    pub name: OsString,
    /// The host's file.
    pub host: PathBuf,
    /// The layer whose link hides it.
    pub layer: usize,
    /// What that leads to.
    pub file: PathBuf,
    /// Programs of the host that would take it, sorted.
    pub programs: Vec<PathBuf>,
}

/// Looks for them, and for the programs that would notice.
#[must_use]
pub fn find(index: &Index, scenes: &Scenes, host: &Host) -> Vec<Hidden> {
    let mut compared = Compared::default();
    let mut hidden: BTreeMap<(OsString, usize), Hidden> = BTreeMap::new();
    for viewer in 0..index.layers.len() {
        for name in index.order[viewer].iter().flat_map(|at| index.offers[*at].keys()) {
            let Some((layer, file)) = index.offered(viewer, name) else { continue };
            if hidden.contains_key(&(name.clone(), layer)) {
                continue;
            }
            let found = search(name, &[], false, scenes.system(), scenes.disk(Way::Plain)).found;
            let real = found.and_then(|found| std::fs::canonicalize(found.path).ok());
            if let Some(real) = real.filter(|real| !compared.same(real, file)) {
                let (name, file) = (name.clone(), file.to_path_buf());
                let one = Hidden { name: name.clone(), host: real, layer, file, programs: Vec::new() };
                hidden.insert((name, layer), one);
            }
        }
    }
    let mut hidden: Vec<Hidden> = hidden.into_values().collect();
    notice(index, scenes, host, &mut hidden);
    hidden
}

/// Starts every program in PATH with the variable, in thought.
fn notice(index: &Index, scenes: &Scenes, host: &Host, hidden: &mut [Hidden]) {
    if hidden.is_empty() {
        return;
    }
    let programs = programs(index, host);
    // Each layer's own variable; a layer that is below another hides no more in it than by itself.
    for viewer in 0..index.layers.len() {
        let hides =
            |hidden: &Hidden| index.offered(viewer, &hidden.name).is_some_and(|(layer, _)| layer == hidden.layer);
        if !hidden.iter().any(hides) {
            continue;
        }
        for program in &programs {
            let mut process = scenes.empty(viewer, Way::Linked, Some(program));
            let Ok(needs) = process.start(program) else { continue };
            let taken: BTreeSet<&OsStr> = needs
                .iter()
                .filter(|need| {
                    need.given.as_ref().is_ok_and(|given| is_of_layer(index, scenes, &process.object(*given).path))
                })
                .map(|need| need.trail.name.as_os_str())
                .collect();
            for hidden in hidden.iter_mut().filter(|hidden| taken.contains(hidden.name.as_os_str()) && hides(hidden)) {
                if !hidden.programs.contains(program) {
                    hidden.programs.push(program.clone());
                }
            }
        }
    }
    hidden.iter_mut().for_each(|hidden| hidden.programs.sort());
}

fn is_of_layer(index: &Index, scenes: &Scenes, path: &Path) -> bool {
    index.owner(scenes.disk(Way::Linked).real(path)).is_some()
}

/// The programs in PATH that are no layer's.
fn programs(index: &Index, host: &Host) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    for folder in &host.programs {
        let Ok(folder) = std::fs::canonicalize(folder) else { continue };
        if index.owner(&folder).is_some() {
            continue;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
        seen.extend(entries.map(|entry| entry.path()).filter(|path| path.is_file()).take(MOST_PROGRAMS));
    }
    seen.into_iter().take(MOST_PROGRAMS).collect()
}
