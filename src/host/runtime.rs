//! One dlcast a process: a Rust program that carries the library itself and a `libdlcast.so` that Python opens in it would
//! keep two books about one loader.
//!
//! The mark is an open memory file whose name says whose it is: seen by every copy of this code in the process, whatever
//! the loader hides, gone with the process, not inherited by what it executes. A forked child keeps its parent's.

use std::ffi::CString;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const MARK: &str = "dlcast-runtime:";
/// memfd_create(2) takes names of up to 249 bytes.
const MOST_NAME: usize = 240;

static CLAIM: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Makes this copy the process's only one; `own` is the file that it is in. The error is the file of the one before.
///
/// # Errors
/// Where another copy came first.
pub fn claim(own: Option<PathBuf>) -> Result<(), String> {
    let mut claim = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
    if claim.is_some() {
        return Ok(());
    }
    if let Some(other) = marked() {
        return Err(other);
    }
    let own = own.map_or_else(|| "the program".into(), |path| path.display().to_string());
    // The end of a long path says more than its beginning.
    let start = (0..=own.len()).find(|&at| own.is_char_boundary(at) && own.len() - at <= MOST_NAME - MARK.len());
    let name = CString::new(format!("{MARK}{}", &own[start.unwrap_or(own.len())..])).unwrap_or_default();
    // SAFETY: the name is a C string; the call has no other demands.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd >= 0 {
        // SAFETY: the descriptor was just made, and nobody else has it.
        *claim = Some(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    // Where the system has no memory files, two copies go unnoticed; that is no reason to refuse the one.
    Ok(())
}

/// What an open mark of this process says.
fn marked() -> Option<String> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    files.flatten().find_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        let name = Path::new(&target).to_str()?.strip_prefix("/memfd:")?.strip_prefix(MARK)?;
        Some(name.trim_end_matches(" (deleted)").to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_claim_is_seen_by_others_and_kept() {
        assert_eq!(claim(Some(PathBuf::from("/opt/app"))), Ok(()));
        assert_eq!(claim(Some(PathBuf::from("/opt/app"))), Ok(()), "the same copy may ask again");
        assert_eq!(marked(), Some("/opt/app".into()));
    }
}
