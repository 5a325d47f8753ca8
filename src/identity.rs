//! What makes two libraries the same: name, size, build id and BLAKE3 digest; never a path, never a position.
//!
//! Values only: `host/identify.rs` reads files and fills these in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of a shared library. Equal copies under two paths are one library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// SONAME, else the name of the real file (symbolic links followed).
    pub name: String,
    /// Bytes of the file.
    pub size: u64,
    /// `NT_GNU_BUILD_ID`, where the file has one.
    pub build_id: Option<Vec<u8>>,
    /// BLAKE3 of the whole file: one patched byte makes another library.
    pub digest: [u8; 32],
}

/// `libx.so.1 (16384 bytes, build id 1a2b3c4d5e6f, blake3 9f8e7d6c5b4a3f2e)`; hashes are shortened.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes, ", self.name, self.size)?;
        match &self.build_id {
            Some(id) => write!(f, "build id {}, ", hex(id, 6))?,
            None => f.write_str("no build id, ")?,
        }
        write!(f, "blake3 {})", hex(&self.digest, 8))
    }
}

/// The first `most` bytes in hexadecimal.
pub fn hex(bytes: &[u8], most: usize) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('?');
    bytes.iter().take(most).flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
