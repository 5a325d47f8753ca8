//! Without a deadline of its own a call has that of `DLCAST_TIMEOUT`, and the error says how long that was.

use std::time::{Duration, Instant};

use dlcast::CallError;
use mpi_tests::Job;

fn main() {
    let job = Job::start();
    let session = job.attach();
    if job.rank == job.last() {
        std::thread::sleep(Duration::from_secs(5));
    }
    let begin = Instant::now();
    let error = session.sync().expect_err("the last rank is elsewhere");
    if job.rank != job.last() {
        assert!(matches!(error, CallError::Deadline(_)), "{error}");
        assert!((1..4).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    }
    assert!(error.to_string().contains("within 2s"), "{error}");
    job.done();
}
