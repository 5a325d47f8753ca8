//! The headers of a library: program headers, section headers and the length that they promise.
//!
//! It makes sure that ld.so can map the file: every segment inside the file, in order, apart, sound in size. What the segments
//! contain is checked by the modules after it.

use object::NativeEndian as NE;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::ReadRef;

use super::error::ElfError;
use super::image::{Extent, Image, Load};
use super::kind;

type Header = FileHeader64<NE>;
type Segment = ProgramHeader64<NE>;
type Section = SectionHeader64<NE>;

const SECTION_TABLE: &str = "the table of section headers";

/// More program headers than a linker ever writes; ld.so puts them on its stack.
const MOST_SEGMENTS: u16 = 1024;
/// More section headers than a linker ever writes into a library; the bound keeps a file of holes from being read for hours.
const MOST_SECTIONS: u64 = 1 << 20;
/// More address space than a library can ask for; the bound keeps sums of sizes from wrapping.
const MOST_MEMORY: u64 = 1 << 40;
/// More than a thread can be given.
const MOST_TLS: u64 = 1 << 30;
/// The smallest page of the machines that Linux runs on; ld.so itself refuses what does not fit the real one.
const PAGE: u64 = 4096;

/// What the program headers say beside the loaded segments.
#[derive(Debug, Default)]
pub struct Parts {
    /// Address and size of the dynamic section.
    pub dynamic: Option<Extent>,
    /// Whether ld.so writes into the dynamic section.
    pub dynamic_is_written: bool,
    /// The segments that hold notes, with their alignment.
    pub notes: Vec<(Extent, u64)>,
    /// Whether there is thread-local storage.
    pub tls: bool,
    /// Whether it is a program by its header.
    pub is_exec: bool,
    /// The program headers in memory, as far as they are mapped.
    pub headers: Option<Extent>,
    /// The ELF header in memory, as far as it is mapped.
    pub start: Option<Extent>,
}

/// Reads the headers and fills in the image's segments.
pub fn read<'d, R: ReadRef<'d>>(image: &mut Image<R>) -> Result<Parts, ElfError> {
    read_with(image, sections)
}

/// The same, but of the section headers only their place is checked: where it is in the file, little can have been cut off.
pub fn read_segments<'d, R: ReadRef<'d>>(image: &mut Image<R>) -> Result<Parts, ElfError> {
    read_with(image, |image, header| section_table(image, header).map(drop))
}

fn read_with<'d, R: ReadRef<'d>>(
    image: &mut Image<R>,
    sections: impl Fn(&Image<R>, &Header) -> Result<(), ElfError>,
) -> Result<Parts, ElfError> {
    let header = kind::read(image)?;
    let mut parts = Parts { is_exec: header.e_type.get(NE) == elf::ET_EXEC, ..Parts::default() };
    let segments = segments(image, &header)?;
    for (index, segment) in segments.iter().enumerate() {
        if segment.p_type.get(NE) == elf::PT_LOAD {
            add_load(image, index, segment)?;
        }
    }
    if image.loads.is_empty() {
        return Err(ElfError::Header { why: "no segment to load" });
    }
    sections(image, &header)?;
    for (index, segment) in segments.iter().enumerate() {
        let kind = segment.p_type.get(NE);
        if segment.p_filesz.get(NE) > 0 && kind != elf::PT_LOAD {
            let end = segment.p_offset.get(NE).saturating_add(segment.p_filesz.get(NE));
            inside(image, "a segment", end)?;
        }
        other_segment(image, &mut parts, &header, kind, segment).map_err(|why| ElfError::Segment { index, why })?;
    }
    let size = u64::from(header.e_phnum.get(NE)) * size_of::<Segment>() as u64;
    let table = header.e_phoff.get(NE);
    parts.start = in_memory(image, 0, size_of::<Header>() as u64);
    parts.headers = parts.headers.or_else(|| in_memory(image, table, size));
    if let Some(headers) = parts.headers
        && !image.mapped(headers.offset, headers.size, elf::PF_R)
    {
        let why = "the program headers are in a segment that cannot be read";
        return Err(ElfError::Header { why });
    }
    Ok(parts)
}

