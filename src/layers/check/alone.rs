//! Which objects are opened by themselves, and in which order: extension modules and programs are, and libraries that nothing else
//! brings along. What brings a library along may give it an RPATH, without which it would find nothing.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::Index;
use crate::layers::scan::{Class, Object, Scanned};

/// The files that one layer has within reach, by what they are.
pub struct Alone {
    /// Extension modules.
    pub extensions: Vec<PathBuf>,
    /// Programs.
    pub programs: Vec<PathBuf>,
    /// Libraries, those first whose names nobody needs. Each is opened by itself unless something before it has brought it along.
    pub libraries: Vec<PathBuf>,
}

impl Alone {
    /// What `viewer` has within reach.
    #[must_use]
    pub fn new(index: &Index, viewer: usize, scanned: &[Scanned]) -> Alone {
        let mut objects: Vec<(usize, &Object)> = Vec::new();
        for at in &index.order[viewer] {
            let of_layer = scanned.iter().filter(|scanned| scanned.layer == *at).flat_map(|scanned| &scanned.objects);
            // What a link leads to is an object of its own, in this layer or in another.
            objects.extend(of_layer.filter(|object| object.link.is_none()).map(|object| (*at, object)));
        }
        let elves = objects.iter().filter_map(|(_, object)| object.class.elf());
        let needed: HashSet<&OsStr> = elves.flat_map(|elf| elf.needed.iter().map(OsString::as_os_str)).collect();
        let of = |is: &dyn Fn(&Object) -> bool| -> Vec<PathBuf> {
            let those = objects.iter().filter(|(_, object)| is(object));
            those.map(|(at, object)| index.roots[*at].join(&object.path)).collect()
        };
        let library = |object: &Object, is_needed: bool| match &object.class {
            Class::Library(elf) => {
                let names = [object.path.file_name(), elf.soname.as_deref()];
                names.into_iter().flatten().any(|name| needed.contains(name)) == is_needed
            }
            _ => false,
        };
        let mut libraries = of(&|object| library(object, false));
        libraries.extend(of(&|object| library(object, true)));
        Alone {
            extensions: of(&|object| matches!(object.class, Class::Extension(_))),
            programs: of(&|object| matches!(object.class, Class::Program(_))),
            libraries,
        }
    }
}
