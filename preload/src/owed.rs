//! Handles of the shim's own that have to go with the program's.
//!
//! A library that was opened from here and then once more by the caller itself is open once too often. The surplus is closed when the
//! program closes it.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

const SLOTS: usize = 256;

static HANDLES: [AtomicPtr<c_void>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Remembers a surplus handle; false where there is no room.
pub fn owe(handle: *mut c_void) -> bool {
    let free = |slot: &AtomicPtr<c_void>| {
        slot.compare_exchange(ptr::null_mut(), handle, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    // Counted first: what is in the table is never overlooked.
    COUNT.fetch_add(1, Ordering::AcqRel);
    let has_room = HANDLES.iter().any(free);
    if !has_room {
        COUNT.fetch_sub(1, Ordering::AcqRel);
    }
    has_room
}

/// Calls `close` for every surplus of this handle.
#[inline(always)]
pub fn pay(handle: *mut c_void, close: impl Fn()) {
    if COUNT.load(Ordering::Acquire) == 0 || handle.is_null() {
        return;
    }
    for slot in &HANDLES {
        if slot.compare_exchange(handle, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            COUNT.fetch_sub(1, Ordering::AcqRel);
            close();
        }
    }
}