/// The loader that a program asks for (PT_INTERP); a static one asks for none.
pub fn interpreter<'d, R: ReadRef<'d>>(image: &Image<R>) -> Result<Option<String>, ElfError> {
    let header = kind::read(image)?;
    for (index, segment) in segments(image, &header)?.iter().enumerate() {
        if segment.p_type.get(NE) == elf::PT_INTERP {
            // The kernel's own bounds: a path, with its end.
            let size = segment.p_filesz.get(NE);
            if !(2..=4096).contains(&size) {
                return Err(ElfError::Segment { index, why: "a loader's path of impossible length" });
            }
            let mut bytes = vec![0; size as usize];
            image.copy(segment.p_offset.get(NE), &mut bytes)?;
            let path = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            return Ok(Some(String::from_utf8_lossy(path).into_owned()));
        }
    }
    Ok(None)
}

fn inside<R>(image: &Image<R>, what: &'static str, end: u64) -> Result<(), ElfError> {
    let len = image.len;
    if end > len {
        return Err(ElfError::Truncated { what, end, len });
    }
    Ok(())
}

fn segments<'d, R: ReadRef<'d>>(image: &Image<R>, header: &Header) -> Result<Vec<Segment>, ElfError> {
    let count = header.e_phnum.get(NE);
    if usize::from(header.e_phentsize.get(NE)) != size_of::<Segment>() {
        return Err(ElfError::Header { why: "wrong size of a program header" });
    }
    if count == 0 || count > MOST_SEGMENTS {
        return Err(ElfError::Header { why: "no program headers, or too many" });
    }
    let extent = Extent { offset: header.e_phoff.get(NE), size: u64::from(count) * size_of::<Segment>() as u64 };
    inside(image, "the table of program headers", extent.offset.saturating_add(extent.size))?;
    let mut segments = Vec::new();
    image.each(extent, |_, segment: &Segment| {
        segments.push(*segment);
        Ok(true)
    })?;
    Ok(segments)
}

fn add_load<R>(image: &mut Image<R>, index: usize, segment: &Segment) -> Result<(), ElfError> {
    let fail = |why| Err(ElfError::Segment { index, why });
    let (start, offset) = (segment.p_vaddr.get(NE), segment.p_offset.get(NE));
    let (in_file, in_memory) = (segment.p_filesz.get(NE), segment.p_memsz.get(NE));
    let align = segment.p_align.get(NE);
    if start > MOST_MEMORY || in_memory > MOST_MEMORY {
        return fail("more memory than a library can have");
    }
    if in_file > in_memory {
        return fail("more bytes in the file than in memory");
    }
    if align > 1 && (!align.is_power_of_two() || align < PAGE) {
        return fail("alignment is not a power of two, or below a page");
    }
    if start % PAGE != offset % PAGE || (align > PAGE && start % align != offset % align) {
        return fail("address and place in the file do not agree with its alignment");
    }
    inside(image, "a segment", offset.saturating_add(in_file))?;
    let load =
        Load { start, file_end: start + in_file, end: start + in_memory, offset, flags: segment.p_flags.get(NE) };
    if let Some(last) = image.loads.last() {
        if load.start < last.end {
            return fail("segments overlap or are not in order");
        }
        // ld.so maps whole pages, each over what was there: a shared page must show the same part of the file to both.
        let shared = last.end.next_multiple_of(PAGE) > load.start - load.start % PAGE;
        let same = load.start.wrapping_sub(load.offset) == last.start.wrapping_sub(last.offset);
        if shared && !(same && last.file_end == last.end) {
            return fail("segments share a page");
        }
    }
    image.loads.push(load);
    Ok(())
}

/// The section table is of no use to ld.so, but it tells a whole file from one that was cut off: linkers write it last.
fn sections<'d, R: ReadRef<'d>>(image: &Image<R>, header: &Header) -> Result<(), ElfError> {
    let Some(Extent { offset, mut size }) = section_table(image, header)? else {
        return Ok(());
    };
    if header.e_shnum.get(NE) == 0 {
        // More sections than the field can hold: the first section has the number (gABI, "Section Header").
        let first: Section = image.record(offset)?;
        size = first.sh_size.get(NE).saturating_mul(size);
        inside(image, SECTION_TABLE, offset.saturating_add(size))?;
        if size / size_of::<Section>() as u64 > MOST_SECTIONS {
            return Err(ElfError::Header { why: "more section headers than a library has" });
        }
    }
    image.each(Extent { offset, size }, |_, section: &Section| {
        let kind = section.sh_type.get(NE);
        if kind != elf::SHT_NOBITS && kind != elf::SHT_NULL {
            let end = section.sh_offset.get(NE).saturating_add(section.sh_size.get(NE));
            inside(image, "a section", end)?;
        }
        Ok(true)
    })
}

