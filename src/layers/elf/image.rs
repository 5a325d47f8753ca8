//! The library as ld.so will map it: addresses, what stands behind them in the file, and reading it piece by piece.
//!
//! It knows segments and bytes. It does not know what the bytes mean.

use std::cell::OnceCell;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use object::elf::{self, ProgramFlags};
use object::pod::{self, Pod};
use object::read::ReadRef;

use super::blocks::Blocks;
use super::error::ElfError;

/// Reads go by whole blocks of the file.
const BLOCK: u64 = 1 << 16;

/// The blocks of a file of which little is read.
const SMALL_BLOCK: u64 = 1 << 12;

/// From here on a table is read past the blocks that are kept.
const LARGE: u64 = 1 << 20;

/// The longest string table that is held in memory.
const MOST_HELD: u64 = 1 << 18;

/// A loaded segment: addresses from `start` to `end`, of which those below `file_end` come from the file.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub start: u64,
    pub file_end: u64,
    pub end: u64,
    /// Where its first byte is in the file.
    pub offset: u64,
    pub flags: ProgramFlags,
}

impl Load {
    fn holds(&self, address: u64, size: u64, end: u64) -> bool {
        self.start <= address && address.checked_add(size).is_some_and(|last| last <= end)
    }
}

/// A piece of the file, or of the memory that it is mapped to.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub offset: u64,
    pub size: u64,
}

impl Extent {
    /// Tells whether the `size` bytes at `offset` have a byte in common with it.
    pub fn overlaps(&self, offset: u64, size: u64) -> bool {
        offset < self.offset.saturating_add(self.size) && self.offset < offset.saturating_add(size)
    }
}

/// The file and its loaded segments.
pub struct Image<'f, R> {
    data: R,
    /// Where it is a file, which is not in memory, what was read of it.
    file: Option<Blocks<'f>>,
    /// From this size on a table is read past the blocks that are kept.
    large: u64,
    /// A piece that is asked for again and again.
    held: OnceCell<(Extent, Vec<u8>)>,
    /// The length of the file.
    pub len: u64,
    /// In ascending order and apart from each other.
    pub loads: Vec<Load>,
    /// Where ld.so's tables are in memory.
    pub tables: Vec<Extent>,
}

impl<'f> Image<'f, &'static [u8]> {
    /// The same for a file of `len` bytes, of which little is held in memory at a time.
    pub fn of_file(file: &'f dyn FileExt, len: u64) -> Self {
        Self::of_blocks(Blocks::new(file, len, BLOCK), len, LARGE)
    }

    /// The same for a file of which only headers and a few names are read.
    pub fn of_names(file: &'f dyn FileExt, len: u64) -> Self {
        Self::of_blocks(Blocks::new(file, len, SMALL_BLOCK), len, SMALL_BLOCK)
    }

    fn of_blocks(blocks: Blocks<'f>, len: u64, large: u64) -> Self {
        let (file, held) = (Some(blocks), OnceCell::new());
        Image { data: &[], file, large, held, len, loads: Vec::new(), tables: Vec::new() }
    }
}

