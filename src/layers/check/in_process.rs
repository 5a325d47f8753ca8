//! What `dlcast.layers.activate` cannot do: objects that stay without a library of the layers, though everything that can be opened
//! first is.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Index;
use super::scene::{Scenes, Way};
use super::wants::{Left, wants};
use crate::layers::scan::{Class, Scanned};

/// One need that is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// What is needed.
    pub name: OsString,
    /// The object that needs it.
    pub by: PathBuf,
    /// Why it is left.
    pub left: Left,
    /// In whose Python it is so.
    pub viewers: Vec<usize>,
}

/// Opens every extension module in thought, in the Python of every layer that has it within reach, without wrapper and links.
#[must_use]
pub fn remains(index: &Index, scenes: &Scenes, scanned: &[Scanned]) -> Vec<Remains> {
    let mut all: Vec<Remains> = Vec::new();
    for viewer in 0..index.layers.len() {
        let python = scenes.python(viewer, Way::Plain);
        let within = scanned.iter().filter(|scanned| index.order[viewer].contains(&scanned.layer));
        for (layer, object) in within.flat_map(|scanned| scanned.objects.iter().map(|object| (scanned.layer, object))) {
            if !matches!(object.class, Class::Extension(_)) || object.link.is_some() {
                continue;
            }
            let path = index.roots[layer].join(&object.path);
            for (name, by, left) in wants(&mut python.clone(), index, viewer, &path).left {
                match all.iter_mut().find(|known| known.name == name && known.by == by && known.left == left) {
                    Some(known) if !known.viewers.contains(&viewer) => known.viewers.push(viewer),
                    Some(_) => {}
                    None => all.push(Remains { name, by, left, viewers: vec![viewer] }),
                }
            }
        }
    }
    all
}
