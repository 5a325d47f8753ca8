//! A bad request of one rank does not undo the good one of another in the same round.

use dlcast::CallError;
use mpi_tests::{Job, NOW, assert_answers, process, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let good = job.library("good");
    let pear = job.library("pear");
    let bad = job.scratch.join("libmissing.so");

    // Recorded: the report tells both outcomes to everybody.
    if job.rank == 0 {
        session.record_library(text(&good), NOW).expect("recording is local");
    }
    if job.rank == job.last() {
        session.record_library(text(&bad), NOW).expect("recording is local");
    }
    let report = session.sync().expect("sync tells of requests, it does not fail for them");
    assert_eq!(report.committed.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), [text(&good)]);
    assert_eq!(report.undone.iter().map(|item| item.undone.name.as_str()).collect::<Vec<_>>(), [text(&bad)]);
    assert_eq!(process::constructed("good"), 1);

    // Called: each rank's call has its own outcome.
    if job.rank == job.last() {
        let error = session.load_global(text(&bad), NOW).expect_err("there is no such file");
        assert!(matches!(error, CallError::Undone(_)), "{error}");
    } else {
        assert_answers(&session.load_global(text(&pear), NOW).expect("every rank can open it"), "pear");
    }
    if job.size > 1 {
        assert_eq!(process::constructed("pear"), 1);
    }
    job.done();
}
