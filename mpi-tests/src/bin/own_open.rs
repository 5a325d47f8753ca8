//! What the program opened itself is its own: undoing does not touch it, and its dlclose keeps its meaning.

use dlcast::OpenFlags;
use mpi_tests::{Fixture, Job, NOW, process, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    // Opened before dlcast hears of it: no second constructor, and GLOBAL from now on.
    let apple = job.library("apple");
    process::open_plainly(&apple);
    assert!(!process::is_visible("apple_answer"));
    session.load_global(text(&apple), NOW | OpenFlags::GLOBAL).expect("every rank can open it");
    assert!(process::is_visible("apple_answer"), "promoted at commit");

    // Undone because of the last rank, but the program's own on the others.
    let provider = job.library("provider");
    let pear = job.build(&Fixture::new("consumer.c", "pear").flag("-DPROVIDER=provider"));
    let owner = job.rank != job.last();
    if owner {
        process::open_globally(&provider);
        process::open_globally(&pear);
    }
    session.load_global(text(&pear), NOW).expect_err("the last rank lacks the provider");
    assert_eq!((process::is_open(&pear), process::is_visible("pear_answer")), (owner, owner), "it stays as it was");
    assert_eq!(process::constructed("pear"), u32::from(owner));
    job.done();
}
