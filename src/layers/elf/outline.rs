//! What a library says of itself, without the proof that dlopen survives it: thousands of files are looked at where few are opened.
//!
//! Headers and dynamic section are checked as [`read_any_file`](super::read_any_file) checks them, so that a file cut short is
//! found. Relocations, versions and symbols are not; of the symbols only Python's entry points are looked for.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use object::elf;
use object::read::ReadRef;

use super::dynamic::{self, Dynamic};
use super::image::Image;
use super::{Elf, ElfError, Kind, hash, headers, notes, python, symbols};

/// What a library or a program of this machine says of itself. `len` is the length of the file; `read` is told how many bytes of it
/// were read.
///
/// # Errors
///
/// [`ElfError`] for what is no ELF file of this machine, and for damage to what is looked at.
pub fn outline(file: &File, len: u64, read: &mut u64) -> Result<Elf, ElfError> {
    let counted = Counted { file, bytes: Cell::new(0) };
    let result = of_image(Image::of_names(&counted, len));
    *read += counted.bytes.get();
    result
}

fn of_image<'d, R: ReadRef<'d>>(mut image: Image<R>) -> Result<Elf, ElfError> {
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

/// Where no name has Python's words in it, no symbol has: the names are read faster than the symbols.
fn python_init<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic) -> Result<Option<String>, ElfError> {
    let names = python::names(image, dynamic)?;
    if names.is_empty() {
        return Ok(None);
    }
    // What is exported is found by its hash. Relocations may name more symbols, but those are not for others.
    let (count, _) = hash::check(image, dynamic)?;
    symbols::python_init(image, dynamic, count, &names)
}

/// A file that counts what is read of it.
struct Counted<'f> {
    file: &'f File,
    bytes: Cell<u64>,
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
