//! The blocks of a file that were read last: a few, however large the file is and however its tables lead about in it.

use std::cell::RefCell;
use std::os::unix::fs::FileExt;

use super::error::ElfError;

/// How many blocks are kept.
const KEPT: u64 = 64;

/// A file, read block by block.
pub struct Blocks<'f> {
    /// The file.
    pub file: &'f dyn FileExt,
    /// The length that it had at first.
    len: u64,
    /// The size of a block.
    pub size: u64,
    /// Each in the place that its number gives it.
    kept: RefCell<Vec<Option<Block>>>,
}

#[derive(Clone)]
struct Block {
    number: u64,
    bytes: Vec<u8>,
}

impl<'f> Blocks<'f> {
    /// The blocks of `size` bytes of a file that has `len`.
    pub fn new(file: &'f dyn FileExt, len: u64, size: u64) -> Blocks<'f> {
        Blocks { file, len, size, kept: RefCell::new(vec![None; KEPT as usize]) }
    }

    /// Fills `into` from the file, past what is kept.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ElfError> {
        let size = into.len() as u64;
        self.file.read_exact_at(into, offset).map_err(|_| ElfError::Unreadable { offset, size })
    }

    /// Fills `into` from the blocks.
    pub fn copy(&self, offset: u64, into: &mut [u8]) -> Result<(), ElfError> {
        let mut kept = self.kept.borrow_mut();
        let (mut at, mut rest) = (offset, into);
        while !rest.is_empty() {
            let number = at / self.size;
            let start = number * self.size;
            let slot = &mut kept[(number % KEPT) as usize];
            if slot.as_ref().is_none_or(|block| block.number != number) {
                let mut bytes = slot.take().map(|block| block.bytes).unwrap_or_default();
                bytes.resize(self.size.min(self.len.saturating_sub(start)) as usize, 0);
                self.read(start, &mut bytes)?;
                *slot = Some(Block { number, bytes });
            }
            let block = slot.as_ref().map(|block| &block.bytes[..]).unwrap_or_default();
            let part = block.get((at - start) as usize..).unwrap_or_default();
            let count = part.len().min(rest.len());
            if count == 0 {
                return Err(ElfError::Unreadable { offset: at, size: rest.len() as u64 });
            }
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&part[..count]);
            rest = later;
            at += count as u64;
        }
        Ok(())
    }
}
