//! Symbol versions: the chains that ld.so walks when it checks what a library requires and provides.
//!
//! It makes sure that the chains end inside the file and tells which version numbers exist. It compares no version.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use object::NativeEndian as NE;
use object::elf::{self, Verdaux, Verdef, Vernaux, Verneed};
use object::read::ReadRef;

use super::dynamic::Dynamic;
use super::error::ElfError;
use super::image::{Extent, Image};

/// There are no more version numbers than this, so no honest chain is longer.
const MOST: usize = 1 << 15;

const fn damaged(why: &'static str) -> ElfError {
    ElfError::Version { why }
}

/// Walks both chains and gives the highest version number; 0 if the library has no versions.
pub fn check<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic, needed: &[OsString]) -> Result<u16, ElfError> {
    let mut walk = Walk { image, dynamic, highest: 0, steps: 0 };
    if let Some(address) = dynamic.value(elf::DT_VERNEED) {
        walk.needs(address, needed)?;
    }
    if let Some(address) = dynamic.value(elf::DT_VERDEF) {
        walk.definitions(address)?;
    }
    if walk.highest > 0 && dynamic.value(elf::DT_VERSYM).is_none() {
        return Err(damaged("versions, but no DT_VERSYM"));
    }
    Ok(walk.highest)
}

/// Tells whether every process has that file.
fn is_always_there(file: &OsStr) -> bool {
    matches!(file.to_str().unwrap_or_default(), "libc.so.6" | "ld-linux-x86-64.so.2" | "ld-linux-aarch64.so.1")
}

struct Walk<'a, R> {
    image: &'a Image<'a, R>,
    dynamic: &'a Dynamic,
    highest: u16,
    steps: usize,
}

impl<'d, R: ReadRef<'d>> Walk<'_, R> {
    fn needs(&mut self, address: u64, needed: &[OsString]) -> Result<(), ElfError> {
        let table = self.table(address)?;
        let mut files = HashSet::new();
        let mut at = 0;
        loop {
            let need: Verneed<NE> = self.entry(table, at)?;
            if need.vn_version.get(NE) != elf::VER_NEED_CURRENT {
                return Err(damaged("unknown version of DT_VERNEED"));
            }
            let file = u64::from(need.vn_file.get(NE));
            if files.insert(file) {
                let file = self.dynamic.version_file(self.image, file)?;
                // ld.so asserts that it has opened the file; a library that is there for another reason may be meant, but then
                // it is there by luck.
                if !needed.contains(&file) && !is_always_there(&file) {
                    return Err(ElfError::VersionOfStranger { file: file.to_string_lossy().into_owned() });
                }
            }
            let mut inner = at + u64::from(need.vn_aux.get(NE));
            loop {
                let version: Vernaux<NE> = self.entry(table, inner)?;
                self.name(version.vna_name.get(NE))?;
                self.number(version.vna_other.get(NE).0);
                match version.vna_next.get(NE) {
                    0 => break,
                    next => inner += u64::from(next),
                }
            }
            match need.vn_next.get(NE) {
                0 => return Ok(()),
                next => at += u64::from(next),
            }
        }
    }

    fn definitions(&mut self, address: u64) -> Result<(), ElfError> {
        let table = self.table(address)?;
        let mut at = 0;
        loop {
            let definition: Verdef<NE> = self.entry(table, at)?;
            if definition.vd_version.get(NE) != elf::VER_DEF_CURRENT {
                return Err(damaged("unknown version of DT_VERDEF"));
            }
            self.number(definition.vd_ndx.get(NE).0);
            // ld.so reads the first name only; the others are the version's parents.
            let name: Verdaux<NE> = self.entry(table, at + u64::from(definition.vd_aux.get(NE)))?;
            self.name(name.vda_name.get(NE))?;
            match definition.vd_next.get(NE) {
                0 => return Ok(()),
                next => at += u64::from(next),
            }
        }
    }

    fn table(&self, address: u64) -> Result<Extent, ElfError> {
        let table = self.image.rest_in_file(address, 1);
        table.ok_or(damaged("a table is outside of the loaded segments"))
    }

    fn entry<T: object::pod::Pod>(&mut self, table: Extent, at: u64) -> Result<T, ElfError> {
        self.steps += 1;
        if self.steps > 2 * MOST {
            return Err(damaged("a chain without end"));
        }
        if at.saturating_add(size_of::<T>() as u64) > table.size {
            return Err(damaged("a chain leaves its segment"));
        }
        self.image.record(table.offset + at)
    }

    fn number(&mut self, number: u16) {
        self.highest = self.highest.max(number & elf::VERSYM_VERSION);
    }

    fn name(&self, offset: u32) -> Result<(), ElfError> {
        if u64::from(offset) >= self.dynamic.strings.size {
            return Err(damaged("a name is outside of the string table"));
        }
        Ok(())
    }
}
