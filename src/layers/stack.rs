//! Which layers there are, where they are, and in which order one uses the others.
//!
//! The input is a `stack.toml`, a `venvstacks.toml` with its built environments, or a folder that holds one of them. What is in
//! the layers is not looked at: that is [`scan`](super::scan).
//!
//! # Layout
//! - `source` finds the file and reads it
//! - `declared` what a `stack.toml` says ([`super::venvstacks`]: what a `venvstacks.toml` says)
//! - `exclude` the globs of `dynlib_exclude`
//! - `folder` whether a folder is a Python environment, and for which system
//! - `error` what can be wrong with all this

mod declared;
pub(super) mod error;
mod exclude;
mod folder;
pub(super) mod source;

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

pub use error::StackError;
pub use exclude::Exclude;

use super::linearise::{Disorder, linearise};
use super::venvstacks;
use source::{Format, Source};

/// More layers than anybody stacks: what a file of a few kilobytes can ask for is bounded.
const MOST_LAYERS: usize = 1000;

/// Environments that use each other.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The file that says so.
    pub file: PathBuf,
    /// The layers, in the order of the file.
    pub layers: Vec<Layer>,
}

/// One Python environment.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the file calls it; no two layers of a stack are called the same.
    pub name: String,
    /// Its folder: absolute, without `.` and `..`, links not resolved.
    pub path: PathBuf,
    /// The layers that it uses, as indices into [`Stack::layers`], the first one first; itself not among them.
    pub below: Vec<usize>,
    /// Which of its libraries other layers do not get.
    pub exclude: Exclude,
    /// Whose loader it is made for.
    pub platform: Platform,
}

/// Whose loader a layer is made for. (One for Windows is refused: `os.add_dll_directory` does there what this does here.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// ld.so: ELF, LD_LIBRARY_PATH.
    Posix,
    /// dyld: Mach-O, DYLD_LIBRARY_PATH.
    MacOs,
}

/// A layer as a file asks for it.
#[derive(Debug)]
pub(super) struct Asked {
    pub name: String,
    /// Absolute, without `.` and `..`.
    pub path: PathBuf,
    /// Names.
    pub uses: Vec<String>,
    pub exclude: Vec<String>,
    /// The folders of the layers that venvstacks has built it over, by name, in order.
    pub built: Option<Vec<String>>,
}

impl Stack {
    /// Reads what `path` says: a `stack.toml`, a `venvstacks.toml`, or a folder that holds one of them. `build_dir` is where
    /// venvstacks has built the environments of a `venvstacks.toml`; without it that is `_build` beside the file, as it is for
    /// venvstacks, or the file's own folder, if layers were exported there.
    ///
    /// # Errors
    ///
    /// [`StackError`] for what the file gets wrong, and for layers that are not there.
    pub fn read(path: &Path, build_dir: Option<&Path>) -> Result<Stack, StackError> {
        let source = Source::read(path)?;
        let asked = match (source.format()?, build_dir) {
            (Format::Venvstacks, _) => venvstacks::read(&source, build_dir)?,
            (Format::Stack, None) => declared::read(&source)?,
            (Format::Stack, Some(_)) => return Err(StackError::BuildDir { file: source.file }),
        };
        assemble(source.file, asked)
    }
}

/// Puts the layers in order, and looks whether they are there.
fn assemble(file: PathBuf, asked: Vec<Asked>) -> Result<Stack, StackError> {
    if asked.is_empty() || asked.len() > MOST_LAYERS {
        return Err(StackError::Number { file, count: asked.len(), most: MOST_LAYERS });
    }
    let indices = indices(&file, &asked)?;
    let uses = asked.iter().map(|layer| lists(&file, &indices, layer));
    let uses = uses.collect::<Result<Vec<_>, _>>()?;
    let below = linearise(&uses).map_err(|disorder| {
        let name = |index: usize| asked[index].name.clone();
        match disorder {
            Disorder::Cycle(circle) => {
                let names = circle.iter().chain(circle.first()).copied().map(name).collect();
                StackError::Cycle { file: file.clone(), names }
            }
            Disorder::Conflict { layer, wishes } => StackError::Order {
                file: file.clone(),
                layer: name(layer),
                wishes: wishes.iter().map(|wish| [wish.of, wish.first, wish.later].map(name)).collect(),
            },
        }
    })?;
    for (layer, below) in asked.iter().zip(&below) {
        let names: Vec<&str> = below.iter().map(|index| asked[*index].name.as_str()).collect();
        if let Some(built) = layer.built.as_ref().filter(|built| !venvstacks::is_over(built, &names)) {
            let (layer, built) = (layer.name.clone(), built.clone());
            return Err(StackError::Stale { file, layer, built, asked: names.into_iter().map(String::from).collect() });
        }
    }
    let mut places: HashMap<PathBuf, String> = HashMap::new();
    let mut layers = Vec::new();
    for (asked, below) in asked.into_iter().zip(below) {
        let exclude = Exclude::new(&asked.exclude)
            .map_err(|(glob, why)| StackError::Glob { file: file.clone(), layer: asked.name.clone(), glob, why })?
            .of(&asked.path);
        let (platform, real) = folder::look(&asked.name, &asked.path)?;
        if let Some(first) = places.insert(real, asked.name.clone()) {
            return Err(StackError::SameFolder { file, first, second: asked.name, path: asked.path });
        }
        layers.push(Layer { name: asked.name, path: asked.path, below, exclude, platform });
    }
    // What runs on a runtime of macOS is made for macOS, even where its own folder does not tell.
    for index in 0..layers.len() {
        if layers[index].below.iter().any(|below| layers[*below].platform == Platform::MacOs) {
            layers[index].platform = Platform::MacOs;
        }
    }
    Ok(Stack { file, layers })
}

fn indices(file: &Path, asked: &[Asked]) -> Result<HashMap<String, usize>, StackError> {
    let mut indices = HashMap::new();
    for (index, layer) in asked.iter().enumerate() {
        // A name stands in messages, in tables and in other files.
        if layer.name.trim() != layer.name || layer.name.is_empty() || layer.name.chars().any(char::is_control) {
            return Err(StackError::Name { file: file.to_path_buf(), name: layer.name.clone() });
        }
        if indices.insert(layer.name.clone(), index).is_some() {
            return Err(StackError::SameName { file: file.to_path_buf(), name: layer.name.clone() });
        }
    }
    Ok(indices)
}

/// What a layer lists, as indices.
fn lists(file: &Path, indices: &HashMap<String, usize>, layer: &Asked) -> Result<Vec<usize>, StackError> {
    let mut seen = HashSet::new();
    let mut list = Vec::new();
    for used in &layer.uses {
        let (file, layer) = (file.to_path_buf(), layer.name.clone());
        let Some(index) = indices.get(used) else {
            let mut known: Vec<String> = indices.keys().filter(|name| **name != layer).cloned().collect();
            known.sort_unstable();
            return Err(StackError::Unknown { file, layer, used: used.clone(), known });
        };
        if !seen.insert(*index) {
            return Err(StackError::Twice { file, layer, used: used.clone() });
        }
        list.push(*index);
    }
    Ok(list)
}

/// `path` as seen from `folder`, without `.` and `..`; links are not resolved, so that a stack of links stays one.
pub(super) fn absolute(folder: &Path, path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            other => whole.push(other),
        }
    }
    whole
}
