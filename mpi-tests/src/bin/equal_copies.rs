//! Two byte-identical copies, named by different ranks, are one library: each rank opens one of them, once.

use std::fs;

use mpi_tests::{Job, NOW, process, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let apple = job.library("apple");
    let copies = ["a", "b"].map(|folder| job.scratch.join(folder).join("libapple.so"));
    job.once(|| {
        for copy in &copies {
            fs::create_dir(copy.parent().expect("it lies in a folder")).expect("the folder is writable");
            fs::copy(&apple, copy).expect("the folder is writable");
        }
        fs::remove_file(&apple).expect("the folder is writable");
    });
    // First the ranks name different copies, then each names both.
    session.load_global(text(&copies[job.rank as usize % 2]), NOW).expect("every rank can open it");
    assert_eq!((process::times_mapped("libapple.so"), process::constructed("apple")), (1, 1));
    for copy in &copies {
        session.record_library(text(copy), NOW).expect("recording is local");
    }
    let report = session.sync().expect("every rank can open it");
    assert!(report.copies.is_empty(), "nobody opened two: {:?}", report.copies);
    assert_eq!((process::times_mapped("libapple.so"), process::constructed("apple")), (1, 1));
    job.done();
}
