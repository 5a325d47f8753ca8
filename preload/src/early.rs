//! What the program opened before MPI came up: names and flags, in a table of fixed size.
//!
//! It allocates nothing and takes no lock. What does not fit is left out: the engine finds the library in the link maps, and takes
//! it for one that was opened RTLD_LOCAL.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize, Ordering};

use crate::engine::Engine;
use crate::next;
use crate::objects::LinkMap;

const ENTRIES: usize = 1024;
const BYTES: usize = 1 << 17;

/// Where a name begins, plus one: zero is an entry that is not written yet.
static STARTS: [AtomicUsize; ENTRIES] = [const { AtomicUsize::new(0) }; ENTRIES];
static FLAGS: [AtomicI32; ENTRIES] = [const { AtomicI32::new(0) }; ENTRIES];
static NAMES: [AtomicU8; BYTES] = [const { AtomicU8::new(0) }; BYTES];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);

/// Remembers a call.
///
/// # Safety
/// `name` is a C string.
pub unsafe fn note(name: *const c_char, flags: c_int) {
    // SAFETY: promised by the caller.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    // Failed reservations must not run round.
    if USED.load(Ordering::Relaxed) >= BYTES || COUNT.load(Ordering::Relaxed) >= ENTRIES {
        return;
    }
    let start = USED.fetch_add(name.len(), Ordering::Relaxed);
    let Some(room) = NAMES.get(start..start.saturating_add(name.len())) else {
        return;
    };
    let Some((entry, entry_flags)) =
        Some(COUNT.fetch_add(1, Ordering::Relaxed)).and_then(|at| STARTS.get(at).zip(FLAGS.get(at)))
    else {
        return;
    };
    for (to, from) in room.iter().zip(name) {
        to.store(*from, Ordering::Relaxed);
    }
    entry_flags.store(flags, Ordering::Relaxed);
    entry.store(start + 1, Ordering::Release);
}

/// Tells the engine of those that are still open.
pub fn tell(engine: &Engine) {
    for (entry, flags) in STARTS.iter().zip(&FLAGS).take(COUNT.load(Ordering::Acquire)) {
        let Some(room) = entry.load(Ordering::Acquire).checked_sub(1).and_then(|start| NAMES.get(start..)) else {
            continue;
        };
        // SAFETY: the name is whole, with its nul; the handle is closed last. Nothing is opened that is not there.
        unsafe {
            let handle = next::dlopen(room.as_ptr().cast(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            if handle.is_null() {
                continue;
            }
            if let Some(map) = LinkMap::behind(handle).filter(|map| !map.name().is_empty()) {
                (engine.early)(map.name().as_ptr(), flags.load(Ordering::Relaxed));
            }
            next::dlclose(handle);
        }
    }
    next::dlerror();
}
