//! The relocations: every write and every call that ld.so does for a library before the library runs.
//!
//! It makes sure that each write goes where the library may be written and leaves ld.so's own tables alone, and that what is
//! called is code. The values are not computed.

use std::ops::Range;

use object::NativeEndian as NE;
use object::elf::{self, Rela64, Relr64};
use object::read::ReadRef;

use super::dynamic::Dynamic;
use super::error::ElfError;
use super::headers::Parts;
use super::image::{Extent, Image};
use super::machine::{self, Effect};
use super::tables::{self, Tables, damaged};

const WORD: u64 = 8;

/// What relocations want of the symbols, by index.
#[derive(Debug, Default)]
pub struct Uses(Vec<u8>);

const USED: u8 = 1;
const TLS: u8 = 2;
const SIZE: u8 = 4;
const CALLED: u8 = 8;

impl Uses {
    /// Tells whether a relocation uses the symbol.
    pub fn is_used(&self, index: u64) -> bool {
        self.has(index, USED)
    }

    /// Tells whether a relocation uses the symbol as thread-local.
    pub fn is_tls(&self, index: u64) -> bool {
        self.has(index, TLS)
    }

    /// Tells whether a relocation uses the symbol's size.
    pub fn is_size(&self, index: u64) -> bool {
        self.has(index, SIZE)
    }

    /// Tells whether ld.so calls what the symbol stands for.
    pub fn is_called(&self, index: u64) -> bool {
        self.has(index, CALLED)
    }

    fn has(&self, index: u64, flag: u8) -> bool {
        let flags = usize::try_from(index).ok().and_then(|index| self.0.get(index));
        flags.is_some_and(|flags| flags & flag != 0)
    }

    fn add(&mut self, index: u32, flag: u8) {
        if let Some(flags) = self.0.get_mut(index as usize) {
            *flags |= flag;
        }
    }
}

/// Checks every relocation, and the functions that ld.so calls when they are done. `symbols` is the number of symbols.
pub fn check<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    dynamic: &Dynamic,
    tables: &Tables,
    parts: &Parts,
    symbols: u64,
) -> Result<Uses, ElfError> {
    for (name, tag) in [("DT_INIT", elf::DT_INIT), ("DT_FINI", elf::DT_FINI)] {
        if dynamic.value(tag).is_some_and(|address| !image.is_code(address)) {
            return Err(damaged(name, "does not point at code"));
        }
    }
    if dynamic.value(elf::DT_JMPREL).is_some() {
        lazy_binding(image, dynamic)?;
    }
    if !machine::KNOWS_RELOCATIONS {
        return Ok(Uses::default());
    }
    // For text relocations ld.so makes everything writable.
    let text = dynamic.has_text_relocations();
    let calls = tables.calls.iter().map(|(table, place)| Calls {
        table,
        place: *place,
        filled: vec![false; (place.size / WORD) as usize],
    });
    let mut walk = Walk {
        image,
        parts,
        writable: if text { elf::ProgramFlags(0) } else { elf::PF_W },
        calls: calls.collect(),
        uses: Uses(vec![0; symbols as usize]),
        free: 0..0,
    };
    // The order of ld.so: packed relative ones, then the others.
    if let Some(place) = tables.relative {
        walk.packed(place)?;
    }
    for (table, place) in &tables.with_addend {
        let first = if *table == "DT_RELA" { tables.relative_first } else { 0 };
        image.each(tables::content(image, *place), |index, rela: &Rela64<NE>| {
            let wrong = |why| ElfError::Relocation { table, index, why };
            let kind = rela.r_type(NE, false);
            let Some(effect) = machine::effect(kind) else {
                return Err(wrong("ld.so does not know its type"));
            };
            if index < first && effect != Effect::Relative {
                return Err(wrong("it stands among the relative ones, but is not"));
            }
            walk.one(effect, rela).map_err(wrong)?;
            Ok(true)
        })?;
    }
    walk.finish()
}

const NOT_CODE: &str = "ld.so would call what is not code";

/// An array of addresses of functions; ld.so calls each of them without looking.
struct Calls {
    table: &'static str,
    place: Extent,
    /// The entries that a relocation fills in.
    filled: Vec<bool>,
}

struct Walk<'a, R> {
    image: &'a Image<'a, R>,
    parts: &'a Parts,
    writable: elf::ProgramFlags,
    calls: Vec<Calls>,
    uses: Uses,
    /// Where the last write went, and around it: the next one mostly goes there, too, and needs no search.
    free: Range<u64>,
}

