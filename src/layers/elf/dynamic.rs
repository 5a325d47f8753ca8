//! The dynamic section and the strings that it names: what ld.so goes by once a library is mapped.
//!
//! It finds every table and makes sure that the table is there, of the size it claims. What the tables say is checked elsewhere.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use object::NativeEndian as NE;
use object::elf::{self, Dyn64, DynamicTag};
use object::read::ReadRef;

use super::error::ElfError;
use super::headers::Parts;
use super::image::{Extent, Image};

/// Longer names than this are no file names; ld.so puts them on its stack.
const LONGEST_NAME: u64 = 4096;
/// More entries than a linker ever writes; the bound keeps what is remembered of them small.
const MOST_ENTRIES: u64 = 1 << 13;
/// More bytes than the names of what a library needs have; entries may name one long string again and again.
const MOST_NAMES: usize = 1 << 20;
/// More bytes than a library's names have. A file of holes can claim any number, and reading them would take hours.
const MOST_STRINGS: u64 = 1 << 30;
/// Longer search paths than this are no search paths.
const LONGEST_PATH: u64 = 1 << 16;

/// The dynamic section, and its string table.
#[derive(Debug)]
pub struct Dynamic {
    /// Address and size of the section in memory, up to its end mark.
    pub place: Extent,
    /// Address and size of the string table in memory.
    pub strings_place: Extent,
    /// The string table in the file.
    pub strings: Extent,
    /// The last value of each tag, which is the one that ld.so takes.
    values: HashMap<i64, u64>,
    needed: Vec<u64>,
}

fn damaged(tag: &'static str, why: &'static str) -> ElfError {
    ElfError::Dynamic { tag, why }
}

/// Reads the dynamic section.
pub fn read<'d, R: ReadRef<'d>>(image: &Image<R>, parts: &Parts) -> Result<Dynamic, ElfError> {
    const ENTRY: u64 = size_of::<Dyn64<NE>>() as u64;
    let table = "PT_DYNAMIC";
    let Some(place) = parts.dynamic else {
        return Err(damaged(table, "is missing"));
    };
    if place.size == 0 {
        return Err(ElfError::DebugOnly);
    }
    let Some(extent) = image.in_file(place.offset, place.size) else {
        return Err(damaged(table, "is outside of the loaded segments"));
    };
    if parts.dynamic_is_written && !image.mapped(place.offset, place.size, elf::PF_W) {
        return Err(damaged(table, "is in a segment that cannot be written"));
    }
    let mut values = HashMap::new();
    let (mut needed, mut names) = (Vec::new(), Vec::new());
    let mut end = None;
    image.each(extent, |index, entry: &Dyn64<NE>| {
        if index == MOST_ENTRIES {
            return Ok(false);
        }
        let (tag, value) = (normal(entry.d_tag.get(NE)), entry.d_val.get(NE));
        match tag {
            elf::DT_NULL => {
                end = Some(index + 1);
                return Ok(false);
            }
            elf::DT_NEEDED => needed.push(value),
            elf::DT_AUXILIARY | elf::DT_FILTER => names.push(value),
            _ => {}
        }
        values.insert(tag.0, value);
        Ok(true)
    })?;
    let Some(entries) = end else {
        return Err(damaged("DT_NULL", "is missing: the table has no end"));
    };
    let value = |tag: DynamicTag| values.get(&tag.0).copied();
    let (address, size) = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
        (Some(address), Some(size)) if size > 0 => (address, size),
        _ => return Err(damaged("DT_STRTAB", "or DT_STRSZ is missing")),
    };
    let Some(strings) = image.in_file(address, size) else {
        return Err(damaged("DT_STRTAB", "is outside of the loaded segments"));
    };
    if strings.size > MOST_STRINGS {
        return Err(damaged("DT_STRTAB", "is larger than the names of a library"));
    }
    image.hold(strings)?;
    // With this every string that begins in the table ends in it.
    if image.record::<u8>(strings.offset + size - 1)? != 0 {
        return Err(damaged("DT_STRTAB", "has no end"));
    }
    let dynamic = Dynamic {
        place: Extent { offset: place.offset, size: entries * ENTRY },
        strings_place: Extent { offset: address, size },
        strings,
        values,
        needed,
    };
    for name in names {
        dynamic.library(image, "DT_FILTER", name)?;
    }
    Ok(dynamic)
}

/// ld.so recognises the two filter tags by their low 31 bits only (`DT_EXTRATAGIDX` in `<elf.h>`).
fn normal(tag: DynamicTag) -> DynamicTag {
    let low = DynamicTag(tag.0 & 0x7fff_ffff);
    if low == elf::DT_AUXILIARY || low == elf::DT_FILTER { low } else { tag }
}

impl Dynamic {
    /// The value of `tag` that ld.so takes.
    pub fn value(&self, tag: DynamicTag) -> Option<u64> {
        self.values.get(&tag.0).copied()
    }

    /// Tells whether ld.so makes all segments writable for the relocations.
    pub fn has_text_relocations(&self) -> bool {
        let flags = self.value(elf::DT_FLAGS).unwrap_or(0);
        self.value(elf::DT_TEXTREL).is_some() || flags & elf::DF_TEXTREL.0 != 0
    }

