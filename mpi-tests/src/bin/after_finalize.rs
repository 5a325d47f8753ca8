//! After MPI_Finalize a session says that it is over, and what it loaded still works.

use dlcast::{CallError, Options, Session};
use mpi_tests::{Job, NOW, assert_answers, text};

fn main() {
    let mut job = Job::start();
    let apple = job.library("apple");
    let session = job.attach();
    let library = session.load_global(text(&apple), NOW).expect("every rank can open it");
    job.finalize();
    for error in [
        session.sync().map(|_| ()).expect_err("MPI is over"),
        session.load_global(text(&apple), NOW).map(|_| ()).expect_err("MPI is over"),
        session.record_library(text(&apple), NOW).expect_err("MPI is over"),
    ] {
        assert!(matches!(error, CallError::Ended(_)) && error.to_string().contains("finalised"), "{error}");
    }
    let error = Session::attach(&job.world, Options::default()).map(|_| ()).expect_err("MPI is over");
    assert!(error.to_string().contains("finalised"), "{error}");
    assert_answers(&library, "apple");
    job.done();
}
