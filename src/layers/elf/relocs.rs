//! The relocations: every write and every call that ld.so does for a library before the library runs.
//!
//! It makes sure that each write goes where the library may be written and leaves ld.so's own tables alone, and that what is
//! called is code. The values are not computed.

use object::NativeEndian as NE;
use object::elf::{self, Rela64, Relr64};
use object::read::ReadRef;

use super::dynamic::Dynamic;
use super::error::ElfError;
use super::headers::Parts;
use super::image::{Extent, Image};
use super::machine::{self, Effect};

const RELA: u64 = size_of::<Rela64<NE>>() as u64;
const WORD: u64 = 8;

/// What relocations want of the symbols, by index.
#[derive(Debug, Default)]
pub struct Uses(Vec<u8>);

const USED: u8 = 1;
const TLS: u8 = 2;
const SIZE: u8 = 4;

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

/// The tables of relocations, by their places in memory.
#[derive(Debug, Default)]
pub struct Tables {
    with_addend: Vec<(&'static str, Extent)>,
    relative: Option<Extent>,
    /// How many entries of DT_RELA ld.so takes for relative ones without looking.
    relative_first: u64,
    /// The arrays of initialisers and finalisers.
    calls: Vec<(&'static str, Extent)>,
}

fn damaged(tag: &'static str, why: &'static str) -> ElfError {
    ElfError::Dynamic { tag, why }
}

/// Finds the tables.
pub fn tables<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic) -> Result<Tables, ElfError> {
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
            tables.calls.push((name, table));
        }
    }
    Ok(tables)
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
            image.each(in_file(image, *place), |_, rela: &Rela64<NE>| {
                highest = highest.max(u64::from(rela.r_sym(NE, false)) + 1);
                Ok(true)
            })?;
        }
        Ok(highest)
    }
}

/// The content of a table whose place was checked.
fn in_file<'d, R: ReadRef<'d>>(image: &Image<R>, place: Extent) -> Extent {
    let nothing = Extent { offset: 0, size: 0 };
    image.in_file(place.offset, place.size).unwrap_or(nothing)
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
    };
    // The order of ld.so: packed relative ones, then the others.
    if let Some(place) = tables.relative {
        walk.packed(place)?;
    }
    for (table, place) in &tables.with_addend {
        let first = if *table == "DT_RELA" { tables.relative_first } else { 0 };
        image.each(in_file(image, *place), |index, rela: &Rela64<NE>| {
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

/// An array of addresses of functions; ld.so calls each of them without looking.
struct Calls {
    table: &'static str,
    place: Extent,
    /// The entries that point at code after relocation.
    filled: Vec<bool>,
}

struct Walk<'a, R> {
    image: &'a Image<R>,
    parts: &'a Parts,
    writable: elf::ProgramFlags,
    calls: Vec<Calls>,
    uses: Uses,
}

impl<'d, R: ReadRef<'d>> Walk<'_, R> {
    fn one(&mut self, effect: Effect, rela: &Rela64<NE>) -> Result<(), &'static str> {
        let (target, addend) = (rela.r_offset.get(NE), rela.r_addend.get(NE).cast_unsigned());
        let symbol = rela.r_sym(NE, false);
        match effect {
            Effect::None => return Ok(()),
            Effect::Relative => {
                self.write(target, WORD)?;
                self.fill(target, Some(addend))?;
            }
            Effect::Call => {
                self.write(target, WORD)?;
                if !self.image.is_code(addend) {
                    return Err("ld.so would call what is not code");
                }
                self.fill(target, None)?;
            }
            Effect::Symbol(size) => {
                self.write(target, size)?;
                self.uses.add(symbol, USED);
                self.fill(target, None)?;
            }
            Effect::Size(size) => {
                self.write(target, size)?;
                self.uses.add(symbol, USED | SIZE);
            }
            Effect::Tls(size) => {
                self.write(target, size)?;
                self.uses.add(symbol, USED | TLS);
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
        image.each(in_file(image, place), |index, entry: &Relr64<NE>| {
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
        self.write(target, WORD)?;
        if !self.calls.iter().any(|calls| calls.entry(target).is_some()) {
            return Ok(());
        }
        // The addend is what stands in the file.
        let content = self.image.in_file(target, WORD);
        let addend = content.and_then(|at| self.image.record::<object::U64<NE>>(at.offset).ok());
        self.fill(target, Some(addend.map_or(0, |addend| addend.get(NE))))
    }

    /// Checks a write of `size` bytes at `target`.
    fn write(&self, target: u64, size: u64) -> Result<(), &'static str> {
        if !self.image.mapped(target, size, self.writable) {
            return Err("it writes where the library may not be written");
        }
        if self.image.in_tables(target, size) {
            return Err("it writes into the tables of ld.so");
        }
        Ok(())
    }

    /// Notes that an entry of an array of functions was filled in, with base plus `address` if that is known.
    fn fill(&mut self, target: u64, address: Option<u64>) -> Result<(), &'static str> {
        for calls in &mut self.calls {
            if let Some(entry) = calls.entry(target) {
                if address.is_some_and(|address| !self.image.is_code(address)) {
                    return Err("ld.so would call what is not code");
                }
                if let Some(filled) = calls.filled.get_mut(entry) {
                    *filled = true;
                }
            }
        }
        Ok(())
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

impl Calls {
    /// The entry at that address, if there is one.
    fn entry(&self, address: u64) -> Option<usize> {
        let offset = address.checked_sub(self.place.offset)?;
        (offset < self.place.size).then_some((offset / WORD) as usize)
    }
}