    /// Tells whether ld.so resolves every function at once, whatever dlopen was told.
    pub fn binds_now(&self) -> bool {
        let flags = self.value(elf::DT_FLAGS).unwrap_or(0);
        let more = self.value(elf::DT_FLAGS_1).unwrap_or(0);
        let now = flags & elf::DF_BIND_NOW.0 != 0 || more & elf::DF_1_NOW.0 != 0;
        now || self.value(elf::DT_BIND_NOW).is_some()
    }

    /// Tells whether the file calls itself a program.
    pub fn is_pie(&self) -> bool {
        self.value(elf::DT_FLAGS_1).unwrap_or(0) & elf::DF_1_PIE.0 != 0
    }

    /// The table with its address under `tag` and its size in bytes under `size`, of records of `record` bytes: address and size.
    /// None where the library has none. Its content must be in the file.
    pub fn table<'d, R: ReadRef<'d>>(
        &self,
        image: &Image<R>,
        (tag, name): (DynamicTag, &'static str),
        size: DynamicTag,
        record: u64,
    ) -> Result<Option<Extent>, ElfError> {
        let Some(address) = self.value(tag) else {
            return Ok(None);
        };
        let Some(size) = self.value(size) else {
            return Err(damaged(name, "has no size"));
        };
        if size % record != 0 {
            return Err(damaged(name, "is no whole number of entries"));
        }
        if size > 0 && image.in_file(address, size).is_none() {
            return Err(damaged(name, "is outside of the loaded segments"));
        }
        Ok(Some(Extent { offset: address, size }))
    }

    /// The SONAME.
    pub fn soname<'d, R: ReadRef<'d>>(&self, image: &Image<R>) -> Result<Option<OsString>, ElfError> {
        let Some(offset) = self.value(elf::DT_SONAME) else {
            return Ok(None);
        };
        let name = self.name_of(image, "DT_SONAME", offset)?;
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    /// The name of another library. An empty one is the main program's, which ld.so cannot have below a library.
    fn library<'d, R: ReadRef<'d>>(
        &self,
        image: &Image<R>,
        tag: &'static str,
        offset: u64,
    ) -> Result<OsString, ElfError> {
        let name = self.name_of(image, tag, offset)?;
        if name.is_empty() {
            return Err(damaged(tag, "has no name"));
        }
        Ok(name)
    }

    /// The names of what the library needs, in order.
    pub fn needed<'d, R: ReadRef<'d>>(&self, image: &Image<R>) -> Result<Vec<OsString>, ElfError> {
        let mut needed = Vec::new();
        let mut size = 0;
        for offset in &self.needed {
            let name = self.library(image, "DT_NEEDED", *offset)?;
            size += name.len();
            if size > MOST_NAMES {
                return Err(damaged("DT_NEEDED", "names more than a library can need"));
            }
            needed.push(name);
        }
        Ok(needed)
    }

    /// Tells whether its needs are not to be looked for in the system's own folders.
    pub fn has_no_default(&self) -> bool {
        self.value(elf::DT_FLAGS_1).unwrap_or(0) & elf::DF_1_NODEFLIB.0 != 0
    }

    /// The entries of a search path, as they stand there: an empty one is the working directory. A path that is there and empty is
    /// one empty entry, because a RUNPATH counts even then.
    pub fn path<'d, R: ReadRef<'d>>(
        &self,
        image: &Image<R>,
        (tag, name): (DynamicTag, &'static str),
    ) -> Result<Vec<OsString>, ElfError> {
        let Some(offset) = self.value(tag) else {
            return Ok(Vec::new());
        };
        let path = self.string(image, name, offset, LONGEST_PATH)?;
        Ok(path.split(|byte| *byte == b':').map(|entry| OsStr::from_bytes(entry).into()).collect())
    }

    /// The string at `offset` of the table.
    fn string<'d, R: ReadRef<'d>>(
        &self,
        image: &Image<R>,
        tag: &'static str,
        offset: u64,
        longest: u64,
    ) -> Result<Vec<u8>, ElfError> {
        if offset >= self.strings.size {
            return Err(damaged(tag, "is outside of the string table"));
        }
        let mut text = Vec::new();
        let rest = Extent { offset: self.strings.offset + offset, size: (self.strings.size - offset).min(longest) };
        let mut ended = false;
        image.each(rest, |_, byte: &u8| {
            ended = *byte == 0;
            if !ended {
                text.push(*byte);
            }
            Ok(!ended)
        })?;
        if !ended {
            return Err(damaged(tag, "is too long"));
        }
        Ok(text)
    }

    /// The name of a file at `offset`.
    fn name_of<'d, R: ReadRef<'d>>(
        &self,
        image: &Image<R>,
        tag: &'static str,
        offset: u64,
    ) -> Result<OsString, ElfError> {
        Ok(OsString::from_vec(self.string(image, tag, offset, LONGEST_NAME)?))
    }

    /// The symbol name at `offset`; bytes that are not UTF-8 are replaced.
    pub fn name<'d, R: ReadRef<'d>>(&self, image: &Image<R>, offset: u64) -> Result<String, ElfError> {
        let name = self.string(image, "DT_SYMTAB", offset, LONGEST_PATH)?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// The version's file name at `offset`.
    pub fn version_file<'d, R: ReadRef<'d>>(&self, image: &Image<R>, offset: u64) -> Result<OsString, ElfError> {
        self.name_of(image, "DT_VERNEED", offset)
    }
}
