//! The names of Python's entry points among the names of a library. Whether a symbol bears such a name is for `symbols`.
//!
//! All names are read once, from the first to the last, because symbols name them in any order: a file that is larger than what is kept
//! of it in memory would be read again and again.

use memchr::memmem;
use object::read::ReadRef;

use super::dynamic::Dynamic;
use super::error::ElfError;
use super::image::Image;

/// How an extension module's entry point begins (PEP 489, PEP 793); with a U where the module's name is not ASCII.
const PYTHON: [&[u8]; 4] = [b"PyInit_", b"PyModExport_", b"PyInitU_", b"PyModExportU_"];
/// What all of them have in them.
const WORDS: [&[u8]; 2] = [b"PyInit", b"PyModExport"];
/// The longest of them.
const LONGEST: usize = 13;

/// More entry points than a library has; a Python with all of its modules built in has some hundred.
const MOST: usize = 1 << 16;

/// Where in the string table such names begin, in ascending order.
pub struct Names(Vec<u64>);

impl Names {
    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether the string at `offset` of the table is one.
    pub fn begins_at(&self, offset: u64) -> bool {
        self.0.binary_search(&offset).is_ok()
    }
}

/// Looks through the string table.
pub fn names<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic) -> Result<Names, ElfError> {
    let words = WORDS.map(memmem::Finder::new);
    let mut found = Vec::new();
    let mut end = 0;
    image.parts(dynamic.strings, LONGEST as u64, |part| {
        let start = if end == 0 { 0 } else { end - LONGEST as u64 };
        end = start + part.len() as u64;
        for at in words.iter().flat_map(|word| word.find_iter(part)) {
            if PYTHON.iter().any(|name| part[at..].starts_with(name)) {
                found.push(start + at as u64);
            }
        }
        found.len() <= MOST
    })?;
    if found.len() > MOST {
        return Err(ElfError::Dynamic { tag: "DT_STRTAB", why: "has more names of Python modules than a library" });
    }
    found.sort_unstable();
    Ok(Names(found))
}
