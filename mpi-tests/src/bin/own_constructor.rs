//! A constructor that the program's own dlopen runs is no place to wait in: what it asks for is recorded, its library is open on
//! this rank at once, and the next call brings it to all. The other ranks call nothing meanwhile.

use std::ffi::{CStr, CString, c_void};
use std::sync::OnceLock;

use dlcast::capi::collective::{dlcast_attach, dlcast_last_error, dlcast_load_global, dlcast_sync};
use dlcast::capi::types::{DLCAST_COMM_WORLD, DLCAST_DEFAULT_MODE, DLCAST_NESTED, DLCAST_OK};
use dlcast::{CallError, CodeRef, Options, Session, UserComm};
use mpi::traits::*;
use mpi_tests::{Fixture, Job, NOW, assert_answers, process, text};

/// The session, a library, and a communicator without a session.
static INSIDE: OnceLock<(Session, String, i32)> = OnceLock::new();

extern "C" fn call_from_constructor() {
    let (session, pear, other) = INSIDE.get().expect("set before the library is opened");
    let error = session.load_global(pear, NOW).expect_err("nothing may wait inside a constructor");
    assert!(matches!(error, CallError::Nested), "{error}");
    assert_eq!(process::constructed("pear"), 1, "it is open on this rank");
    let here = session.open_here(pear, NOW).expect("it is open");
    // SAFETY: the type of the fixture's function.
    let answer = unsafe { *here.get::<extern "C" fn() -> i32>("pear_answer").expect("it exports it") };
    assert_eq!(answer(), 42);
    for error in [
        session.sync().map(|_report| ()).expect_err("it would wait"),
        session.unload_global("/nowhere/libplugin.so").expect_err("it would wait"),
        session.load_global("/nowhere/libnone.so", NOW).map(|_library| ()).expect_err("it would wait"),
    ] {
        assert!(matches!(error, CallError::Nested), "{error}");
    }
    in_c(pear);
    // A session that is there is found, a new one is not made.
    Session::world(Options::default()).expect("WORLD has one");
    let error =
        Session::attach(UserComm::from_fortran(*other), Options::default()).map(|_| ()).expect_err("it would wait");
    assert!(error.to_string().contains("attach would wait"), "{error}");
    let error = CodeRef::of(call_from_constructor as *const c_void, "").expect_err("files cannot be looked at");
    assert!(error.to_string().contains("a constructor cannot"), "{error}");
}

/// As a C caller sees it: the status says that it is recorded, and the handle is good.
fn in_c(pear: &str) {
    let (mut session, mut library) = (0, std::ptr::null_mut());
    let pear = CString::new(pear).expect("no NUL");
    // SAFETY: pointers to locals, and C strings.
    unsafe {
        assert_eq!(dlcast_attach(DLCAST_COMM_WORLD, DLCAST_DEFAULT_MODE, -1.0, &raw mut session), DLCAST_OK);
        assert_eq!(dlcast_load_global(session, pear.as_ptr(), 0, -1.0, &raw mut library), DLCAST_NESTED);
        assert!(!libc::dlsym(library, c"pear_answer".as_ptr()).is_null());
        // The caller's own handle: the library stays.
        assert_eq!(libc::dlclose(library), 0);
        assert_eq!(
            dlcast_load_global(session, c"/nowhere/libnone.so".as_ptr(), 0, -1.0, &raw mut library),
            DLCAST_NESTED
        );
        assert!(library.is_null());
        let error = CStr::from_ptr(dlcast_last_error()).to_string_lossy();
        assert!(
            error.contains("recorded for the next round") && error.contains("cannot open shared object"),
            "{error}"
        );
        assert_eq!(dlcast_sync(session, -1.0), DLCAST_NESTED);
    }
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let pear = job.library("pear");
    let calling = job.build(&Fixture::new("calling.c", "calling"));
    let kept = job.world.duplicate();
    // SAFETY: the communicator is valid.
    let other = unsafe { mpi::ffi::MPI_Comm_c2f(kept.as_raw()) };
    INSIDE.get_or_init(|| (session.clone(), text(&pear).to_owned(), other));
    // SAFETY: no other thread reads the environment.
    unsafe { std::env::set_var("DLCAST_FIXTURE_CALL", (call_from_constructor as *const () as usize).to_string()) };
    if job.rank == job.last() {
        let name = CString::new(text(&calling)).expect("no NUL");
        // SAFETY: the fixture's constructor calls the function above.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        assert_eq!(process::constructed("calling"), 1);
    }
    let report = session.sync().expect("the ranks meet");
    let names: Vec<&str> = report.committed.iter().map(|committed| committed.name.as_str()).collect();
    assert_eq!(names, [text(&pear)]);
    assert_eq!(report.undone.len(), 2, "what is nowhere: {:?}", report.undone);
    assert_eq!(process::constructed("pear"), 1);
    assert_answers(&session.load_global(text(&pear), NOW).expect("every rank has it"), "pear");
    drop(kept);
    job.done();
}
