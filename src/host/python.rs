//! The interpreter of this process, if there is one: asked to run a line when it comes round to it.
//!
//! Nothing is called in it from outside: a pending call is made by the interpreter, on its main thread, between two
//! instructions (`Py_AddPendingCall`). Its functions are looked up in the process; dlcast is not linked to any Python.

use std::ffi::{CStr, c_char, c_int, c_void};

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
    if run_line(line.cast::<c_char>().cast_const()) != 0 {
        eprintln!("dlcast: --import: the program's Python cannot import the package dlcast: install it there");
        crate::host::python::failed();
    }
    0
}

static FAILED: std::sync::OnceLock<fn()> = std::sync::OnceLock::new();

/// Sets who is told that the line has failed.
pub fn on_failure(hook: fn()) {
    let _once = FAILED.set(hook);
}

fn failed() {
    if let Some(hook) = FAILED.get() {
        hook();
    }
}

/// Has the interpreter run a line of Python on its main thread, soon.
pub fn run_soon(line: &'static CStr) -> bool {
    let Some(function) = find(c"Py_AddPendingCall") else { return false };
    type Pending = extern "C" fn(*mut c_void) -> c_int;
    // SAFETY: the type that Python's documentation gives it; it can be called by any thread.
    let add = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(Pending, *mut c_void) -> c_int>(function) };
    add(run, line.as_ptr().cast_mut().cast()) == 0
}
