//! A session goes with its communicator and takes its duplicates along: a thousand in a row leave nothing behind.

use dlcast::{CallError, Options, Session};
use mpi::traits::*;
use mpi_tests::{Job, NOW, assert_answers, text};

const SESSIONS: usize = 1200;

fn main() {
    let job = Job::start();
    let apple = job.library("apple");
    for _ in 0..SESSIONS {
        let comm = job.world.duplicate();
        let session = Session::attach(&comm, Options::default()).expect("MPI has communicators left");
        session.sync().expect("nothing to do");
        drop(comm);
        let error = session.sync().expect_err("its communicator is gone");
        assert!(matches!(error, CallError::Ended(_)), "{error}");
    }
    // Attaching twice gives one session; that of the world outlives the others.
    let (first, second) = (job.attach(), job.attach());
    first.record_library(text(&apple), NOW).expect("recording is local");
    assert_eq!(second.sync().expect("one round").committed.len(), 1, "what one handle recorded, the other takes along");
    assert_answers(&first.load_global(text(&apple), NOW).expect("it is there"), "apple");
    job.done();
}
