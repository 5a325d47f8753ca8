//! The harness' own claim: a rank that panics ends the job at once, though the others wait for it.

use mpi_tests::Job;

fn main() {
    let job = Job::start();
    assert_ne!(job.rank, job.last(), "meant to be seen");
    job.barrier();
    job.done();
}
