//! Where this thread is: inside ld.so, which runs a constructor or a destructor, or inside a Python `import`; whoever began it.
//!
//! It compares the return addresses of the calling thread with the text of ld.so, and with the function of CPython through which
//! every `import` statement goes. It names no address (`backtrace_symbols` takes the loader's lock, which a constructor holds), and
//! does not know whether anybody waits. It sees this thread only.
//!
//! # What is no false alarm (each has a test)
//! A lazily bound function: the trampoline of ld.so jumps on, and leaves no frame. `main`: ld.so jumps to the program's entry as well.
//! A callback of `dl_iterate_phdr`, and a constructor of the program itself (since glibc 2.34): they are libc's. Under an auditor that
//! watches returns (`la_pltexit`) a lazily bound call is ld.so's, however, and what comes below it counts as inside.
//!
//! # What it does not see
//! A thread that a constructor joins; the resolver of an indirect function (IFUNC) that runs at dlopen, since the unwinder does not know
//! the library yet; anything above a frame without unwind information, such as generated code; and, but for x86_64, an import by a
//! Python whose compiler has split that function in two.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::maps;

/// The function of CPython that an `import` statement and `__import__` call. `importlib.import_module` does not, where it is called
/// by Python code: the Python package sees that one by itself.
const IMPORT: &std::ffi::CStr = c"PyImport_ImportModuleLevelObject";

/// ld.so's text; None where there is no ld.so of glibc's manner.
static LOADER: OnceLock<Option<Range<usize>>> = OnceLock::new();
/// Where [`IMPORT`] begins; 0 as long as there was no Python.
static PYTHON: AtomicUsize = AtomicUsize::new(0);
/// And its rare part, if it has one elsewhere.
static PYTHON_COLD: AtomicUsize = AtomicUsize::new(0);

/// What a thread is inside of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// ld.so: opening, closing or initialising a library, by way of which a constructor or destructor runs.
    pub loader: bool,
    /// The `import` of a Python module.
    pub import: bool,
}

impl Inside {
    /// Whether it is inside anything.
    pub fn anything(self) -> bool {
        self.loader || self.import
    }
}

/// Learns the addresses that [`inside`] compares with; again, because Python may have come since. It may wait for the loader's lock,
/// and is not for where that must not be.
pub fn learn() {
    loader();
    if PYTHON.load(Ordering::Relaxed) == 0 {
        // SAFETY: a look-up by a C string, which runs no code but IFUNC resolvers.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, IMPORT.as_ptr()) };
        PYTHON_COLD.store(cold_part(found.addr()), Ordering::Relaxed);
        PYTHON.store(found.addr(), Ordering::Relaxed);
    }
}

/// Where the part of a function begins that the compiler took for rare and put elsewhere, 0 if there is none that can be found. In
/// Debian's Python an import goes through that part: profiles have told the compiler that imports are rare.
///
/// Only its own code jumps into the middle of a function, or to its beginning under a condition: the first such jump leads there.
fn cold_part(function: usize) -> usize {
    // What a compiler makes of one function of C is not longer.
    const LONGEST: usize = 1 << 14;
    let relative = |next: usize, by| next.wrapping_add_signed(i32::from_le_bytes(by) as isize);
    // Only x86_64 is read here; elsewhere the function is known by its beginning alone.
    if function == 0 || cfg!(not(target_arch = "x86_64")) {
        return 0;
    }
    for at in function..function + LONGEST {
        if enclosing(at + 5) != function {
            break;
        }
        // SAFETY: the unwinder knows the function to go on to here, and a process may read its code.
        let code = unsafe { std::ptr::with_exposed_provenance::<[u8; 6]>(at).read() };
        let (target, conditional) = match code {
            // jcc rel32, jmp rel32
            [0x0f, 0x80..=0x8f, a, b, c, d] => (relative(at + 6, [a, b, c, d]), true),
            [0xe9, a, b, c, d, _] => (relative(at + 5, [a, b, c, d]), false),
            _ => continue,
        };
        let there = enclosing(target);
        if there != 0 && there != function && (conditional || there != target) {
            return there;
        }
    }
    0
}

/// Where the function, or the part of one, begins that has this address; 0 for none.
fn enclosing(address: usize) -> usize {
    // SAFETY: a look-up in the unwinder's tables; the address is not followed. It is one more because the unwinder looks for the
    // instruction before a return address.
    unsafe { _Unwind_FindEnclosingFunction(address.wrapping_add(1)) }
}

/// What the calling thread is inside of. Takes no lock that a constructor could hold, and allocates nothing: it walks the stack, some 0.3 microseconds a frame.
#[must_use]
pub fn inside() -> Inside {
    let python = [PYTHON.load(Ordering::Relaxed), PYTHON_COLD.load(Ordering::Relaxed)];
    walk(loader(), python)
}

fn walk(loader: Option<&Range<usize>>, python: [usize; 2]) -> Inside {
    let mut walk = Walk { loader, python, found: Inside::default() };
    // SAFETY: `step` matches the pointer to `walk`, which outlives the call; the unwinder only reads.
    unsafe { _Unwind_Backtrace(step, (&raw mut walk).cast()) };
    walk.found
}

/// Since it only looks through the list of objects (`dl_iterate_phdr`), this does not wait for another thread's constructor.
fn loader() -> Option<&'static Range<usize>> {
    // The C library is part of musl's loader: there every frame would be ld.so's.
    let find = || maps::loader_text().filter(|text| !text.contains(&(libc::getpid as *const () as usize)));
    LOADER.get_or_init(find).as_ref()
}

struct Walk<'a> {
    loader: Option<&'a Range<usize>>,
    /// The parts of [`IMPORT`]; 0 for none.
    python: [usize; 2],
    found: Inside,
}

/// `_URC_NO_REASON`: go on.
const ON: c_int = 0;
/// `_URC_END_OF_STACK`: any other answer ends the walk.
const ENOUGH: c_int = 5;

// The unwinder that the standard library itself uses (Itanium C++ ABI).
// SAFETY: as `<unwind.h>` declares them.
unsafe extern "C" {
    fn _Unwind_Backtrace(step: extern "C" fn(*mut c_void, *mut c_void) -> c_int, walk: *mut c_void) -> c_int;
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
    fn _Unwind_GetRegionStart(frame: *mut c_void) -> usize;
    fn _Unwind_FindEnclosingFunction(address: usize) -> usize;
}

extern "C" fn step(frame: *mut c_void, walk: *mut c_void) -> c_int {
    // SAFETY: `inside` hands over its own record, and nobody else uses it meanwhile.
    let walk = unsafe { &mut *walk.cast::<Walk<'_>>() };
    // SAFETY: the unwinder lends a frame for the length of this call.
    let (address, function) = unsafe { (_Unwind_GetIP(frame), _Unwind_GetRegionStart(frame)) };
    walk.found.loader |= walk.loader.is_some_and(|text| text.contains(&address));
    walk.found.import |= function != 0 && walk.python.contains(&function);
    if walk.found.anything() { ENOUGH } else { ON }
}

#[cfg(test)]
mod tests;
