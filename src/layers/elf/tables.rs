//! The tables of relocations, initialisers and finalisers: where they are, and that they are whole.
//!
//! What stands in them is checked by `relocs`.

use object::NativeEndian as NE;
use object::elf::{self, Rela64};
use object::read::ReadRef;

use super::dynamic::Dynamic;
use super::error::ElfError;
use super::image::{Extent, Image};

const RELA: u64 = size_of::<Rela64<NE>>() as u64;
const WORD: u64 = 8;

/// More relocations, in one table or in all, than a library has; a file of holes can claim any number, and costs nobody anything.
const MOST: u64 = 1 << 24;
/// More initialisers or finalisers than a library has.
const MOST_CALLS: u64 = 1 << 20;

/// The tables of relocations, by their places in memory.
#[derive(Debug, Default)]
pub struct Tables {
    pub with_addend: Vec<(&'static str, Extent)>,
    pub relative: Option<Extent>,
    /// How many entries of DT_RELA ld.so takes for relative ones without looking.
    pub relative_first: u64,
    /// The arrays of initialisers and finalisers.
    pub calls: Vec<(&'static str, Extent)>,
}

/// What is wrong with an entry of the dynamic section.
pub fn damaged(tag: &'static str, why: &'static str) -> ElfError {
    ElfError::Dynamic { tag, why }
}

/// Finds the tables.
pub fn find<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic) -> Result<Tables, ElfError> {
    let mut tables = Tables::default();
    // ld.so asserts the sizes of entries, and reads the values of these tags without asking whether they are there.
    let entry = |tag, name, size| match dynamic.value(tag) {
        Some(given) if given == size => Ok(()),
        _ => Err(damaged(name, "is missing or not the size of a relocation")),
    };
    if let Some(table) = dynamic.table(image, (elf::DT_RELA, "DT_RELA"), elf::DT_RELASZ, RELA)? {
        entry(elf::DT_RELAENT, "DT_RELAENT", RELA)?;
        tables.relative_first = dynamic.value(elf::DT_RELACOUNT).unwrap_or(0);
        tables.with_addend.push(("DT_RELA", table));
    }
    let plt = dynamic.value(elf::DT_PLTREL);
    if plt.is_some_and(|kind| kind != elf::DT_RELA.0 as u64) {
        return Err(damaged("DT_PLTREL", "is not DT_RELA"));
    }
    match dynamic.table(image, (elf::DT_JMPREL, "DT_JMPREL"), elf::DT_PLTRELSZ, RELA)? {
        Some(table) => {
            tables.with_addend.push(("DT_JMPREL", table));
        }
        None if plt.is_some() => return Err(damaged("DT_JMPREL", "is missing")),
        None => {}
    }
    if let Some(table) = dynamic.table(image, (elf::DT_RELR, "DT_RELR"), elf::DT_RELRSZ, WORD)? {
        entry(elf::DT_RELRENT, "DT_RELRENT", WORD)?;
        tables.relative = Some(table);
    }
    for (name, tag, size) in [
        ("DT_INIT_ARRAY", elf::DT_INIT_ARRAY, elf::DT_INIT_ARRAYSZ),
        ("DT_FINI_ARRAY", elf::DT_FINI_ARRAY, elf::DT_FINI_ARRAYSZ),
    ] {
        if let Some(table) = dynamic.table(image, (tag, name), size, WORD)? {
            if table.size / WORD > MOST_CALLS {
                return Err(damaged(name, "has more functions than a library"));
            }
            tables.calls.push((name, table));
        }
    }
    let mut count = 0;
    let relative = tables.relative.map(|place| ("DT_RELR", place.size / WORD));
    for (name, entries) in tables.with_addend.iter().map(|(name, place)| (*name, place.size / RELA)).chain(relative) {
        count += entries;
        if count > MOST {
            return Err(damaged(name, "has more relocations than a library"));
        }
    }
    Ok(tables)
}

impl Tables {
    /// Where the tables are in memory.
    pub fn places(&self) -> impl Iterator<Item = Extent> {
        let tables = self.with_addend.iter().map(|(_, place)| *place);
        tables.chain(self.relative)
    }

    /// One more than the highest symbol that a relocation uses.
    pub fn symbols<'d, R: ReadRef<'d>>(&self, image: &Image<R>) -> Result<u64, ElfError> {
        let mut highest = 0;
        for (_, place) in &self.with_addend {
            image.each(content(image, *place), |_, rela: &Rela64<NE>| {
                highest = highest.max(u64::from(rela.r_sym(NE, false)) + 1);
                Ok(true)
            })?;
        }
        Ok(highest)
    }
}

/// The content of a table whose place was checked.
pub fn content<'d, R: ReadRef<'d>>(image: &Image<R>, place: Extent) -> Extent {
    let nothing = Extent { offset: 0, size: 0 };
    image.in_file(place.offset, place.size).unwrap_or(nothing)
}
