//! MPI_Init, MPI_Init_thread and MPI_Finalize as Fortran calls them, in the manglings that MPI libraries export.
//!
//! Open MPI's Fortran calls PMPI_Init and passes the C hooks by; MPICH's calls MPI_Init, which is then inside this one.

use core::ffi::{CStr, c_int, c_void};
use core::mem::transmute;
use core::ptr;

use crate::init::{Call, SUCCESS, coming_up, definition, going_down, is_raising, multiple, with_level};

type Init = unsafe extern "C" fn(*mut c_int);
type InitThread = unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int);

macro_rules! mangled {
    ($($init:ident, $init_thread:ident, $finalize:ident;)*) => {$(
        /// # Safety
        /// As MPI_Init.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $init(error: *mut c_int) {
            // SAFETY: promised by the program.
            unsafe { init(name(concat!(stringify!($init), "\0")), name(concat!(stringify!($init_thread), "\0")), error) }
        }

        /// # Safety
        /// As MPI_Init_thread.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $init_thread(required: *mut c_int, provided: *mut c_int, error: *mut c_int) {
            // SAFETY: promised by the program.
            unsafe { init_thread(name(concat!(stringify!($init_thread), "\0")), required, provided, error) }
        }

        /// # Safety
        /// As MPI_Finalize.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $finalize(error: *mut c_int) {
            going_down();
            let next = definition(name(concat!(stringify!($finalize), "\0")));
            // SAFETY: its type, and the program's argument.
            unsafe { transmute::<*mut c_void, Init>(next)(error) }
        }
    )*};
}

mangled! {
    mpi_init, mpi_init_thread, mpi_finalize;
    mpi_init_, mpi_init_thread_, mpi_finalize_;
    mpi_init__, mpi_init_thread__, mpi_finalize__;
    MPI_INIT, MPI_INIT_THREAD, MPI_FINALIZE;
    mpi_init_f08_, mpi_init_thread_f08_, mpi_finalize_f08_;
    mpi_init_f08ts_, mpi_init_thread_f08ts_, mpi_finalize_f08ts_;
}

const fn name(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}

/// `error` may be null: in `mpi_f08` it is optional.
unsafe fn init(init: &CStr, init_thread: &CStr, error: *mut c_int) {
    let mut ours = SUCCESS;
    let error = if error.is_null() { &raw mut ours } else { error };
    coming_up(|| {
        match Call::of(init, init_thread) {
            // SAFETY: its type; what it writes to lives as long as this call.
            Call::Plain(next) => with_level(|| unsafe {
                transmute::<*mut c_void, Init>(next)(error);
                ptr::read(error)
            }),
            Call::Threaded(next) => {
                let (mut required, mut provided) = (multiple(next), 0);
                // SAFETY: as above.
                unsafe {
                    transmute::<*mut c_void, InitThread>(next)(&raw mut required, &raw mut provided, error);
                    ptr::read(error)
                }
            }
        }
    });
}

unsafe fn init_thread(name: &CStr, required: *mut c_int, provided: *mut c_int, error: *mut c_int) {
    let mut ours = SUCCESS;
    let error = if error.is_null() { &raw mut ours } else { error };
    coming_up(|| {
        let next = definition(name);
        let mut raised = multiple(next);
        let required = if is_raising() { &raw mut raised } else { required };
        // SAFETY: its type; what it writes to lives as long as this call.
        unsafe {
            transmute::<*mut c_void, InitThread>(next)(required, provided, error);
            ptr::read(error)
        }
    });
}
