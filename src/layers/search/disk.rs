//! What is on the disk, each thing looked at once: a search asks for the same folders and files again and again.
//!
//! A [`Disk`] is a moment: what changes later it does not see, so it is made anew for each question. It may hold links that are
//! not there yet, so that what `dlcast layers link` would do can be judged before it is done.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::head::{self, Reason};
use crate::layers::elf::{self, Elf, ElfError};
use crate::layers::regular;

/// More than an honest question needs; what comes after is looked at again each time.
const MOST_REMEMBERED: usize = 1 << 17;

/// Device and inode: the same for two paths to one file.
pub type FileId = (u64, u64);

/// What is read of an object; the error says why it cannot be loaded.
pub type Read = Result<Rc<Elf>, Rc<Unread>>;

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// Not even opened.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// No object that can be loaded.
    #[error("{0}")]
    Elf(#[from] ElfError),
}

/// What was seen.
#[derive(Default)]
pub struct Disk {
    links: HashMap<PathBuf, PathBuf>,
    heads: RefCell<HashMap<PathBuf, Result<(), Reason>>>,
    folders: RefCell<HashMap<PathBuf, bool>>,
    files: RefCell<HashMap<PathBuf, Option<FileId>>>,
    objects: RefCell<HashMap<FileId, Read>>,
    caches: RefCell<HashMap<PathBuf, Option<Rc<Vec<u8>>>>>,
}

impl Disk {
    /// The disk with a few more links on it, from path to path.
    #[must_use]
    pub fn with_links(links: HashMap<PathBuf, PathBuf>) -> Disk {
        Disk { links, ..Disk::default() }
    }

    /// Where the file is that `path` leads to, if it is a link that is not there yet.
    #[must_use]
    pub fn real<'a>(&'a self, path: &'a Path) -> &'a Path {
        self.links.get(path).map_or(path, PathBuf::as_path)
    }

    /// Tells whether ld.so would take the file.
    ///
    /// # Errors
    /// Why it does not.
    pub fn head(&self, path: &Path) -> Result<(), Reason> {
        remembered(&self.heads, path, || head::look(self.real(path)))
    }

    /// Tells whether there is such a folder.
    pub fn is_folder(&self, path: &Path) -> bool {
        // The empty path is the working directory; of a relative one nothing is remembered, neither here nor by ld.so.
        if path.is_relative() {
            return path.as_os_str().is_empty() || path.is_dir();
        }
        remembered(&self.folders, path, || path.is_dir())
    }

    /// Which file it is.
    pub fn id(&self, path: &Path) -> Option<FileId> {
        let look = || std::fs::metadata(self.real(path)).ok().map(|meta| (meta.dev(), meta.ino()));
        remembered(&self.files, path, look)
    }

    /// What the object says of itself.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn object(&self, path: &Path) -> Read {
        let read = || -> Result<Elf, Unread> {
            let path = self.real(path);
            // An object that is no file is one that cannot be loaded, and not one that cannot be read.
            if !std::fs::metadata(path)?.is_file() {
                return Err(ElfError::NotAFile.into());
            }
            Ok(elf::read_any_file(&regular::open(path)?)?)
        };
        let read = || read().map(Rc::new).map_err(Rc::new);
        match self.id(path) {
            Some(id) => self.objects.borrow_mut().entry(id).or_insert_with(read).clone(),
            None => read(),
        }
    }

    /// Tells what an object says of itself, where that is known.
    pub fn know(&self, path: &Path, elf: &Rc<Elf>) {
        if let Some(id) = self.id(path) {
            self.objects.borrow_mut().entry(id).or_insert_with(|| Ok(elf.clone()));
        }
    }

    /// The bytes of ld.so's cache.
    pub fn cache(&self, path: &Path) -> Option<Rc<Vec<u8>>> {
        let read = || regular::read(path).ok().map(Rc::new);
        self.caches.borrow_mut().entry(path.to_path_buf()).or_insert_with(read).clone()
    }
}

/// What is known of `path`, or what `look` says of it.
fn remembered<T: Clone>(known: &RefCell<HashMap<PathBuf, T>>, path: &Path, look: impl FnOnce() -> T) -> T {
    if let Some(known) = known.borrow().get(path) {
        return known.clone();
    }
    let seen = look();
    let mut known = known.borrow_mut();
    if known.len() < MOST_REMEMBERED {
        known.insert(path.to_path_buf(), seen.clone());
    }
    seen
}
