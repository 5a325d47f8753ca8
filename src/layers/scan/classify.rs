//! What a file is: opened once, and read no more than it takes to tell.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use super::candidate::Candidate;
use super::{Class, Counts, Neither, Object};
use crate::layers::elf::{Elf, ElfError, Kind, outline};
use crate::layers::regular;
use crate::layers::stack::error::plain;

/// Looks at a file of the layer at `layer`; `folder` is the folder that it is in. None where neither its name nor its content is a
/// shared object's.
pub fn classify(layer: &Path, folder: &OwnedFd, candidate: Candidate, counts: &mut Counts) -> Option<Object> {
    let Candidate { path, named, kind } = candidate;
    let name = path.file_name().unwrap_or_default();
    let mut link = None;
    let mut size = 0;
    let content = match kind {
        FileType::RegularFile => content(folder, Path::new(name), &mut size, counts),
        FileType::Symlink => match fs::canonicalize(layer.join(&path)) {
            Ok(real) => {
                // To open a device can be to do something with it.
                let content = match real.is_file() {
                    true => content(folder, &real, &mut size, counts),
                    false => Err(Neither::Unreadable(regular::NOT_A_FILE.into())),
                };
                link = Some(real);
                content
            }
            Err(error) => {
                link = fs::read_link(layer.join(&path)).ok();
                Err(lost(&error))
            }
        },
        _ => Err(Neither::Unreadable(regular::NOT_A_FILE.into())),
    };
    let class = match content {
        // Before 2016 linkers did not mark programs that can be loaded anywhere.
        Ok(elf) if elf.kind == Kind::Executable || (!named && path.starts_with("bin")) => Class::Program(elf),
        Ok(elf) if elf.python_init.is_some() => Class::Extension(elf),
        Ok(elf) => Class::Library(elf),
        // A script in bin.
        Err(neither) if !named && !matches!(neither, Neither::Foreign(_) | Neither::Damaged(_)) => return None,
        Err(neither) => Class::Neither(neither),
    };
    Some(Object { path, link, size, class })
}

/// What a file has in it; `path` is absolute, or as seen from `folder`.
fn content(folder: &OwnedFd, path: &Path, size: &mut u64, counts: &mut Counts) -> Result<Elf, Neither> {
    // A pipe that has taken the place of a library would block for ever.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(openat(folder, path, flags, Mode::empty()).map_err(|error| lost(&error.into()))?);
    counts.opened += 1;
    let meta = file.metadata().map_err(|error| lost(&error))?;
    if !meta.is_file() {
        return Err(Neither::Unreadable(regular::NOT_A_FILE.into()));
    }
    *size = meta.len();
    outline(&file, meta.len(), &mut counts.read).map_err(neither)
}

fn lost(error: &io::Error) -> Neither {
    match error.kind() {
        ErrorKind::NotFound => Neither::Dangling,
        // A link to itself.
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Neither::Dangling,
        _ => Neither::Unreadable(plain(error)),
    }
}

fn neither(error: ElfError) -> Neither {
    match error {
        ElfError::Empty => Neither::Empty,
        ElfError::LinkerScript { .. } => Neither::LinkerScript,
        ElfError::Machine { file, .. } => Neither::Foreign(file),
        ElfError::NotElf { start } if is_mach_o(&start) => Neither::Foreign("macOS".into()),
        ElfError::NotElf { .. } | ElfError::Text { .. } => Neither::NotElf,
        ElfError::Unreadable { .. } | ElfError::NotAFile => Neither::Unreadable(error.to_string()),
        other => Neither::Damaged(other.to_string()),
    }
}

/// By the first bytes, in hexadecimal: Mach-O of 64 bits, or of several machines.
fn is_mach_o(start: &str) -> bool {
    matches!(start, "cf fa ed fe" | "ca fe ba be")
}
