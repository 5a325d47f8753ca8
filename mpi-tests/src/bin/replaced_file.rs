//! A file that is replaced by another under the same name is another library: its caller gets that one, or an error, and
//! never the old one, which ld.so would hand out for the path.

use std::fs;

use dlcast::CallError;
use mpi_tests::{Fixture, Job, NOW, assert_answers, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let path = job.library("apple");
    let old = session.load_global(text(&path), NOW).expect("every rank can open it");
    let new = job.build(&Fixture::new("counted.c", "pear"));
    job.barrier();
    job.once(|| fs::rename(&new, &path).expect("the folder is writable"));
    match session.load_global(text(&path), NOW) {
        Ok(library) => {
            assert_answers(&library, "pear");
            job.say("the new one is loaded");
        }
        Err(error) => {
            assert!(matches!(error, CallError::Undone(_)), "{error}");
            job.say(&format!("refused: {error}"));
        }
    }
    assert_answers(&old, "apple");
    job.done();
}
