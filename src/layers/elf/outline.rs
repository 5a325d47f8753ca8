//! What a library says of itself, without the proof that dlopen survives it: thousands of files are looked at where few are opened.
//!
//! Headers and dynamic section are checked as [`read_any_file`](super::read_any_file) checks them, so that a file cut short is
//! found. Relocations, versions and symbols are not; of the symbols only Python's entry points are looked for.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use memchr::memmem;
use object::elf;
use object::read::{ReadCache, ReadRef};

use super::dynamic::{self, Dynamic};
use super::image::Image;
use super::{Elf, ElfError, Kind, hash, headers, notes, symbols};

/// What a library or a program of this machine says of itself. `len` is the length of the file; `read` is told how many bytes of it
/// were read.
///
/// # Errors
///
/// [`ElfError`] for what is no ELF file of this machine, and for damage to what is looked at.
pub fn outline(file: &File, len: u64, read: &mut u64) -> Result<Elf, ElfError> {
    let bytes = Cell::new(0);
    let counted = Counted { file, len, at: 0, bytes: &bytes };
    let cache = ReadCache::new(counted);
    let result = Image::of_names(&cache, &counted).and_then(of_image);
    *read += bytes.get();
    result
}

pub(super) fn of_image<'d, R: ReadRef<'d>>(mut image: Image<R>) -> Result<Elf, ElfError> {
    let parts = headers::read_segments(&mut image)?;
    let build_id = notes::build_id(&image, &parts.notes)?;
    let static_program = Elf {
        kind: Kind::Executable,
        build_id,
        soname: None,
        needed: Vec::new(),
        rpath: Vec::new(),
        runpath: Vec::new(),
        no_default: false,
        python_init: None,
    };
    if parts.is_exec && parts.dynamic.is_none() {
        return Ok(static_program);
    }
    let dynamic = dynamic::read(&image, &parts)?;
    let mut elf = Elf {
        soname: dynamic.soname(&image)?,
        needed: dynamic.needed(&image)?,
        rpath: dynamic.path(&image, (elf::DT_RPATH, "DT_RPATH"))?,
        runpath: dynamic.path(&image, (elf::DT_RUNPATH, "DT_RUNPATH"))?,
        no_default: dynamic.has_no_default(),
        ..static_program
    };
    if !parts.is_exec && !dynamic.is_pie() {
        elf.kind = Kind::SharedObject;
        elf.python_init = python_init(&image, &dynamic)?;
    }
    Ok(elf)
}

/// More bytes than a library's names have. A file of holes can claim any number, and reading them would take hours.
const MOST_NAMES: u64 = 1 << 30;

/// Where no name has Python's words in it, no symbol has: the names are read faster than the symbols.
fn python_init<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic) -> Result<Option<String>, ElfError> {
    if dynamic.strings.size > MOST_NAMES {
        return Err(ElfError::Dynamic { tag: "DT_STRTAB", why: "is larger than the names of a library" });
    }
    let words = symbols::PYTHON_WORDS.map(memmem::Finder::new);
    let longest = symbols::PYTHON_WORDS.iter().map(|word| word.len()).max().unwrap_or_default();
    let mut found = false;
    image.parts(dynamic.strings, longest as u64, |part| {
        found = words.iter().any(|word| word.find(part).is_some());
        !found
    })?;
    if !found {
        return Ok(None);
    }
    // What is exported is found by its hash. Relocations may name more symbols, but those are not for others.
    let (count, _) = hash::check(image, dynamic)?;
    symbols::python_init(image, dynamic, count)
}

/// A file that is read by position, and counts what is read of it.
#[derive(Clone, Copy)]
struct Counted<'f> {
    file: &'f File,
    len: u64,
    at: u64,
    bytes: &'f Cell<u64>,
}

impl FileExt for Counted<'_> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.file.read_at(into, offset)?;
        self.bytes.set(self.bytes.get() + count as u64);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.read_at(into, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
