//! What a layer hides of those below it: a different file of the same name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::path::PathBuf;

use super::LinkError;
use super::candidates::{Library, Same};
use crate::layers::stack::Stack;

/// A library that a start from some layer does not find, because another of the same name comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// What is looked for.
    pub name: OsString,
    /// The layer whose file is found, and the file, relative to it.
    pub found: (usize, PathBuf),
    /// The layer whose file is not, and the file, relative to it.
    pub hidden: (usize, PathBuf),
    /// The layers from which it is so.
    pub seen_from: Vec<usize>,
}

/// Looks from every layer down.
///
/// # Errors
///
/// [`LinkError::Read`] when files cannot be compared.
pub(super) fn find(
    stack: &Stack,
    offers: &[BTreeMap<OsString, Library>],
    same: &mut Same,
) -> Result<Vec<Shadow>, LinkError> {
    // By name, layer that is found, layer that is hidden.
    let mut compared: BTreeMap<(&OsString, usize, usize), (bool, Vec<usize>)> = BTreeMap::new();
    for (viewer, layer) in stack.layers.iter().enumerate() {
        let mut first: BTreeMap<&OsString, usize> = BTreeMap::new();
        for at in [viewer].into_iter().chain(layer.below.iter().copied()) {
            for (name, library) in &offers[at] {
                let found = *first.entry(name).or_insert(at);
                if found == at {
                    continue;
                }
                let (_, seen_from) = match compared.entry((name, found, at)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let of = &stack.layers[found].name;
                        new.insert((is_different(of, &offers[found][name], library, same)?, Vec::new()))
                    }
                };
                seen_from.push(viewer);
            }
        }
    }
    let different = compared.into_iter().filter(|(_, (different, _))| *different);
    Ok(different
        .map(|((name, found, hidden), (_, seen_from))| Shadow {
            name: name.clone(),
            found: (found, offers[found][name].file.clone()),
            hidden: (hidden, offers[hidden][name].file.clone()),
            seen_from,
        })
        .collect())
}

fn is_different(layer: &str, one: &Library, other: &Library, same: &mut Same) -> Result<bool, LinkError> {
    if one.real == other.real {
        return Ok(false);
    }
    if one.size != other.size {
        return Ok(true);
    }
    let pair = (one.real.as_path(), other.real.as_path());
    same(pair.0, pair.1).map(|same| !same).map_err(|error| LinkError::compare(layer, pair, &error))
}
