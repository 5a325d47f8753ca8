//! What `dlcast.layers.activate` cannot do: objects that stay without a library of the layers, though everything that can be opened
//! first is.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Index;
use super::alone::Alone;
use super::scene::{Scenes, Way};
use super::wants::{Left, wants};
use crate::layers::scan::Scanned;
use crate::layers::search::Process;
use crate::layers::search::disk::FileId;

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

/// Opens everything in thought that may be opened by itself, in the Python of every layer that has it within reach, without wrapper
/// and links: extension modules, and libraries that nothing else brings along, which a package or a program in C opens.
#[must_use]
pub fn remains(index: &Index, scenes: &Scenes, scanned: &[Scanned]) -> Vec<Remains> {
    let mut all = Vec::new();
    for viewer in 0..index.layers.len() {
        let alone = Alone::new(index, viewer, scanned);
        let mut opening = Opening {
            index,
            viewer,
            python: scenes.python(viewer, Way::Plain),
            reached: HashSet::new(),
            all: &mut all,
        };
        alone.extensions.iter().for_each(|path| opening.open(path));
        for program in &alone.programs {
            // What a program lacks is not cured in the process of another.
            let mut process = scenes.empty(viewer, Way::Plain, Some(program));
            let _needs = process.start(program);
            opening.reach(process.objects().iter().map(|object| object.path.as_path()));
        }
        alone.libraries.iter().for_each(|path| opening.open(path));
    }
    all
}

/// Opening everything in the process of one layer.
struct Opening<'a> {
    index: &'a Index,
    viewer: usize,
    python: Process<'a>,
    /// What was brought along, or has been judged.
    reached: HashSet<FileId>,
    all: &'a mut Vec<Remains>,
}

impl Opening<'_> {
    fn open(&mut self, path: &Path) {
        if self.python.disk().id(path).is_some_and(|id| self.reached.contains(&id)) {
            return;
        }
        let mut process = self.python.clone();
        let left = wants(&mut process, self.index, self.viewer, path).left;
        self.reach(process.objects().iter().map(|object| object.path.as_path()));
        // What could not be opened has been judged by that.
        self.reach(left.iter().filter_map(|(_, _, left)| match left {
            Left::Circle { file } | Left::Fails { file } => Some(file.as_path()),
            _ => None,
        }));
        for (name, by, left) in left {
            match self.all.iter_mut().find(|known| known.name == name && known.by == by && known.left == left) {
                Some(known) if !known.viewers.contains(&self.viewer) => known.viewers.push(self.viewer),
                Some(_) => {}
                None => self.all.push(Remains { name, by, left, viewers: vec![self.viewer] }),
            }
        }
    }

    fn reach<'p>(&mut self, paths: impl Iterator<Item = &'p Path>) {
        let disk = self.python.disk();
        self.reached.extend(paths.filter_map(|path| disk.id(path)));
    }
}
