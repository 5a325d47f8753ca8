//! What kind of file it is: an ELF file of this machine, or what else.
//!
//! It reads the first 64 bytes and no more. Whether the rest is sound is checked by the modules after it.

use object::NativeEndian as NE;
use object::elf::{self, FileHeader64};
use object::read::ReadRef;

use super::error::ElfError;
use super::image::Image;
use super::machine;

type Header = FileHeader64<NE>;

/// The ELF header of a library or program for this machine.
pub fn read<'d, R: ReadRef<'d>>(image: &Image<R>) -> Result<Header, ElfError> {
    let mut start = [0; 64];
    let have = image.len.min(64) as usize;
    image.copy(0, &mut start[..have])?;
    let start = &start[..have];
    if start.is_empty() {
        return Err(ElfError::Empty);
    }
    if !start.starts_with(&elf::ELFMAG) {
        return Err(not_elf(start));
    }
    if have < 20 {
        return Err(ElfError::Short { len: image.len });
    }
    let here = machine::HERE;
    // The machine's number stands at the same place in every class, in the file's own byte order.
    let big = start[5] == elf::ELFDATA2MSB.0;
    let number = [start[18], start[19]];
    let number = if big { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
    let order = if cfg!(target_endian = "big") { elf::ELFDATA2MSB } else { elf::ELFDATA2LSB };
    if start[4] != elf::ELFCLASS64.0 || start[5] != order.0 || !machine::is_here(number) {
        let file = machine::describe(number, start[4], big);
        return Err(ElfError::Machine { file, here });
    }
    if have < size_of::<Header>() {
        return Err(ElfError::Short { len: image.len });
    }
    let header: Header = image.record(0)?;
    match header.e_type.get(NE) {
        elf::ET_DYN | elf::ET_EXEC => {}
        elf::ET_REL => return Err(ElfError::Kind { kind: "an object file" }),
        elf::ET_CORE => return Err(ElfError::Kind { kind: "a core dump" }),
        _ => return Err(ElfError::Kind { kind: "an unknown kind of ELF file" }),
    }
    if header.e_ident.version != elf::EV_CURRENT || header.e_version.get(NE) != u32::from(elf::EV_CURRENT.0) {
        return Err(ElfError::Header { why: "unknown version of ELF" });
    }
    Ok(header)
}

/// Names what is no ELF file: people leave linker scripts, pointers of Git LFS and error pages where a library should be.
fn not_elf(start: &[u8]) -> ElfError {
    let text = String::from_utf8_lossy(start);
    let printable = |c: char| !c.is_control() || c.is_whitespace();
    // A character may be cut in two at the end of what was read.
    if !text.trim_end_matches('\u{fffd}').chars().all(|c| printable(c) && c != '\u{fffd}') {
        let start = start.iter().take(4).map(|byte| format!("{byte:02x}"));
        let start = start.collect::<Vec<_>>().join(" ");
        return ElfError::NotElf { start };
    }
    let script = ["INPUT", "GROUP", "OUTPUT_FORMAT", "AS_NEEDED", "/* GNU ld"];
    let is_script = script.iter().any(|word| text.trim_start().starts_with(word));
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let start: String = line.trim().chars().take(40).collect();
    if is_script { ElfError::LinkerScript { start } } else { ElfError::Text { start } }
}
