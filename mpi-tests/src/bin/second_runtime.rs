//! A program that carries dlcast opens `libdlcast.so`, as an embedded Python would: the second one refuses, naming the first.

use std::ffi::{CStr, c_char};

use mpi_tests::{Job, NOW, text};

type Attach = unsafe extern "C" fn(i32, i32, f64, *mut i64) -> i32;
type LastError = unsafe extern "C" fn() -> *const c_char;

fn main() {
    let job = Job::start();
    let session = job.attach();
    let program = std::env::current_exe().expect("this program has a file");
    let path = program.with_file_name("libdlcast.so");
    let second = session.load_global(text(&path), NOW).expect("every rank can open it");
    let mut handle = 0;
    // SAFETY: these are the functions of include/dlcast.h with their types.
    let (status, said) = unsafe {
        let attach = second.get::<Attach>("dlcast_attach").expect("it is exported");
        let last_error = second.get::<LastError>("dlcast_last_error").expect("it is exported");
        let status = attach(i32::MIN, 0, 5.0, &mut handle);
        (status, CStr::from_ptr(last_error()).to_string_lossy().into_owned())
    };
    assert_eq!((status, handle), (4, 0), "refused: {said}");
    assert!(said.contains("a dlcast already") && said.contains("second_runtime"), "{said}");
    session.sync().expect("the first goes on");
    job.done();
}
