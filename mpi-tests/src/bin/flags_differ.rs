//! Where ranks want one library with different flags, RTLD_GLOBAL and RTLD_NOW win on all of them.

use dlcast::{CallError, OpenFlags};
use mpi_tests::{Fixture, Job, process, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let apple = job.library("apple");
    if job.rank == 0 {
        session.record_library(text(&apple), OpenFlags::LAZY).expect("recording is local");
    }
    if job.rank == job.last() {
        session.record_library(text(&apple), OpenFlags::NOW | OpenFlags::GLOBAL).expect("recording is local");
    }
    session.sync().expect("every rank can open it");
    assert!(process::is_visible("apple_answer"), "GLOBAL wins");

    // RTLD_LAZY opens this library, RTLD_NOW does not.
    let lazy = job.build(&Fixture::new("undefined.c", "lazy"));
    if job.rank == 0 {
        session.record_library(text(&lazy), OpenFlags::LAZY).expect("recording is local");
    }
    let result = if job.rank == job.last() {
        session.load_global(text(&lazy), OpenFlags::NOW).map(|_| ())
    } else {
        session.load_global(text(&lazy), OpenFlags::LAZY).map(|_| ())
    };
    let error = result.expect_err("NOW wins");
    assert!(
        matches!(&error, CallError::Undone(undone) if undone.to_string().contains("nowhere_to_be_found")),
        "{error}"
    );
    job.assert_untouched("lazy");
    session.load_global(text(&lazy), OpenFlags::LAZY).expect("nobody wants NOW any more");
    assert_eq!(process::constructed("lazy"), 1);
    job.done();
}
