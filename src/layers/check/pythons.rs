//! Interpreters of the host that the links of the layers break: with the wrapper's LD_LIBRARY_PATH they are given a library of a
//! layer where they need the host's. An interpreter that lies in a layer means the layers' libraries, and is left alone.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Index;
use super::scene::{Scenes, Way};
use super::verdict::Compared;
use crate::layers::wrapper::home;

/// One library that an interpreter, or what it brings along, is not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misled {
    /// The interpreter, without links.
    pub program: PathBuf,
    /// What is needed.
    pub name: OsString,
    /// The host's library, which it should be.
    pub host: PathBuf,
    /// The layer whose link hides that.
    pub layer: usize,
    /// What the link leads to.
    pub file: PathBuf,
    /// The layers whose Python it is.
    pub viewers: Vec<usize>,
}

/// Starts the Python of every layer in thought, with links and wrapper and without.
#[must_use]
pub fn find(index: &Index, scenes: &Scenes) -> Vec<Misled> {
    let mut compared = Compared::default();
    let mut all: Vec<Misled> = Vec::new();
    for viewer in 0..index.layers.len() {
        let Some(program) = scenes.program(viewer).filter(|program| is_hosts(index, program)) else { continue };
        let plain = started(scenes, viewer, Way::Plain, program);
        let mut linked: Vec<(OsString, PathBuf)> = started(scenes, viewer, Way::Linked, program).into_iter().collect();
        linked.sort();
        for (name, file) in linked {
            let (Some(layer), Some(host)) = (index.owner(&file), plain.get(&name)) else { continue };
            if index.owner(host).is_some() || compared.same(host, &file) {
                continue;
            }
            let (program, host) = (program.to_path_buf(), host.clone());
            let one = Misled { program, name, host, layer, file, viewers: Vec::new() };
            let alike = |other: &Misled| Misled { viewers: Vec::new(), ..other.clone() } == one;
            match all.iter_mut().find(|other| alike(other)) {
                Some(other) => other.viewers.push(viewer),
                None => all.push(Misled { viewers: vec![viewer], ..one }),
            }
        }
    }
    all
}

/// Which files, without links, the start of a program brings along, by the names that are needed.
fn started(scenes: &Scenes, viewer: usize, way: Way, program: &Path) -> HashMap<OsString, PathBuf> {
    let mut process = scenes.empty(viewer, way, Some(program));
    let mut files = HashMap::new();
    for need in process.start(program).unwrap_or_default() {
        if let Ok(given) = need.given {
            let path = scenes.disk(way).real(&process.object(given).path);
            let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
            files.entry(need.trail.name).or_insert(real);
        }
    }
    files
}

/// Tells whether an interpreter is the host's: it lies there, or is a copy (`venv --copies`) of one that does.
fn is_hosts(index: &Index, program: &Path) -> bool {
    match index.owner(program) {
        None => true,
        Some(layer) => home::of(&index.roots[layer]).is_some_and(|home| index.owner(&home).is_none()),
    }
}
