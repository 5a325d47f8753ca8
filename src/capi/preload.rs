//! What the shim of `dlcast run` calls (`preload/src/engine.rs`); not in dlcast.h.

use std::cell::RefCell;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::translate::say;
use crate::comm::mpi::world;
use crate::config::ENGINE_VERSION;
use crate::error::complain;
use crate::session::program::{self, Verdict};

thread_local! {
    static MEANT: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// # Safety
/// A C string that lives during the call.
unsafe fn path<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: as this function asks.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()))
}

/// A panic does not cross into the program.
fn guarded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// Of these functions.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_preload_version() -> u32 {
    ENGINE_VERSION
}

/// A library was opened before MPI_Init.
///
/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_preload_early(name: *const c_char, flags: i32) {
    // SAFETY: as this function asks.
    guarded((), || program::early(unsafe { path(name) }, flags));
}

/// MPI is up, on all ranks. 0: serving.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_preload_start(mark: extern "C" fn(i32)) -> i32 {
    guarded(1, || match program::start(mark) {
        Ok(()) => 0,
        Err(error) => {
            complain(&format!("{error}\n  the program runs without dlcast"));
            1
        }
    })
}

/// A dlopen follows: what it needs of the layers is opened first. Returns the file of a layer that a bare name means, or null; it lives
/// until the next call on this thread. `refused` becomes 1 where that cannot be opened, and the dlopen shall fail (dlcast_last_error).
///
/// # Safety
/// `name` is a C string, and `refused` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_preload_first(name: *const c_char, refused: *mut i32) -> *const c_char {
    guarded(std::ptr::null(), || {
        // SAFETY: as this function asks.
        let file = program::first(unsafe { path(name) }).unwrap_or_else(|text| {
            say(&text);
            // SAFETY: as this function asks.
            unsafe { *refused = 1 };
            None
        });
        let file = file.and_then(|file| CString::new(file.into_os_string().into_vec()).ok());
        MEANT.with(|meant| {
            let mut meant = meant.borrow_mut();
            *meant = file;
            meant.as_ref().map_or(std::ptr::null(), |meant| meant.as_ptr())
        })
    })
}

/// A dlopen follows that nobody sees.
///
/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_preload_opening(name: *const c_char, flags: i32) {
    // SAFETY: as this function asks.
    guarded((), || program::opening(unsafe { path(name) }, flags));
}

/// A library was opened. 0: no need to tell again; 1: it is on its way; 2: it failed elsewhere, and shall fail here
/// (dlcast_last_error).
///
/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_preload_opened(name: *const c_char, flags: i32, may_wait: i32) -> i32 {
    // SAFETY: as this function asks.
    guarded(1, || match program::opened(unsafe { path(name) }, flags, may_wait != 0) {
        Verdict::Settled => 0,
        Verdict::OnItsWay => 1,
        Verdict::Refused(text) => {
            say(&text);
            2
        }
    })
}

/// A thread that runs the code of a library for dlcast has called MPI with a communicator. Returns what that call is to return.
///
/// # Safety
/// `call` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_preload_forbidden(call: *const c_char) -> i32 {
    guarded((), || {
        // SAFETY: as this function asks.
        program::forbidden(&unsafe { CStr::from_ptr(call) }.to_string_lossy());
    });
    world::REFUSED
}

/// MPI_Finalize follows.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_preload_stop() {
    guarded((), program::stop);
}
