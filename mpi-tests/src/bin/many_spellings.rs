//! One library through two paths, a symbolic link, a hard link and a bare name: one library on every rank.

use std::fs;
use std::os::unix::fs::symlink;

use mpi_tests::{Job, NOW, assert_answers};

fn main() {
    let job = Job::start();
    let session = job.attach();
    // LD_LIBRARY_PATH is this folder, so the file name is a bare name.
    let apple = job.library("apple");
    job.once(|| {
        fs::create_dir(job.scratch.join("sub")).expect("the folder is writable");
        symlink(&apple, job.scratch.join("linked.so")).expect("the folder is writable");
        fs::hard_link(&apple, job.scratch.join("sub/other.so")).expect("the folder is writable");
    });
    let scratch = job.scratch.display();
    let spellings = [
        format!("{scratch}/libapple.so"),
        format!("{scratch}/sub/../libapple.so"),
        "libapple.so".to_owned(),
        format!("{scratch}/linked.so"),
        format!("{scratch}/sub/other.so"),
    ];
    for turn in 0..spellings.len() {
        let spelling = &spellings[(job.rank as usize + turn) % spellings.len()];
        let library = session.load_global(spelling, NOW).unwrap_or_else(|error| panic!("{spelling}: {error}"));
        assert_answers(&library, "apple");
        assert_eq!(mpi_tests::process::constructed("apple"), 1, "{spelling}");
        assert_eq!(job.fixtures_mapped().len(), 1, "{spelling}: {:?}", job.fixtures_mapped());
    }
    job.done();
}
