//! The libraries of one layer that have names for others, copies of one library taken together.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{LinkError, names};
use crate::layers::elf::Elf;
use crate::layers::scan::{Class, Neither, Object};
use crate::layers::script;
use crate::layers::stack::Layer;

/// A library in a layer: one file, or several with the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The file that links lead to, relative to the layer.
    pub file: PathBuf,
    /// The same, absolute and without links.
    pub real: PathBuf,
    /// The names under which it is looked for, and for each the files because of which.
    pub names: BTreeMap<OsString, Vec<PathBuf>>,
    /// Its size.
    pub size: u64,
    /// What it calls itself.
    pub soname: Option<OsString>,
}

/// Compares the content of two files.
pub type Same<'a> = dyn FnMut(&Path, &Path) -> std::io::Result<bool> + 'a;

/// The libraries of a layer, except those that it excludes. `root` is its folder without links.
///
/// # Errors
///
/// [`LinkError::Read`] when files cannot be compared.
pub fn libraries(layer: &Layer, root: &Path, objects: &[Object], same: &mut Same) -> Result<Vec<Library>, LinkError> {
    let mut libraries: Vec<Library> = Vec::new();
    let mut of_file: BTreeMap<PathBuf, usize> = BTreeMap::new();
    // Files come before the links to them, so that links lead to files.
    let (links, files): (Vec<&Object>, Vec<&Object>) = objects.iter().partition(|object| object.link.is_some());
    for object in files.into_iter().chain(links) {
        let Class::Library(elf) = &object.class else { continue };
        let real = object.link.clone().unwrap_or_else(|| root.join(&object.path));
        // Where a link leaves the layer, links lead to the link.
        let file = real.strip_prefix(root).unwrap_or(&object.path).to_path_buf();
        if layer.exclude.covers(&object.path) || layer.exclude.covers(&file) {
            continue;
        }
        let at = *of_file.entry(real).or_insert_with_key(|real| {
            let (real, soname) = (real.clone(), elf.soname.clone());
            libraries.push(Library { file, real, names: BTreeMap::new(), size: object.size, soname });
            libraries.len() - 1
        });
        for name in names_of(object, elf) {
            libraries[at].names.entry(name).or_default().push(object.path.clone());
        }
    }
    let mut libraries = together(&layer.name, libraries, same)?;
    also_by_scripts(layer, root, objects, &mut libraries);
    Ok(libraries)
}

/// Gives a library the name of a text that stands for it, as `libmpi.so` may for `libmpi.so.12`: who opens that name means this library,
/// and would get the host's. It must be one of the layer, and neither a file nor another text must have the name.
fn also_by_scripts(layer: &Layer, root: &Path, objects: &[Object], libraries: &mut [Library]) {
    let mut meant: BTreeMap<&OsStr, Vec<(usize, &Path)>> = BTreeMap::new();
    for object in objects.iter().filter(|object| matches!(object.class, Class::Neither(Neither::LinkerScript))) {
        let Some(name) = object.path.file_name() else { continue };
        if layer.exclude.covers(&object.path) || libraries.iter().any(|library| library.names.contains_key(name)) {
            continue;
        }
        let Some(means) = script::means(&root.join(&object.path)).map(OsString::from) else { continue };
        let named = libraries.iter().enumerate().filter(|(_, library)| library.names.contains_key(&means));
        meant.entry(name).or_default().extend(named.map(|(at, _)| (at, object.path.as_path())));
    }
    for (name, libraries_and_texts) in meant {
        if let [(at, _), rest @ ..] = &libraries_and_texts[..]
            && rest.iter().all(|(other, _)| other == at)
        {
            let texts = libraries_and_texts.iter().map(|(_, text)| text.to_path_buf()).collect();
            libraries[*at].names.insert(name.into(), texts);
        }
    }
}

/// A link gives its own name; the SONAME comes with the file, or with the link if the file is in no layer.
fn names_of(object: &Object, elf: &Elf) -> Vec<OsString> {
    let name = object.path.file_name().unwrap_or_default();
    let behind = object.link.as_deref().and_then(Path::file_name);
    match (behind, elf.soname.as_deref()) {
        (Some(behind), Some(soname)) if names::is_private(behind, soname) => vec![name.into()],
        (_, soname) => names::names(name, soname),
    }
}

/// Makes copies one library.
fn together(layer: &str, libraries: Vec<Library>, same: &mut Same) -> Result<Vec<Library>, LinkError> {
    let mut kept: Vec<Library> = Vec::new();
    let mut alike: BTreeMap<(u64, Option<OsString>), Vec<usize>> = BTreeMap::new();
    for library in libraries {
        let group = alike.entry((library.size, library.soname.clone())).or_default();
        let mut copy_of = None;
        for at in group.iter().copied() {
            let pair = (kept[at].real.as_path(), library.real.as_path());
            if same(pair.0, pair.1).map_err(|error| LinkError::compare(layer, pair, &error))? {
                copy_of = Some(at);
                break;
            }
        }
        match copy_of {
            Some(at) => kept[at].take(library),
            None => {
                group.push(kept.len());
                kept.push(library);
            }
        }
    }
    Ok(kept)
}

impl Library {
    /// Takes a copy's names along. Links lead to the file that is called like the library, or else to the first one.
    fn take(&mut self, copy: Library) {
        let rank = |library: &Library| {
            let named = library.file.file_name() == library.soname.as_deref();
            (!named, library.file.clone())
        };
        if rank(&copy) < rank(self) {
            (self.file, self.real) = (copy.file, copy.real);
        }
        for (name, files) in copy.names {
            self.names.entry(name).or_default().extend(files);
        }
    }
}
