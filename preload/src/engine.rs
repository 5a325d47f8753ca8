//! The engine, `libdlcast.so`, which lies beside the shim: opened once MPI is up, and its functions.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::{MaybeUninit, transmute_copy};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::next;
use crate::objects::Range;
use crate::path::Path;
use crate::say::say;

/// The version of these functions.
const VERSION: u32 = 2;

/// An answer of `opened`: every rank has the library, and nothing needs to be told of it again.
pub const EVERYWHERE: i32 = 0;
/// An answer of `opened`: it failed elsewhere, and shall fail here.
pub const REFUSED: i32 = 2;

/// What the engine offers the shim.
pub struct Engine {
    /// A library was opened before MPI came up.
    pub early: unsafe extern "C" fn(path: *const c_char, flags: i32),
    /// MPI is up, on all ranks. 0: serving.
    pub start: unsafe extern "C" fn(mark: extern "C" fn(i32)) -> i32,
    /// A dlopen follows: what it needs of environment layers is opened; `refused` becomes 1 where that fails. The file that a bare name
    /// means there, until the next call on this thread; or null.
    pub first: unsafe extern "C" fn(name: *const c_char, refused: *mut c_int) -> *const c_char,
    /// A real dlopen follows, unseen.
    pub opening: unsafe extern "C" fn(name: *const c_char, flags: i32),
    /// A library was opened.
    pub opened: unsafe extern "C" fn(path: *const c_char, flags: i32, may_wait: i32) -> i32,
    /// A marked thread called an MPI function with a communicator; what that function is to return.
    pub forbidden: unsafe extern "C" fn(call: *const c_char) -> i32,
    /// MPI goes down.
    pub stop: unsafe extern "C" fn(),
    /// The last error of this thread.
    pub last_error: unsafe extern "C" fn() -> *const c_char,
}

struct Cell(UnsafeCell<MaybeUninit<Engine>>);

// SAFETY: written once, by the one thread that brings the engine up, before READY is stored; read only after it.
unsafe impl Sync for Cell {}

static ENGINE: Cell = Cell(UnsafeCell::new(MaybeUninit::uninit()));
static READY: AtomicBool = AtomicBool::new(false);
static RANGE: Range = Range::nowhere();

/// The engine, once it is open.
#[inline(always)]
pub fn get() -> Option<&'static Engine> {
    // SAFETY: whole since READY was stored, and never written again.
    READY.load(Ordering::Acquire).then(|| unsafe { (*ENGINE.0.get()).assume_init_ref() })
}

/// Whether an address is the engine's code.
#[inline(always)]
pub fn holds(address: *const c_void) -> bool {
    RANGE.holds(address.addr())
}

/// Opens the engine; says why where that fails. Called once.
pub fn open() -> Option<&'static Engine> {
    let own = next::own()?.name();
    // SAFETY: a library of dlcast, opened by its path; a failure leaves an error to be told.
    let handle = unsafe {
        let mut handle = core::ptr::null_mut();
        for file in [c"libdlcast.so.0", c"libdlcast.so"] {
            let path = beside(own, file)?;
            if libc::access(path.as_ptr(), libc::F_OK) == 0 || file == c"libdlcast.so" {
                handle = next::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
                break;
            }
        }
        handle
    };
    if handle.is_null() {
        let error = next::dlerror();
        // SAFETY: a C string or null, until the next call.
        let error = if error.is_null() { c"unknown error" } else { unsafe { CStr::from_ptr(error) } };
        say(&[c"the program runs without dlcast: ", error]);
        return None;
    }
    let function = |name: &CStr| {
        // SAFETY: an open handle and a C string.
        let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
        if found.is_null() {
            say(&[c"the program runs without dlcast: libdlcast.so has no ", name]);
        }
        (!found.is_null()).then_some(found)
    };
    // SAFETY: the types of this version of the engine's functions; the version is looked at first.
    unsafe {
        let version: unsafe extern "C" fn() -> u32 = typed(function(c"dlcast_preload_version")?);
        if version() != VERSION {
            say(&[c"the program runs without dlcast: libdlcast.so and ", own, c" are not of one version"]);
            return None;
        }
        let engine = Engine {
            early: typed(function(c"dlcast_preload_early")?),
            start: typed(function(c"dlcast_preload_start")?),
            first: typed(function(c"dlcast_preload_first")?),
            opening: typed(function(c"dlcast_preload_opening")?),
            opened: typed(function(c"dlcast_preload_opened")?),
            forbidden: typed(function(c"dlcast_preload_forbidden")?),
            stop: typed(function(c"dlcast_preload_stop")?),
            last_error: typed(function(c"dlcast_last_error")?),
        };
        RANGE.set_to_object_of(engine.start as *const c_void);
        (*ENGINE.0.get()).write(engine);
    }
    READY.store(true, Ordering::Release);
    get()
}

/// The function at an address.
///
/// # Safety
/// It has this type.
unsafe fn typed<F: Copy>(function: *mut c_void) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: one address either way; promised by the caller.
    unsafe { transmute_copy(&function) }
}

fn beside(own: &CStr, file: &CStr) -> Option<Path> {
    let own = own.to_bytes();
    let folder = own.iter().rposition(|byte| *byte == b'/').and_then(|slash| own.get(..slash)).unwrap_or(b".");
    Path::join(folder, file.to_bytes())
}

/// The engine's word that a job of its own begins (1) or ends (0) on this thread.
pub extern "C" fn mark(inside: c_int) {
    let marked = &crate::thread::this().marked;
    marked.set(if inside == 0 { marked.get().saturating_sub(1) } else { marked.get() + 1 });
}
