//! A program that is run without mpirun is a job of one rank: everything works as on many.

use dlcast::CallError;
use mpi_tests::{Job, NOW, assert_answers, text};

fn main() {
    let job = Job::start();
    assert_eq!((job.rank, job.size), (0, 1));
    let session = job.attach();
    let apple = job.library("apple");
    assert_answers(&session.load_global(text(&apple), NOW).expect("it can be opened"), "apple");
    let error = session.load_global("/nowhere/libpear.so", NOW).expect_err("there is no such file");
    assert!(matches!(error, CallError::Undone(_)), "{error}");
    assert_eq!(session.sync().expect("nothing to do").committed.len(), 0);
    job.done();
}
