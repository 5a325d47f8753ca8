//! A constructor that calls dlcast is told so instead of waiting; what it asked for comes with the next pass.

use std::sync::OnceLock;

use dlcast::{CallError, Session};
use mpi_tests::{Fixture, Job, NOW, process, text};

static INSIDE: OnceLock<(Session, String)> = OnceLock::new();

extern "C" fn call_from_constructor() {
    let (session, pear) = INSIDE.get().expect("set before the library is opened");
    let error = session.load_global(pear, NOW).expect_err("nothing may wait inside a constructor");
    assert!(matches!(error, CallError::Nested), "{error}");
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let pear = job.library("pear");
    let calling = job.build(&Fixture::new("calling.c", "calling"));
    INSIDE.get_or_init(|| (session.clone(), text(&pear).to_owned()));
    // SAFETY: no other thread reads the environment.
    unsafe { std::env::set_var("DLCAST_FIXTURE_CALL", (call_from_constructor as *const () as usize).to_string()) };
    if job.rank == 0 {
        session.load_global(text(&calling), NOW).expect("every rank can open it");
    } else {
        let report = session.sync().expect("every rank can open it");
        assert_eq!(report.committed.len(), 2, "{:?}", report.committed);
    }
    // When the call returns, nothing is left: also what constructors asked for is on every rank.
    assert_eq!((process::constructed("calling"), process::constructed("pear")), (1, 1));
    assert!(session.sync().expect("nothing to do").committed.is_empty());
    job.done();
}