impl<'d, R: ReadRef<'d>> Image<'_, R> {
    /// An image without segments, good for reading the headers.
    pub fn new(data: R) -> Result<Self, ElfError> {
        let len = data.len().map_err(|()| ElfError::Unreadable { offset: 0, size: 0 })?;
        let (file, large, held) = (None, LARGE, OnceCell::new());
        Ok(Image { data, file, large, held, len, loads: Vec::new(), tables: Vec::new() })
    }

    /// Where the `size` bytes at `address` are in the file. None unless all of them come from the file, readable.
    pub fn in_file(&self, address: u64, size: u64) -> Option<Extent> {
        let load = self.load_of_file(address, size)?;
        Some(Extent { offset: load.offset + (address - load.start), size })
    }

    /// Everything from `address` to the end of what its segment has in the file; at least `size` bytes, readable.
    pub fn rest_in_file(&self, address: u64, size: u64) -> Option<Extent> {
        let load = self.load_of_file(address, size)?;
        Some(Extent { offset: load.offset + (address - load.start), size: load.file_end - address })
    }

    fn load_of_file(&self, address: u64, size: u64) -> Option<&Load> {
        self.loads.iter().find(|load| load.flags.contains(elf::PF_R) && load.holds(address, size, load.file_end))
    }

    /// Tells whether the `size` bytes at `address` are mapped with all of `flags`.
    pub fn mapped(&self, address: u64, size: u64, flags: ProgramFlags) -> bool {
        let mut loads = self.loads.iter();
        loads.any(|load| load.flags.contains(flags) && load.holds(address, size, load.end))
    }

    /// Tells whether the `size` bytes at `address` touch one of ld.so's tables.
    pub fn in_tables(&self, address: u64, size: u64) -> bool {
        self.tables.iter().any(|table| table.overlaps(address, size))
    }

    /// The widest range around the bytes at `address` that is mapped with all of `flags` and touches none of `others`, nor ld.so's
    /// tables; none where these bytes are not such.
    pub fn free_around(
        &self,
        address: u64,
        size: u64,
        flags: ProgramFlags,
        others: impl Iterator<Item = Extent>,
    ) -> Option<Range<u64>> {
        let mut loads = self.loads.iter();
        let load = loads.find(|load| load.flags.contains(flags) && load.holds(address, size, load.end))?;
        let mut free = load.start..load.end;
        for extent in others.chain(self.tables.iter().copied()) {
            if extent.overlaps(address, size) {
                return None;
            }
            if extent.offset < address {
                free.start = free.start.max(extent.offset.saturating_add(extent.size));
            } else {
                free.end = free.end.min(extent.offset);
            }
        }
        Some(free)
    }

    /// Tells whether there can be code of the file at `address`. Some linkers put the tables into the segment of the code.
    pub fn is_code(&self, address: u64) -> bool {
        let mut loads = self.loads.iter();
        !self.in_tables(address, 1)
            && loads.any(|load| load.flags.contains(elf::PF_X) && load.holds(address, 1, load.file_end))
    }

    /// Reads a piece in one go, for as long as the image lives, where little is read otherwise.
    pub fn hold(&self, extent: Extent) -> Result<(), ElfError> {
        if self.large == SMALL_BLOCK && extent.size <= MOST_HELD && self.held.get().is_none() {
            let mut bytes = vec![0; extent.size as usize];
            self.read_past(extent.offset, &mut bytes)?;
            // Nobody else can have set it meanwhile.
            let _set = self.held.set((extent, bytes));
        }
        Ok(())
    }

    /// The bytes at `offset`, if they are held.
    fn held(&self, offset: u64, size: u64) -> Option<&[u8]> {
        let (extent, bytes) = self.held.get()?;
        let start = offset.checked_sub(extent.offset)?;
        bytes.get(start as usize..start.checked_add(size)? as usize)
    }

    /// Fills `into` from the file itself, past what is kept of it.
    fn read_past(&self, offset: u64, into: &mut [u8]) -> Result<(), ElfError> {
        match &self.file {
            Some(blocks) => blocks.read(offset, into),
            None => self.copy(offset, into),
        }
    }

    /// Fills `into` from the file.
    pub fn copy(&self, offset: u64, into: &mut [u8]) -> Result<(), ElfError> {
        let size = into.len() as u64;
        if let Some(held) = self.held(offset, size) {
            into.copy_from_slice(held);
            return Ok(());
        }
        match &self.file {
            Some(blocks) => blocks.copy(offset, into),
            None => {
                let bytes = self.data.read_bytes_at(offset, size);
                into.copy_from_slice(bytes.map_err(|()| ElfError::Unreadable { offset, size })?);
                Ok(())
            }
        }
    }

    /// Calls `visit` with one part of `extent` after the other until it answers false. Each begins with the last `overlap` bytes of the
    /// one before it.
    pub fn parts(&self, extent: Extent, overlap: u64, mut visit: impl FnMut(&[u8]) -> bool) -> Result<(), ElfError> {
        let mut bytes = vec![0; extent.size.min(BLOCK) as usize];
        let mut done = 0;
        while done < extent.size {
            let start = done.saturating_sub(overlap);
            let part = &mut bytes[..(extent.size - start).min(BLOCK) as usize];
            let offset = extent.offset + start;
            match self.held(offset, part.len() as u64) {
                Some(held) => part.copy_from_slice(held),
                None => self.read_past(offset, part)?,
            }
            done = start + part.len() as u64;
            if !visit(part) {
                break;
            }
        }
        Ok(())
    }

    /// The record at `offset` of the file.
    pub fn record<T: Pod>(&self, offset: u64) -> Result<T, ElfError> {
        let mut bytes = [0; 64];
        let size = size_of::<T>();
        let unreadable = ElfError::Unreadable { offset, size: size as u64 };
        let Some(bytes) = bytes.get_mut(..size) else {
            return Err(unreadable);
        };
        self.copy(offset, bytes)?;
        // The crate's records have no alignment, so this cannot fail.
        pod::from_bytes(bytes).map(|(record, _)| *record).map_err(|()| unreadable)
    }

    /// Calls `visit` with the index and content of each whole record of `extent`, in order, until it fails or answers false.
    pub fn each<T: Pod>(
        &self,
        extent: Extent,
        mut visit: impl FnMut(u64, &T) -> Result<bool, ElfError>,
    ) -> Result<(), ElfError> {
        let size = size_of::<T>() as u64;
        let large = self.file.as_ref().filter(|_| extent.size >= self.large);
        // Some tables end before the extent does.
        let chunk = large.map_or(BLOCK, |blocks| 4 * blocks.size) / size;
        let count = extent.size / size;
        let mut bytes = vec![0; (chunk.min(count) * size) as usize];
        let mut index = 0;
        while index < count {
            let records = chunk.min(count - index);
            let offset = extent.offset + index * size;
            let bytes = &mut bytes[..(records * size) as usize];
            match self.held(offset, bytes.len() as u64) {
                Some(held) => bytes.copy_from_slice(held),
                None if large.is_some() => self.read_past(offset, bytes)?,
                None => self.copy(offset, bytes)?,
            }
            let records = pod::slice_from_all_bytes::<T>(bytes).map_err(|()| ElfError::Unreadable { offset, size })?;
            for record in records {
                if !visit(index, record)? {
                    return Ok(());
                }
                index += 1;
            }
        }
        Ok(())
    }
}
