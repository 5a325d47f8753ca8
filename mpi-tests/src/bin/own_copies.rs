//! A program opens two copies of a library itself: every rank is told which rank has which, and nothing else is touched.

use std::fs;

use mpi_tests::{Job, process};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let apple = job.library("apple");
    let copy = job.scratch.join("copy").join("libapple.so");
    job.once(|| {
        fs::create_dir(job.scratch.join("copy")).expect("the folder is writable");
        fs::copy(&apple, &copy).expect("the folder is writable");
    });
    if job.rank == job.last() {
        session
            .record(|| {
                process::open_plainly(&apple);
                process::open_plainly(&copy);
            })
            .expect("recording is local");
    }
    let report = session.sync().expect("every rank can open it");
    assert_eq!(report.copies.len(), 1, "{:?}", report.copies);
    assert_eq!(report.copies[0].rank as i32, job.last());
    assert_eq!(report.copies[0].paths.len(), 2, "{:?}", report.copies);
    let times = if job.rank == job.last() { 2 } else { 1 };
    assert_eq!((process::times_mapped("libapple.so"), process::constructed("apple")), (times, times as u32));
    job.done();
}
