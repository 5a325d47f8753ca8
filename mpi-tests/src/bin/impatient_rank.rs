//! One rank's deadline is everybody's: the patient ranks hear of a missing one when the impatient rank does.

use std::time::{Duration, Instant};

use dlcast::CallError;
use mpi_tests::Job;

fn main() {
    let job = Job::start();
    let session = job.attach_within(Duration::from_secs(60));
    job.barrier();
    let begin = Instant::now();
    if job.rank == job.last() {
        std::thread::sleep(Duration::from_secs(5));
    }
    let patience = if job.rank == 0 { Duration::from_secs(1) } else { Duration::from_secs(60) };
    let error = session.within(patience).sync().expect_err("the last rank is elsewhere");
    if job.rank != job.last() {
        assert!(matches!(error, CallError::Deadline(_)), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }
    assert!(error.to_string().contains(&format!("rank {}", job.last())), "{error}");
    job.done();
}
