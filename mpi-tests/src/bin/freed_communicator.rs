//! A session ends with its communicator, and says so; another communicator's session goes on.

use dlcast::{CallError, Options, Session};
use mpi::traits::*;
use mpi_tests::{Job, NOW, assert_answers, text};

fn main() {
    let job = Job::start();
    let (apple, pear) = (job.library("apple"), job.library("pear"));
    let other = job.attach();
    let comm = job.world.duplicate();
    let session = Session::attach(&comm, Options::default()).expect("the ranks attach");
    let library = session.load_global(text(&apple), NOW).expect("every rank can open it");
    drop(comm);
    for _ in 0..2 {
        let error = session.load_global(text(&pear), NOW).expect_err("its communicator is gone");
        assert!(matches!(error, CallError::Ended(_)) && error.to_string().contains("freed"), "{error}");
        session.sync().expect_err("its communicator is gone");
    }
    assert_answers(&library, "apple");
    assert_answers(&other.load_global(text(&pear), NOW).expect("this session has its own communicator"), "pear");
    job.assert_loaded_once(&["apple", "pear"]);
    job.done();
}
