//! The folder `share/venv/dynlib` of each layer: one link for each name under which a library is looked for.
//!
//! [`plan`] decides, from what a scan has found, and reads files only to compare them (texts for
//! the linker, to know what they stand for); [`Change`] is what that comes to on the
//! disk; [`change`] does it. Which files there are is not its business, nor whether anything finds them in the end.
//!
//! # Layout
//! - [`names`] under which names a library is looked for
//! - [`candidates`] the libraries of a layer, copies taken together
//! - [`shadow`] what a layer hides of those below it
//! - [`change`] what has to be changed on the disk, and changing it
//! - `folder` changing a folder of links at once

pub mod candidates;
pub mod change;
mod error;
mod folder;
pub mod names;
pub mod shadow;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

pub use super::same::same;
use super::scan::Scanned;
use super::stack::{Layer, Stack};
use candidates::{Library, Same};
pub use change::{Change, Changes};
pub use error::{Ambiguous, LinkError, Name};
pub use shadow::Shadow;

/// What each layer offers to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For each layer its links: names, and the files that they lead to, relative to the layer.
    pub links: Vec<BTreeMap<OsString, PathBuf>>,
    /// What is hidden by a different file of the same name in a layer above.
    pub shadows: Vec<Shadow>,
}

/// The folders of the layers, without links: what is relative is so between them.
///
/// # Errors
///
/// [`LinkError::Read`].
pub fn roots(stack: &Stack) -> Result<Vec<PathBuf>, LinkError> {
    let real = |layer: &Layer| {
        let failed = |source| LinkError::Read { layer: layer.name.clone(), path: layer.path.clone(), source };
        std::fs::canonicalize(&layer.path).map_err(failed)
    };
    stack.layers.iter().map(real).collect()
}

/// Decides which links each layer has. `roots` are the folders of the layers without links; `same` compares two files.
///
/// # Errors
///
/// [`LinkError::Ambiguous`] with all names that mean several libraries within a layer; [`LinkError::Read`] when
/// files cannot be compared.
pub fn plan(stack: &Stack, roots: &[PathBuf], scanned: &[Scanned], same: &mut Same) -> Result<Plan, LinkError> {
    let mut offers: Vec<BTreeMap<OsString, Library>> = Vec::new();
    let mut ambiguous = Ambiguous { file: stack.file.clone(), layers: Vec::new() };
    for ((layer, root), scanned) in stack.layers.iter().zip(roots).zip(scanned) {
        let libraries = candidates::libraries(layer, root, &scanned.objects, same)?;
        let mut named: BTreeMap<OsString, Vec<&Library>> = BTreeMap::new();
        for library in &libraries {
            for name in library.names.keys() {
                named.entry(name.clone()).or_default().push(library);
            }
        }
        let several = named.iter().filter(|(_, libraries)| libraries.len() > 1);
        let files = |name: &OsString, library: &&Library| library.names.get(name).cloned().unwrap_or_default();
        let several: Vec<Name> = several
            .map(|(name, libraries)| {
                let mut candidates: Vec<_> = libraries.iter().map(|library| files(name, library)).collect();
                for files in &mut candidates {
                    files.sort_by_key(|file| (file.file_name() != Some(name), file.clone()));
                }
                candidates.sort();
                Name { name: name.clone(), candidates }
            })
            .collect();
        if !several.is_empty() {
            ambiguous.layers.push((layer.name.clone(), several));
        }
        let one = |libraries: Vec<&Library>| libraries.first().copied().cloned();
        offers.push(named.into_iter().filter_map(|(name, libraries)| Some((name, one(libraries)?))).collect());
    }
    if !ambiguous.layers.is_empty() {
        return Err(ambiguous.into());
    }
    let shadows = shadow::find(stack, &offers, same)?;
    let links = offers.into_iter().map(|offer| offer.into_iter().map(|(name, library)| (name, library.file)).collect());
    Ok(Plan { links: links.collect(), shadows })
}
