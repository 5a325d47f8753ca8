//! A constructor that takes longer than the deadline on every rank is no missing rank: nobody waits for anybody.

use std::time::Duration;

use mpi_tests::{Job, NOW, assert_answers, text};

fn main() {
    let job = Job::start();
    let session = job.attach_within(Duration::from_secs(2));
    let apple = job.library("apple");
    // DLCAST_FIXTURE_SLEEP_MS is 3000.
    assert_answers(&session.load_global(text(&apple), NOW).expect("every rank is as slow as the others"), "apple");
    job.assert_loaded_once(&["apple"]);
    job.done();
}
