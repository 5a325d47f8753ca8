//! The notes of a library, of which ld.so reads the properties and dlcast the build id. Other notes are only stepped over.

use object::NativeEndian as NE;
use object::elf::{self, FileHeader64};
use object::read::ReadRef;
use object::read::elf::NoteIterator;

use super::error::ElfError;
use super::image::{Extent, Image};

/// More bytes of notes than a library has; each segment of them is read in one piece.
const MOST: u64 = 1 << 20;

/// The build id, if there is one. Every note must be whole, since ld.so goes by the sizes that they give.
pub fn build_id<'d, R: ReadRef<'d>>(image: &Image<R>, notes: &[(Extent, u64)]) -> Result<Option<Vec<u8>>, ElfError> {
    let damaged = ElfError::Header { why: "a note that is not whole" };
    let size = notes.iter().fold(0, |size: u64, (extent, _)| size.saturating_add(extent.size));
    if size > MOST {
        return Err(ElfError::Header { why: "more notes than a library has" });
    }
    let mut build_id = None;
    for (extent, align) in notes {
        let mut bytes = vec![0; extent.size as usize];
        image.copy(extent.offset, &mut bytes)?;
        let Ok(mut notes) = NoteIterator::<FileHeader64<NE>>::new(NE, *align, &bytes) else {
            return Err(damaged);
        };
        while let Some(note) = notes.next().map_err(|_| damaged.clone())? {
            if note.name() == elf::ELF_NOTE_GNU && note.n_type(NE) == elf::NT_GNU_BUILD_ID {
                build_id.get_or_insert_with(|| note.desc().to_vec());
            }
        }
    }
    Ok(build_id)
}
