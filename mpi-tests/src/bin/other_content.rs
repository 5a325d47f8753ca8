//! One path, another content on the last rank: all ranks hear both identities and who has which, and nothing is opened.
//!
//! Arguments: `all` ranks name it, or `one` does; by its path, or `bare`.

use std::fs;

use dlcast::CallError;
use mpi_tests::{Job, NOW, patched};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (all, bare) = (arguments[0] == "all", arguments.get(1).is_some_and(|word| word == "bare"));
    let job = Job::start();
    let session = job.attach();
    let bytes = fs::read(job.library("apple")).expect("it was just built");
    job.barrier();
    job.once(|| fs::remove_file(job.scratch.join("libapple.so")).expect("the folder is writable"));
    // /proc/self/cwd makes one absolute path of files that lie in different folders.
    let mine = job.enter_own_folder().join("libapple.so");
    let other = patched(&bytes, b"dlcast-fixture-data", b"dlcast-fixture-Data");
    fs::write(&mine, if job.rank == job.last() { &other } else { &bytes }).expect("the folder is writable");
    job.barrier();
    // For the bare name, LD_LIBRARY_PATH is /proc/self/cwd.
    let path = if bare { "libapple.so" } else { "/proc/self/cwd/libapple.so" };
    let told = if all || job.rank == 0 {
        let CallError::Undone(undone) = session.load_global(path, NOW).expect_err("the files differ") else {
            panic!("not an outcome of the round");
        };
        undone.to_string()
    } else {
        let mut report = session.sync().expect("no request of this rank's own");
        assert!(report.committed.is_empty(), "{:?}", report.committed);
        report.undone.pop().map(|undone| undone.error).expect("the request of rank 0")
    };
    let digests = told.matches("blake3 ").count();
    assert!(digests >= 2, "both identities: {told}");
    assert!(told.contains(&format!("rank {}", job.last())), "who has which: {told}");
    job.assert_untouched("apple");
    assert!(job.fixtures_mapped().is_empty(), "{:?}", job.fixtures_mapped());
    job.say(&told);
    job.done();
}
