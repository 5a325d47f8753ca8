//! Program code registers callbacks: each runs once in every process for its function, tag and payload, whoever asks and
//! however often; a rank that has not the library loads it first; what a callback asks for is done when the call returns.

use std::ffi::{c_char, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use dlcast::{CallError, CodeRef, Session};
use mpi_tests::{Fixture, Job, NOW, assert_registered_once, process, text};

static RUNS: AtomicU32 = AtomicU32::new(0);
static SESSION: OnceLock<Session> = OnceLock::new();

/// Of the main program: asks for a library in turn, and is refused to wait.
unsafe extern "C" fn asks(payload: *const c_void, length: usize, _: u64, _: *mut c_char, _: usize) -> i32 {
    RUNS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: dlcast lends `length` bytes.
    let payload = unsafe { std::slice::from_raw_parts(payload.cast::<u8>(), length) };
    let path = std::str::from_utf8(payload).expect("the program gave a path");
    let session = SESSION.get().expect("the program has attached");
    let nested = session.load_global(path, NOW);
    i32::from(!matches!(nested, Err(CallError::Nested)))
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let _ = SESSION.set(session.clone());
    let code = job.build(&Fixture::new("code.cpp", "code"));
    let apple = job.build(&Fixture::plugin("apple"));

    // One rank alone has the library and registers twice; the same trampoline with other tags and payloads is another.
    let trampoline = CodeRef::symbol(text(&code), "code_trampoline", "").expect("it is there");
    if job.rank == job.last() {
        for (payload, tag) in [(b"a", 1), (b"a", 1), (b"a", 2), (b"b", 1)] {
            session.record_callback(&trampoline, payload, tag).expect("recording is local");
        }
    }
    let report = session.sync().expect("the ranks meet");
    assert!(report.undone.is_empty(), "{:?}", report.undone);
    assert_eq!(report.committed.iter().filter(|committed| committed.kind == "callback").count(), 3);
    // Again, by all, and by another way to the same function.
    session.register_global(&trampoline, b"a", 1).expect("it has run");
    let library = session.load_global(text(&code), NOW).expect("it is loaded");
    // SAFETY: the fixture has it; only its address is taken.
    let address = unsafe { *library.get::<*const c_void>("code_trampoline").expect("it is exported") };
    let by_address = CodeRef::of(address, "").expect("it is in a file");
    session.register_global(&by_address, b"a", 2).expect("it has run");
    for name in ["code", "code_a_1", "code_a_2", "code_b_1"] {
        assert_eq!(process::constructed(name), 1, "{name}");
    }

    // A callback of the main program that asks for a plugin: registered when the call returns.
    let asks = CodeRef::of(asks as *const c_void, "").expect("it is in a file");
    session.register_global(&asks, text(&apple).as_bytes(), 0).expect("every rank can");
    assert_eq!(RUNS.load(Ordering::Relaxed), 1);
    assert_registered_once(&session, &["apple"]);

    // One that asks for what is not there fails with it, on every rank alike.
    let error = session.register_global(&asks, b"/nowhere/libnone.so", 0).expect_err("there is no such library");
    let CallError::Undone(undone) = &error else { panic!("{error}") };
    assert!(undone.to_string().contains("it asks for `/nowhere/libnone.so`"), "{undone}");
    job.assert_same("the verdict", &undone.to_string());
    // It does not run again, but it still wants what it asked for.
    let runs = RUNS.load(Ordering::Relaxed);
    let error = session.register_global(&asks, b"/nowhere/libnone.so", 0).expect_err("it is still not there");
    assert!(error.to_string().contains("it asks for `/nowhere/libnone.so`"), "{error}");
    assert_eq!(RUNS.load(Ordering::Relaxed), runs);
    job.done();
}
