//! Whether this thread may wait for other ranks: not inside a constructor, not inside an import, not inside MPI, not as the engine.
//!
//! The thread's own words tell of constructors that the shim or the engine brought about. For all others the stack is looked at, on
//! a path that is about to wait anyway. A constructor that waits for another thread's dlopen is not seen.

use core::ffi::{CStr, c_int, c_void};
use core::ptr;

use crate::objects::{self, Range};
use crate::{engine, next, thread};

/// Frames beyond these are not looked at.
const FRAMES: u32 = 4096;

static LOADER: Range = Range::nowhere();
static MPI: Range = Range::nowhere();
static IMPORT: Range = Range::nowhere();

/// Finds out where the loader and MPI lie. Once, when MPI is up.
pub fn prepare() {
    LOADER.set_to_object_of(ptr::without_provenance(objects::loader_base()));
    let mpi = next::definition(c"PMPI_Init_thread", ptr::null());
    if !mpi.is_null() {
        MPI.set_to_object_of(mpi);
    }
}

/// Whether nothing that other threads need is held by this one.
pub fn is_allowed() -> bool {
    let thread = thread::this();
    if thread.opening.get() != 0 || thread.marked.get() != 0 || thread.starting.get() != 0 {
        return false;
    }
    if IMPORT.is_empty() {
        find_import();
    }
    let mut walk = Walk { frames: 0, is_free: true };
    // SAFETY: the callback is called during this call, with what it is given here.
    unsafe { _Unwind_Backtrace(step, (&raw mut walk).cast()) };
    walk.is_free
}

/// An interpreter may come with any dlopen; it is asked for until there is one.
fn find_import() {
    const NAME: &CStr = c"PyImport_ImportModuleLevelObject";
    const RTLD_DL_SYMENT: c_int = 1;
    // SAFETY: a symbol and its entry, both written where the answer is not 0.
    unsafe {
        let function = libc::dlsym(libc::RTLD_DEFAULT, NAME.as_ptr());
        let mut info: libc::Dl_info = core::mem::zeroed();
        let mut symbol: *mut c_void = ptr::null_mut();
        if !function.is_null()
            && libc::dladdr1(function, &raw mut info, &raw mut symbol, RTLD_DL_SYMENT) != 0
            && let Some(symbol) = symbol.cast::<libc::Elf64_Sym>().as_ref()
        {
            IMPORT.set(function.addr(), function.addr() + symbol.st_size as usize);
        }
    }
}

struct Walk {
    frames: u32,
    is_free: bool,
}

/// `_URC_NO_REASON` goes on, `_URC_NORMAL_STOP` does not.
unsafe extern "C" fn step(context: *mut c_void, walk: *mut c_void) -> c_int {
    // SAFETY: the unwinder's context, and the value of `is_allowed`.
    let (address, walk) = unsafe { (_Unwind_GetIP(context), &mut *walk.cast::<Walk>()) };
    walk.frames += 1;
    walk.is_free = !LOADER.holds(address)
        && !MPI.holds(address)
        && !IMPORT.holds(address)
        && !engine::holds(ptr::without_provenance(address));
    if walk.is_free && walk.frames < FRAMES { 0 } else { 4 }
}

// SAFETY: as `<unwind.h>` declares them; linked from GCC's own archive (see build.rs).
unsafe extern "C" {
    fn _Unwind_Backtrace(step: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int, data: *mut c_void) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}
