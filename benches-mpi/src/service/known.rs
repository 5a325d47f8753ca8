//! What a dlopen and dlclose cost of a library that every rank has: as the program calls it, over libc's own.
//!
//! An MPI program that knows nothing of dlcast. Under `dlcast run` its dlopen is the shim's; without, both are the same, and
//! the ratio shows what the measurement itself is worth. `known LABEL NAME...` prints a line for each name.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::time::Instant;

use benches_mpi::statistics::{median, ratios, spread, verdict};
use mpi::traits::*;

const PAIRS: usize = 301;
const BATCH: usize = 400;
const TARGET: f64 = 1.2;

type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
type Close = unsafe extern "C" fn(*mut c_void) -> c_int;

fn main() {
    let mut words = std::env::args().skip(1);
    let label = words.next().expect("a label, then names of libraries");
    let (open, close) = libc_own();
    let universe = mpi::initialize().expect("MPI is started once");
    let rank = universe.world().rank();
    for name in words {
        let path = CString::new(name.clone()).expect("no NUL");
        // It stays open, so that nothing is measured but the calls; and every rank has it from now on.
        // SAFETY: a NUL-terminated name of a library without constructors of its own.
        assert!(!unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) }.is_null(), "{name} cannot be opened");
        universe.world().barrier();
        // The place of the call counts for a bare name.
        batch(libc::dlopen, libc::dlclose, &path);
        let (mut plain, mut own) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            if pair % 2 == 1 {
                plain.push(batch(open, close, &path));
            }
            own.push(batch(libc::dlopen, libc::dlclose, &path));
            if pair % 2 == 0 {
                plain.push(batch(open, close, &path));
            }
        }
        let ratio = ratios(&own, &plain);
        if rank == 0 {
            let kind = if name.contains('/') { "by path" } else { "by name" };
            let kept = verdict(median(&ratio) <= TARGET);
            let (own, plain) = (median(&own), median(&plain));
            println!("{label:18}  {kind:8}  {own:8.0}  {plain:8.0}  {:18} at most {TARGET}: {kept}", spread(&ratio));
        }
        universe.world().barrier();
    }
}

/// Nanoseconds of a call of each.
#[inline(never)]
fn batch(open: Open, close: Close, name: &CStr) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCH {
        // SAFETY: a NUL-terminated name of a library that is open; what is closed was opened here.
        let closed = unsafe {
            let handle = open(name.as_ptr(), libc::RTLD_NOW);
            assert!(!handle.is_null());
            close(handle)
        };
        assert_eq!(closed, 0);
    }
    start.elapsed().as_nanos() as f64 / BATCH as f64
}

/// The functions that nobody stands before.
fn libc_own() -> (Open, Close) {
    // SAFETY: NUL-terminated names; the library is the one that is in every process, and the functions have these types
    // (dlopen(3)).
    unsafe {
        let libc = libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_NOW);
        let [open, close] = [c"dlopen", c"dlclose"].map(|name| libc::dlsym(libc, name.as_ptr()));
        assert!(!open.is_null() && !close.is_null(), "libc has both since glibc 2.34");
        (std::mem::transmute::<*mut c_void, Open>(open), std::mem::transmute::<*mut c_void, Close>(close))
    }
}
