//! The interpreter of this process, if there is one: asked to run a line when it comes round to it.
//!
//! Nothing is called in it from outside: a pending call is made by the interpreter, on its main thread, between two
//! instructions (`Py_AddPendingCall`). Its functions are looked up in the process; dlcast is not linked to any Python.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

/// A function of the process under this name.
fn find(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a C string; the default handle is the whole process.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Whether an interpreter runs in this process.
pub fn is_up() -> bool {
    let Some(function) = find(c"Py_IsInitialized") else { return false };
    // SAFETY: the type that Python's documentation gives it; it can be called at any time.
    let is_initialized = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> c_int>(function) };
    is_initialized() != 0
}

extern "C" fn run(line: *mut c_void) -> c_int {
    let Some(function) = find(c"PyRun_SimpleString") else { return 0 };
    // SAFETY: the type that Python's documentation gives it; the interpreter calls this, on its own thread and with its lock.
    let run_line = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*const c_char) -> c_int>(function) };
    let went_well = run_line(line.cast::<c_char>().cast_const()) == 0;
    if let Some(done) = DONE.get() {
        done(went_well);
    }
    0
}

static DONE: OnceLock<fn(bool)> = OnceLock::new();

/// Has the interpreter run a line of Python on its main thread, soon; `done` is told whether it went well. Once in a process.
/// False: it will not run. The line binds no names: it runs as a part of the program.
pub fn run_soon(line: &'static CStr, done: fn(bool)) -> bool {
    if DONE.set(done).is_err() {
        return false;
    }
    let Some(function) = find(c"Py_AddPendingCall") else { return false };
    type Pending = extern "C" fn(*mut c_void) -> c_int;
    // SAFETY: the type that Python's documentation gives it; it can be called by any thread.
    let add = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(Pending, *mut c_void) -> c_int>(function) };
    add(run, line.as_ptr().cast_mut().cast()) == 0
}
