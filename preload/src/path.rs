//! A path that is put together: one allocation, freed with it.

use core::ffi::c_char;

/// A path on the heap.
pub struct Path(*mut c_char);

impl Path {
    /// `folder/file`, as the loader would write it; none without memory.
    pub fn join(folder: &[u8], file: &[u8]) -> Option<Self> {
        // SAFETY: as many bytes are written as are asked for.
        unsafe {
            let path = libc::malloc(folder.len() + file.len() + 2).cast::<u8>();
            if path.is_null() {
                return None;
            }
            path.copy_from_nonoverlapping(folder.as_ptr(), folder.len());
            let mut length = folder.len();
            if folder.last() != Some(&b'/') {
                *path.add(length) = b'/';
                length += 1;
            }
            path.add(length).copy_from_nonoverlapping(file.as_ptr(), file.len());
            *path.add(length + file.len()) = 0;
            Some(Self(path.cast()))
        }
    }

    /// A copy of a path; none without memory.
    pub fn copy(path: &[u8]) -> Option<Self> {
        let slash = path.iter().rposition(|byte| *byte == b'/')?;
        Self::join(path.get(..=slash)?, path.get(slash + 1..)?)
    }

    /// As a C string.
    pub fn as_ptr(&self) -> *const c_char {
        self.0
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: from malloc, and ours alone.
        unsafe { libc::free(self.0.cast()) };
    }
}