impl<'d, R: ReadRef<'d>> Walk<'_, R> {
    fn one(&mut self, effect: Effect, rela: &Rela64<NE>) -> Result<(), &'static str> {
        let (target, addend) = (rela.r_offset.get(NE), rela.r_addend.get(NE).cast_unsigned());
        let symbol = rela.r_sym(NE, false);
        match effect {
            Effect::None => {}
            Effect::Relative => {
                if self.write(target, WORD)? && !self.image.is_code(addend) {
                    return Err(NOT_CODE);
                }
            }
            Effect::Call => {
                self.write(target, WORD)?;
                if !self.image.is_code(addend) {
                    return Err(NOT_CODE);
                }
            }
            Effect::Symbol(size) => {
                let called = self.write(target, size)?;
                self.uses.add(symbol, if called { USED | CALLED } else { USED });
                if called && symbol == 0 {
                    return Err(NOT_CODE);
                }
            }
            Effect::Size(size) => {
                self.uses.add(symbol, USED | SIZE);
                if self.write(target, size)? {
                    return Err(NOT_CODE);
                }
            }
            Effect::Tls(size) => {
                self.uses.add(symbol, USED | TLS);
                if self.write(target, size)? {
                    return Err(NOT_CODE);
                }
                if symbol == 0 && !self.parts.tls {
                    return Err("thread-local in a library without thread-local storage");
                }
            }
        }
        Ok(())
    }

    /// The packed relative relocations (DT_RELR): an even entry is an address, an odd one a bitmap of the 63 words that follow.
    fn packed(&mut self, place: Extent) -> Result<(), ElfError> {
        let image = self.image;
        let mut next: Option<u64> = None;
        image.each(tables::content(image, place), |index, entry: &Relr64<NE>| {
            let wrong = |why| ElfError::Relocation { table: "DT_RELR", index, why };
            let entry = entry.0.get(NE);
            if entry & 1 == 0 {
                self.packed_one(entry).map_err(wrong)?;
                next = Some(entry + WORD);
                return Ok(true);
            }
            let Some(start) = next else {
                return Err(wrong("a bitmap without an address before it"));
            };
            let mut bits = entry >> 1;
            while bits != 0 {
                let place = u64::from(bits.trailing_zeros());
                self.packed_one(start.wrapping_add(place * WORD)).map_err(wrong)?;
                bits &= bits - 1;
            }
            next = Some(start.wrapping_add(63 * WORD));
            Ok(true)
        })
    }

    fn packed_one(&mut self, target: u64) -> Result<(), &'static str> {
        if self.write(target, WORD)? {
            // The addend is what stands in the file.
            let content = self.image.in_file(target, WORD);
            let addend = content.and_then(|at| self.image.record::<object::U64<NE>>(at.offset).ok());
            if !addend.is_some_and(|addend| self.image.is_code(addend.get(NE))) {
                return Err(NOT_CODE);
            }
        }
        Ok(())
    }

    /// Checks a write of `size` bytes at `target`. Tells whether ld.so will call what is written.
    fn write(&mut self, target: u64, size: u64) -> Result<bool, &'static str> {
        if self.free.start <= target && target.checked_add(size).is_some_and(|end| end <= self.free.end) {
            return Ok(false);
        }
        if !self.image.mapped(target, size, self.writable) {
            return Err("it writes where the library may not be written");
        }
        if self.image.in_tables(target, size) {
            return Err("it writes into the tables of ld.so");
        }
        for calls in &mut self.calls {
            if calls.place.overlaps(target, size) {
                let offset = target.wrapping_sub(calls.place.offset);
                let entry = calls.filled.get_mut((offset / WORD) as usize);
                match entry {
                    Some(filled) if offset % WORD == 0 && size == WORD && !*filled => *filled = true,
                    _ => return Err("it does not fit the array of functions that it writes into"),
                }
                return Ok(true);
            }
        }
        let calls = self.calls.iter().map(|calls| calls.place);
        self.free = self.image.free_around(target, size, self.writable, calls).unwrap_or(0..0);
        Ok(false)
    }

    fn finish(self) -> Result<Uses, ElfError> {
        for calls in &self.calls {
            if let Some(entry) = calls.filled.iter().position(|filled| !filled) {
                return Err(ElfError::NotCode { table: calls.table, index: entry as u64 });
            }
        }
        Ok(self.uses)
    }
}

/// With lazy binding ld.so puts its own addresses into the global offset table.
fn lazy_binding<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic) -> Result<(), ElfError> {
    let writable = |address, size| image.mapped(address, size, elf::PF_W) && !image.in_tables(address, size);
    match dynamic.value(elf::DT_PLTGOT) {
        Some(address) if writable(address, 3 * WORD) => {}
        None if dynamic.binds_now() => {}
        Some(_) => return Err(damaged("DT_PLTGOT", "is outside of what may be written")),
        None => return Err(damaged("DT_PLTGOT", "is missing")),
    }
    match dynamic.value(elf::DT_TLSDESC_GOT) {
        Some(address) if !writable(address, WORD) => {
            Err(damaged("DT_TLSDESC_GOT", "is outside of what may be written"))
        }
        _ => Ok(()),
    }
}
