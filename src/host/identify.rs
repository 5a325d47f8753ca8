//! A file's identity: checked as ELF, hashed, and remembered by device, inode, size and times.
//!
//! It never blocks on a file that is no file (a FIFO, a device), and it opens nothing with the loader.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::digest;
use super::node::NodeCache;
use crate::identity::Identity;
use crate::layers::elf::{self, Elf, ElfError};

/// Which file, and in which state: if it is the same, so is the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp(pub [u64; 7]);

impl Stamp {
    /// Of a file that was looked at.
    pub fn of(meta: &Metadata) -> Self {
        // Times are signed; only their equality counts.
        let bits = |time: i64| u64::from_ne_bytes(time.to_ne_bytes());
        Stamp([
            meta.dev(),
            meta.ino(),
            meta.size(),
            bits(meta.mtime()),
            bits(meta.mtime_nsec()),
            bits(meta.ctime()),
            bits(meta.ctime_nsec()),
        ])
    }
}

impl Stamp {
    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.0[2]
    }

    /// Device and inode: by these the loader knows what it has open.
    pub fn file(&self) -> [u64; 2] {
        [self.0[0], self.0[1]]
    }

    /// Whether it is one to the loader.
    pub fn is_same_file(&self, other: &Stamp) -> bool {
        self.file() == other.file()
    }

    /// Nobody has written to it in between. (A new link or another mode changes the inode's time, not the content.)
    pub fn is_same_content(&self, other: &Stamp) -> bool {
        self.0[..5] == other.0[..5]
    }
}

/// Why a file has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// Not there, not readable.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A directory, FIFO, device or socket.
    #[error("{}: is a {kind}, not a shared library", path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Not a shared library that the loader could map here.
    #[error("{}: {source}", path.display())]
    Elf {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: ElfError,
    },
    /// Somebody is writing it.
    #[error("{}: changed while it was read; load it when it is complete", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
}

/// The identities that this process knows.
#[derive(Default)]
pub struct Identifier {
    known: HashMap<Stamp, Identity>,
    /// Files hashed by this process: what a test of "once a node" counts.
    pub hashed: u64,
}

impl Identifier {
    /// The identity of the file at `path`. With a node cache, one process of the node reads it, the others wait for that.
    pub fn identify(&mut self, path: &Path, node: Option<&mut NodeCache>) -> Result<Identity, IdentifyError> {
        self.identify_file(path, node).map(|(identity, _)| identity)
    }

    /// The same without reading anything: none for a file that nobody has read in this state.
    pub fn known(&self, path: &Path) -> Option<Identity> {
        let stamp = Stamp::of(&std::fs::metadata(path).ok()?);
        self.known.get(&stamp).cloned()
    }

    /// Also which file that was.
    pub fn identify_file(
        &mut self,
        path: &Path,
        node: Option<&mut NodeCache>,
    ) -> Result<(Identity, Stamp), IdentifyError> {
        self.look_up(path, node, elf::read_file)
    }

    /// The identity of the main program, which is no library: it cannot be loaded, but it has functions.
    pub fn identify_program(&mut self, node: Option<&mut NodeCache>) -> Result<(Identity, PathBuf), IdentifyError> {
        let link = Path::new("/proc/self/exe");
        let path = std::fs::read_link(link).map_err(|source| IdentifyError::Io { path: link.into(), source })?;
        let (identity, _) = self.look_up(&path, node, elf::read_any_file)?;
        Ok((identity, path))
    }

    fn look_up(
        &mut self,
        path: &Path,
        node: Option<&mut NodeCache>,
        parse: fn(&File) -> Result<Elf, ElfError>,
    ) -> Result<(Identity, Stamp), IdentifyError> {
        let io = |source| IdentifyError::Io { path: path.into(), source };
        let meta = std::fs::metadata(path).map_err(io)?;
        if let Some(kind) = unusual(&meta) {
            return Err(IdentifyError::NoFile { path: path.into(), kind });
        }
        let stamp = Stamp::of(&meta);
        if let Some(identity) = self.known.get(&stamp) {
            return Ok((identity.clone(), stamp));
        }
        let hashed = &mut self.hashed;
        let mut read = || {
            *hashed += 1;
            read(path, stamp, parse)
        };
        let identity = match node {
            Some(node) => node.get_or(stamp, &mut read)?,
            None => read()?,
        };
        self.known.insert(stamp, identity.clone());
        Ok((identity, stamp))
    }
}

/// No library is larger than that.
const LARGEST: u64 = 1 << 34;

fn unusual(meta: &Metadata) -> Option<&'static str> {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("directory"),
        () if kind.is_fifo() => Some("FIFO"),
        () if kind.is_socket() => Some("socket"),
        () => Some("device"),
    }
}

fn read(path: &Path, stamp: Stamp, parse: fn(&File) -> Result<Elf, ElfError>) -> Result<Identity, IdentifyError> {
    let io = |source| IdentifyError::Io { path: path.into(), source };
    let changed = || IdentifyError::Changed { path: path.into() };
    // O_NONBLOCK: should the file have become a FIFO since it was looked at, opening it does not wait for a writer.
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(io)?;
    if Stamp::of(&file.metadata().map_err(io)?) != stamp {
        return Err(changed());
    }
    let parse = || parse(&file).map_err(|source| IdentifyError::Elf { path: path.into(), source });
    let hash = || digest::digest(&file, stamp.size());
    let at_once = digest::is_large(stamp.size()) && stamp.size() <= LARGEST;
    let (elf, digest) = match at_once {
        // What is wrong with a small file is found before it is read, and with one of holes, which takes hours to read.
        false => (parse()?, hash()),
        true => std::thread::scope(|scope| {
            // It looks at the tables while this thread reads the whole; where no thread can be had, one after the other.
            let parse_elsewhere = || {
                digest::roam();
                parse()
            };
            match std::thread::Builder::new().spawn_scoped(scope, parse_elsewhere) {
                Ok(parser) => {
                    let digest = hash();
                    let elf = parser.join().unwrap_or_else(|_| parse());
                    elf.map(|elf| (elf, digest))
                }
                Err(_) => parse().map(|elf| (elf, hash())),
            }
        })?,
    };
    let digest = digest.map_err(io)?.ok_or_else(changed)?;
    if Stamp::of(&file.metadata().map_err(io)?) != stamp {
        return Err(changed());
    }
    let name = match elf.soname {
        Some(soname) => soname.to_string_lossy().into_owned(),
        None => {
            let real = std::fs::canonicalize(path).map_err(io)?;
            real.file_name().unwrap_or(real.as_os_str()).to_string_lossy().into_owned()
        }
    };
    Ok(Identity { name, size: stamp.size(), build_id: elf.build_id, digest })
}
