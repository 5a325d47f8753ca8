//! Reads a shared library's ELF and refuses what ld.so would trust to its death.
//!
//! ld.so checks little: a file that was cut short kills the process with SIGBUS, a damaged table with SIGSEGV, and on every rank
//! at once. A file that [`read`] accepts can be given to dlopen, which may still refuse it with a message, but does not die of
//! parsing it. This does not open the library, does not look for what it needs, and does not judge its code: a constructor that
//! crashes is the library's own. `elf` is the only user of the crate `object`.

mod blocks;
mod dynamic;
mod error;
mod hash;
mod headers;
mod image;
mod kind;
mod machine;
mod notes;
mod outline;
mod python;
mod relocs;
mod symbols;
mod tables;
#[cfg(test)]
mod tests;
mod versions;

use std::ffi::OsString;
use std::fs::File;

use object::elf;
use object::read::ReadRef;

pub use error::ElfError;
use image::Image;
pub use outline::outline;

/// What dlcast wants to know of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The name that other libraries know it by (DT_SONAME).
    pub soname: Option<OsString>,
    /// The names of the libraries that it needs, in order (DT_NEEDED).
    pub needed: Vec<OsString>,
    /// The entries of DT_RPATH, as they stand there: `$ORIGIN` is not replaced. One that is there and empty is one empty entry.
    pub rpath: Vec<OsString>,
    /// The entries of DT_RUNPATH, as they stand there.
    pub runpath: Vec<OsString>,
    /// It was linked with `-z nodefaultlib`: the system's own folders are not looked into for it.
    pub no_default: bool,
    /// What the linker signed it with (the note NT_GNU_BUILD_ID).
    pub build_id: Option<Vec<u8>>,
    /// The first exported `PyInit_*` or `PyModExport_*`: it is an extension module of Python.
    pub python_init: Option<String>,
    /// Whether dlopen takes it at all.
    pub kind: Kind,
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What dlopen opens.
    SharedObject,
    /// A program, position-independent (DF_1_PIE) or not; dlopen refuses it.
    Executable,
}

/// Reads a shared library and checks it.
///
/// # Errors
///
/// [`ElfError`] if dlopen would refuse the file for its form, or could die of it.
pub fn read<'d, R: ReadRef<'d>>(data: R) -> Result<Elf, ElfError> {
    library(read_any(data)?)
}

fn library(elf: Elf) -> Result<Elf, ElfError> {
    match elf.kind {
        Kind::SharedObject => Ok(elf),
        Kind::Executable => Err(ElfError::Executable),
    }
}

/// Reads a shared library from a file and checks it. Only the headers and tables are read, not the content, and never more than
/// the file has; of a file of any size no more than some dozens of megabytes are in memory.
///
/// # Errors
///
/// As [`read`], and [`ElfError::NotAFile`] for a folder, a device or a pipe.
pub fn read_file(file: &File) -> Result<Elf, ElfError> {
    library(read_any_file(file)?)
}

/// [`read_any`] from a file.
///
/// # Errors
///
/// As [`read_any`].
pub fn read_any_file(file: &File) -> Result<Elf, ElfError> {
    check(image(file)?)
}

/// The loader that a program of this machine asks for: `/lib64/ld-linux-x86-64.so.2`, say; none where it is static.
///
/// # Errors
///
/// [`ElfError`] for what is no ELF file of this machine. Only the headers are looked at.
pub fn interpreter(file: &File) -> Result<Option<String>, ElfError> {
    headers::interpreter(&image(file)?)
}

fn image(file: &File) -> Result<Image<'_, &'static [u8]>, ElfError> {
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(Image::of_file(file, meta.len())),
        _ => Err(ElfError::NotAFile),
    }
}

/// Reads a shared library or a dynamically linked program, whose needs are of interest too. [`Elf::kind`] tells which.
///
/// # Errors
///
/// As [`read`], except for [`ElfError::Executable`].
pub fn read_any<'d, R: ReadRef<'d>>(data: R) -> Result<Elf, ElfError> {
    check(Image::new(data)?)
}

fn check<'d, R: ReadRef<'d>>(mut image: Image<R>) -> Result<Elf, ElfError> {
    let parts = headers::read(&mut image)?;
    let build_id = notes::build_id(&image, &parts.notes)?;
    let dynamic = dynamic::read(&image, &parts)?;
    let elf = Elf {
        soname: dynamic.soname(&image)?,
        needed: dynamic.needed(&image)?,
        rpath: dynamic.path(&image, (elf::DT_RPATH, "DT_RPATH"))?,
        runpath: dynamic.path(&image, (elf::DT_RUNPATH, "DT_RUNPATH"))?,
        no_default: dynamic.has_no_default(),
        build_id,
        python_init: None,
        kind: if parts.is_exec || dynamic.is_pie() { Kind::Executable } else { Kind::SharedObject },
    };
    if elf.kind == Kind::Executable {
        // dlopen refuses it before it looks at the tables, and a program may have what a library must not.
        return Ok(elf);
    }
    let highest = versions::check(&image, &dynamic, &elf.needed)?;
    let (hashed, hash_place) = hash::check(&image, &dynamic)?;
    let tables = tables::find(&image, &dynamic)?;
    let count = hashed.max(tables.symbols(&image)?);
    let mut symbols = symbols::places(&image, &dynamic, count)?;
    image.tables = tables.places().collect();
    image.tables.extend([dynamic.place, dynamic.strings_place]);
    image.tables.extend(parts.start.into_iter().chain(parts.headers).chain(hash_place));
    image.tables.extend(symbols.place.into_iter().chain(symbols.versions_place));
    let uses = relocs::check(&image, &dynamic, &tables, &parts, count)?;
    symbols::check(&image, &dynamic, &parts, highest, &uses, &mut symbols)?;
    Ok(Elf { python_init: symbols.python_init, ..elf })
}