/// Where the table is, if there is one, as far as the header says how long it is.
fn section_table<R>(image: &Image<R>, header: &Header) -> Result<Option<Extent>, ElfError> {
    let offset = header.e_shoff.get(NE);
    let record = size_of::<Section>() as u64;
    if offset == 0 {
        return Ok(None);
    }
    let size = u64::from(header.e_shnum.get(NE)).max(1) * record;
    inside(image, SECTION_TABLE, offset.saturating_add(size))?;
    if u64::from(header.e_shentsize.get(NE)) != record {
        return Err(ElfError::Header { why: "wrong size of a section header" });
    }
    Ok(Some(Extent { offset, size }))
}

/// Checks one of the segments that are not loaded by themselves but point into those that are.
fn other_segment<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    parts: &mut Parts,
    header: &Header,
    kind: elf::ProgramType,
    segment: &Segment,
) -> Result<(), &'static str> {
    let (address, size) = (segment.p_vaddr.get(NE), segment.p_memsz.get(NE));
    let in_file = segment.p_filesz.get(NE);
    let align = segment.p_align.get(NE);
    match kind {
        elf::PT_DYNAMIC => {
            if parts.dynamic.is_some() {
                return Err("a second dynamic section");
            }
            parts.dynamic_is_written = segment.p_flags.get(NE).contains(elf::PF_W);
            parts.dynamic = Some(Extent { offset: address, size: in_file });
        }
        elf::PT_TLS if size > 0 => {
            if parts.tls {
                return Err("a second thread-local segment");
            }
            if !align.is_power_of_two() || align > MOST_TLS || size > MOST_TLS || in_file > size {
                return Err("thread-local storage of impossible size or alignment");
            }
            // At address 0 ld.so takes it for missing.
            if in_file > 0 && (address == 0 || image.in_file(address, in_file).is_none()) {
                return Err("thread-local data outside of the loaded segments");
            }
            parts.tls = true;
        }
        elf::PT_GNU_RELRO if size > 0 && !fits_relro(image, address, address.saturating_add(size)) => {
            return Err("read-only after relocation, but not writable before");
        }
        elf::PT_PHDR => {
            let table = header.e_phoff.get(NE);
            let count = u64::from(header.e_phnum.get(NE)) * size_of::<Segment>() as u64;
            // ld.so, debuggers and unwinders read the table through this address for as long as the library is there.
            match image.in_file(address, count) {
                Some(extent) if extent.offset == table => {
                    parts.headers = Some(Extent { offset: address, size: count });
                }
                _ => return Err("the program headers are not where it says"),
            }
        }
        elf::PT_NOTE | elf::PT_GNU_PROPERTY if size > 0 => {
            let Some(extent) = image.in_file(address, size.max(in_file)) else {
                return Err("notes outside of the loaded segments");
            };
            parts.notes.push((extent, align));
        }
        elf::PT_GNU_EH_FRAME if size > 0 && !image.mapped(address, size, elf::PF_R) => {
            return Err("unwind table outside of the loaded segments");
        }
        _ => {}
    }
    Ok(())
}

/// Tells whether the stretch belongs to one writable segment. The linker may round its end up to the next segment, or to a page
/// after the last one; farther on there are other libraries.
fn fits_relro<R>(image: &Image<R>, start: u64, end: u64) -> bool {
    let next = image.loads.iter().skip(1).map(|load| Some(load.start)).chain([None]);
    image.loads.iter().zip(next).any(|(load, next)| {
        let limit = next.unwrap_or(load.end.next_multiple_of(PAGE));
        load.flags.contains(elf::PF_W) && load.start <= start && end <= limit
    })
}

/// Where a piece of the file is in memory. ld.so looks there for the program headers when no segment says where they are.
fn in_memory<R>(image: &Image<R>, offset: u64, size: u64) -> Option<Extent> {
    let load = image.loads.iter().find(|load| {
        let end = load.offset + (load.file_end - load.start);
        load.offset <= offset && offset + size <= end
    })?;
    Some(Extent { offset: load.start + (offset - load.offset), size })
}
