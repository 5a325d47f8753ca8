//! The classical deadlock: every rank is in the constructor of another library, and each wants its own on every rank. Nobody waits
//! there, and the next call has them all everywhere.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::sync::OnceLock;

use dlcast::{CallError, Session};
use mpi_tests::{Fixture, Job, NOW, process, text};

/// The session, and the library of this rank.
static INSIDE: OnceLock<(Session, String)> = OnceLock::new();

extern "C" fn call_from_constructor() {
    let (session, own) = INSIDE.get().expect("set before a library is opened");
    let error = session.load_global(own, NOW).map(|_library| ()).expect_err("nothing may wait inside a constructor");
    assert!(matches!(error, CallError::Nested), "{error}");
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let names: Vec<String> = (0..job.size).map(|rank| format!("calling{rank}")).collect();
    let libraries: Vec<_> = names.iter().map(|name| job.build(&Fixture::new("calling.c", name))).collect();
    let own = text(&libraries[job.rank as usize]);
    INSIDE.get_or_init(|| (session.clone(), own.to_owned()));
    // SAFETY: no other thread reads the environment.
    unsafe { std::env::set_var("DLCAST_FIXTURE_CALL", (call_from_constructor as *const () as usize).to_string()) };
    let name = CString::new(own).expect("no NUL");
    // SAFETY: the fixture's constructor calls the function above.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null());
    let report = session.sync().expect("the ranks meet");
    // Once for the rank that asked, and again for the constructors of the others.
    let committed: BTreeSet<&str> = report.committed.iter().map(|committed| committed.name.as_str()).collect();
    assert_eq!(committed, libraries.iter().map(|path| text(path)).collect());
    assert!(report.undone.is_empty(), "{report:?}");
    for name in &names {
        assert_eq!(process::constructed(name), 1, "{name}");
    }
    job.done();
}
