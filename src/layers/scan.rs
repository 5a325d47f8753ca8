//! Which shared objects a layer has, and what each of them is: by its ELF content, not by its name.
//!
//! A layer is walked whole, with as few calls as the kernel allows: no file is asked for its attributes that cannot be of interest, and
//! of those that can only headers and names are read. Nothing is linked here, and nothing is resolved.
//!
//! # Layout
//! - `walk` lists folders, by several threads
//! - `candidate` which names are of interest
//! - `classify` what a file is

mod candidate;
mod classify;
mod walk;

use std::ops::AddAssign;
use std::path::PathBuf;

use super::elf::Elf;
use super::stack::Stack;
use super::stack::error::plain;

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
    /// Folders that were listed.
    pub folders: u64,
    /// Files whose names were read there.
    pub listed: u64,
    /// Files that were opened.
    pub opened: u64,
    /// Bytes that were read of them.
    pub read: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.folders += other.folders;
        self.listed += other.listed;
        self.opened += other.opened;
        self.read += other.read;
    }
}

/// A file that its name or its place says may be a shared object.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
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

impl Neither {
    /// What such a file is, for somebody who looks for a library; none for a text that is as it should be.
    pub fn what(&self) -> Option<String> {
        Some(match self {
            Neither::LinkerScript => return None,
            Neither::Empty => "empty".into(),
            Neither::Foreign(system) => format!("made for {system}"),
            Neither::Dangling => "a link that leads nowhere".into(),
            Neither::Damaged(why) => format!("damaged ({why})"),
            Neither::Unreadable(why) => format!("unreadable ({why})"),
            Neither::NotElf => "no ELF file".into(),
        })
    }
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
    #[error("{}: cannot be listed: {}", path.display(), plain(source))]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Looks through every layer of a stack; the results are in the order of [`Stack::layers`].
///
/// Left out are environments inside an environment (with a `pyvenv.cfg` of their own, or another layer), `__pycache__`, which is
/// Python's own, and the links that `dlcast layers link` has made.
///
/// # Errors
///
/// [`ScanError`] when a folder cannot be listed. A file that cannot be read is an object that says so.
pub fn scan(stack: &Stack) -> Result<Vec<Scanned>, ScanError> {
    let mut scanned = walk::walk(stack)?;
    for layer in &mut scanned {
        layer.objects.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    }
    Ok(scanned)
}
