//! The dynamic symbols: every one that ld.so may touch has a name, a version and a kind that it can live with.
//!
//! It does not resolve symbols; whether another library has what this one wants is known only when both are loaded.

use object::NativeEndian as NE;
use object::elf::{self, Sym64, SymbolBind, SymbolSection, SymbolType, SymbolVisibility, Versym};
use object::read::ReadRef;

use super::dynamic::Dynamic;
use super::error::ElfError;
use super::headers::Parts;
use super::image::{Extent, Image};
use super::python::{self, Names};
use super::relocs::Uses;

/// What the check of the symbols found.
#[derive(Debug, Default)]
pub struct Symbols {
    /// The first exported Python entry point.
    pub python_init: Option<String>,
    /// Where the table is in memory.
    pub place: Option<Extent>,
    /// Where the table of versions is in memory.
    pub versions_place: Option<Extent>,
}

/// More symbols than a library has; a file of holes can claim any number, and costs nobody anything.
pub const MOST: u64 = 1 << 24;

/// The places of both tables in memory, for `count` symbols.
pub fn places<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic, count: u64) -> Result<Symbols, ElfError> {
    let mut symbols = Symbols::default();
    let Some(address) = dynamic.value(elf::DT_SYMTAB) else {
        return Err(ElfError::Dynamic { tag: "DT_SYMTAB", why: "is missing" });
    };
    let size = size_of::<Sym64<NE>>() as u64;
    if dynamic.value(elf::DT_SYMENT).is_some_and(|given| given != size) {
        return Err(ElfError::Dynamic { tag: "DT_SYMENT", why: "is not the size of a symbol" });
    }
    symbols.place = Some(place(image, ("DT_SYMTAB", address), count, size)?);
    if count > MOST {
        return Err(ElfError::Dynamic { tag: "DT_SYMTAB", why: "has more symbols than a library" });
    }
    if let Some(address) = dynamic.value(elf::DT_VERSYM) {
        symbols.versions_place = Some(place(image, ("DT_VERSYM", address), count, 2)?);
    }
    Ok(symbols)
}

fn place<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    (tag, address): (&'static str, u64),
    count: u64,
    record: u64,
) -> Result<Extent, ElfError> {
    let size = count.saturating_mul(record);
    if size > 0 && image.in_file(address, size).is_none() {
        let why = "is outside of the loaded segments, or shorter than the symbols in use";
        return Err(ElfError::Dynamic { tag, why });
    }
    Ok(Extent { offset: address, size })
}

/// Checks the symbols one by one. `highest` is the highest version number, `uses` what the relocations want of them.
pub fn check<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    dynamic: &Dynamic,
    parts: &Parts,
    highest: u16,
    uses: &Uses,
    symbols: &mut Symbols,
) -> Result<(), ElfError> {
    let names = python::names(image, dynamic)?;
    if let Some(extent) = in_file(image, symbols.versions_place) {
        image.each(extent, |index, version: &Versym<NE>| {
            let number = version.0.get(NE).0 & elf::VERSYM_VERSION;
            // ld.so indexes an array with it, unless the library has no versions at all and nothing is looked up for it.
            if number > highest && (highest > 0 || uses.is_used(index)) {
                let why = "its version does not exist";
                return Err(ElfError::Symbol { index, why });
            }
            Ok(true)
        })?;
    }
    let Some(extent) = in_file(image, symbols.place) else {
        return Ok(());
    };
    let mut python_init = None;
    image.each(extent, |index, symbol: &Sym64<NE>| {
        if let Some(why) = wrong(image, dynamic, parts, uses, index, symbol) {
            return Err(ElfError::Symbol { index, why });
        }
        if python_init.is_none() {
            python_init = entry_point(image, dynamic, symbol, &names)?;
        }
        Ok(true)
    })?;
    symbols.python_init = python_init;
    Ok(())
}

/// The first exported Python entry point. Nothing else of the symbols is looked at.
pub fn python_init<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    dynamic: &Dynamic,
    count: u64,
    names: &Names,
) -> Result<Option<String>, ElfError> {
    let mut python_init = None;
    if let Some(extent) = in_file(image, places(image, dynamic, count)?.place) {
        image.each(extent, |_, symbol: &Sym64<NE>| {
            python_init = entry_point(image, dynamic, symbol, names)?;
            Ok(python_init.is_none())
        })?;
    }
    Ok(python_init)
}

/// The name of a symbol if it is a Python entry point, and exported.
fn entry_point<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    dynamic: &Dynamic,
    symbol: &Sym64<NE>,
    names: &Names,
) -> Result<Option<String>, ElfError> {
    let name = u64::from(symbol.st_name.get(NE));
    match names.begins_at(name) && is_exported(symbol) {
        true => dynamic.name(image, name).map(Some),
        false => Ok(None),
    }
}

fn in_file<'d, R: ReadRef<'d>>(image: &Image<R>, place: Option<Extent>) -> Option<Extent> {
    let place = place.filter(|place| place.size > 0)?;
    image.in_file(place.offset, place.size)
}

fn is_defined(symbol: &Sym64<NE>) -> bool {
    SymbolSection(symbol.st_shndx.get(NE).0) != elf::SHN_UNDEF
}

fn is_exported(symbol: &Sym64<NE>) -> bool {
    let bind: SymbolBind = symbol.st_bind();
    let visibility: SymbolVisibility = symbol.st_visibility();
    is_defined(symbol) && bind != elf::STB_LOCAL && (visibility == elf::STV_DEFAULT || visibility == elf::STV_PROTECTED)
}

fn wrong<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    dynamic: &Dynamic,
    parts: &Parts,
    uses: &Uses,
    index: u64,
    symbol: &Sym64<NE>,
) -> Option<&'static str> {
    if u64::from(symbol.st_name.get(NE)) >= dynamic.strings.size {
        return Some("its name is outside of the string table");
    }
    let kind: SymbolType = symbol.st_type();
    let defined = is_defined(symbol);
    if kind == elf::STT_GNU_IFUNC && defined && !image.is_code(symbol.st_value.get(NE)) {
        return Some("ld.so would call it, but it is not code");
    }
    if uses.is_called(index) {
        let missing = !defined && symbol.st_bind() == elf::STB_WEAK;
        if missing || (defined && !image.is_code(symbol.st_value.get(NE))) {
            return Some("ld.so would call it, but it is not code");
        }
    }
    if uses.is_size(index) && !defined && symbol.st_bind() == elf::STB_WEAK {
        return Some("its size is used, but it need not exist");
    }
    if uses.is_tls(index) {
        let other = [elf::STT_FUNC, elf::STT_OBJECT, elf::STT_GNU_IFUNC];
        if other.contains(&kind) {
            return Some("used as thread-local, but it is not");
        }
        if (defined || symbol.st_bind() == elf::STB_LOCAL) && !parts.tls {
            return Some("thread-local in a library without thread-local storage");
        }
    }
    None
}
