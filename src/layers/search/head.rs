//! What ld.so looks at before it takes a file, passes over it, or gives up.
//!
//! These are the tests of glibc's `open_verify`, in its order. Whether the rest of the file is sound is for [`elf`](super::super::elf).

use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

/// Why a place did not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Its folder does not exist.
    #[error("no such folder")]
    NoFolder,
    /// No such file.
    #[error("no such file")]
    Missing,
    /// A link that leads to no file; ld.so passes over it.
    #[error("a link to a file that does not exist")]
    Dangling,
    /// The file may not be read; ld.so passes over it.
    #[error("permission denied")]
    Denied,
    /// A library of another word size; ld.so passes over it.
    #[error("made for another word size")]
    OtherClass,
    /// A library of another machine; ld.so passes over it.
    #[error("made for another machine")]
    OtherMachine,
    /// The cache does not hold the name.
    #[error("not in the cache")]
    NotCached,
    /// The cache leads to one of the system's own folders, which the object was linked not to use.
    #[error("in a folder of the system, which the object was linked not to use (-z nodefaultlib)")]
    Unwanted,
    /// The file cannot be opened (links in a circle, a file where a folder should be). ld.so passes over it, and over the other folders of its list, too.
    #[error("cannot be opened ({0}); the list that led here ends here, as it does in ld.so")]
    Unopened(ErrorKind),
    /// Fewer bytes than an ELF header: an empty file, a short linker script. ld.so stops here.
    #[error("file too short; the search stops here, as it does in ld.so")]
    Short,
    /// Not an ELF file (a linker script, say). ld.so stops here.
    #[error("not an ELF file; the search stops here, as it does in ld.so")]
    NotElf,
    /// An ELF file that ld.so does not take, in its words. It stops here.
    #[error("{0}; the search stops here, as it does in ld.so")]
    Refused(&'static str),
    /// The file cannot be read (a folder, say). ld.so stops here.
    #[error("cannot be read ({0}); the search stops here, as it does in ld.so")]
    Unreadable(ErrorKind),
}

impl Reason {
    /// Tells whether ld.so gives up at such a file instead of looking on.
    #[must_use]
    pub fn stops(&self) -> bool {
        matches!(self, Reason::Short | Reason::NotElf | Reason::Refused(_) | Reason::Unreadable(_))
    }

    /// What ld.so says of a file that it stops at.
    #[must_use]
    pub fn said(&self) -> Option<&'static str> {
        match self {
            Reason::Short => Some("file too short"),
            Reason::NotElf => Some("invalid ELF header"),
            Reason::Refused(why) => Some(why),
            Reason::Unreadable(_) => Some("cannot read file data"),
            _ => None,
        }
    }

    /// Tells whether ld.so passes over the rest of the list that led there.
    #[must_use]
    pub fn leaves_list(&self) -> bool {
        matches!(self, Reason::Unopened(_))
    }
}

/// The size of the ELF header of this word size.
const HEADER: usize = if cfg!(target_pointer_width = "64") { 64 } else { 52 };
/// The size of a program header, and where the ELF header says so.
const PROGRAM_HEADER: (u16, usize) = if cfg!(target_pointer_width = "64") { (56, 54) } else { (32, 42) };
const CLASS: u8 = if cfg!(target_pointer_width = "64") { 2 } else { 1 };
const ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
/// `e_machine` of this machine's objects.
const MACHINE: Option<u16> = if cfg!(target_arch = "x86_64") {
    Some(62)
} else if cfg!(target_arch = "aarch64") {
    Some(183)
} else if cfg!(target_arch = "riscv64") {
    Some(243)
} else {
    None
};

/// Tells whether ld.so takes the file that a search has led to.
pub fn look(path: &Path) -> Result<(), Reason> {
    let mut file = open(path)?;
    let mut head = [0; HEADER];
    match read(&mut file, &mut head) {
        Err(error) => Err(Reason::Unreadable(error.kind())),
        Ok(HEADER) => judge(&head),
        Ok(_) => Err(Reason::Short),
    }
}

fn open(path: &Path) -> Result<File, Reason> {
    // A pipe would block the open, and a search never waits. ld.so would wait, and then find that it is no ELF file.
    let opened = match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() || meta.is_dir() => File::open(path),
        Ok(_) => return Err(Reason::NotElf),
        Err(error) => Err(error),
    };
    opened.map_err(|error| match error.kind() {
        ErrorKind::NotFound if path.is_symlink() => Reason::Dangling,
        ErrorKind::NotFound => Reason::Missing,
        ErrorKind::PermissionDenied => Reason::Denied,
        other => Reason::Unopened(other),
    })
}

/// Reads as much as there is.
fn read(file: &mut File, into: &mut [u8]) -> Result<usize, Error> {
    let mut have = 0;
    while have < into.len() {
        match file.read(&mut into[have..]) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

fn judge(head: &[u8; HEADER]) -> Result<(), Reason> {
    let half = |at: usize| u16::from_ne_bytes([head[at], head[at + 1]]);
    if !head.starts_with(b"\x7fELF") {
        return Err(Reason::NotElf);
    }
    if head[4] != CLASS {
        return Err(Reason::OtherClass);
    }
    let refused = |why| Err(Reason::Refused(why));
    if head[5] != ORDER {
        return refused(match cfg!(target_endian = "little") {
            true => "ELF file data encoding not little-endian",
            false => "ELF file data encoding not big-endian",
        });
    }
    if head[6] != 1 {
        return refused("ELF file version ident does not match current one");
    }
    // Of the systems only SysV and GNU; of GNU's ABI versions those up to the one that this glibc knows, about which it is not asked.
    if !matches!(head[7], 0 | 3) {
        return refused("ELF file OS ABI invalid");
    }
    if head[7] == 0 && head[8] != 0 {
        return refused("ELF file ABI version invalid");
    }
    if head[9..16] != [0; 7] {
        return refused("nonzero padding in e_ident");
    }
    if u32::from_ne_bytes([head[20], head[21], head[22], head[23]]) != 1 {
        return refused("ELF file version does not match current one");
    }
    if MACHINE.is_some_and(|own| own != half(18)) {
        return Err(Reason::OtherMachine);
    }
    if !matches!(half(16), 2 | 3) {
        return refused("only ET_DYN and ET_EXEC can be loaded");
    }
    if half(PROGRAM_HEADER.1) != PROGRAM_HEADER.0 {
        return refused("ELF file's phentsize not the expected size");
    }
    Ok(())
}
