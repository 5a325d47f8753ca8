//! Every rank names the same library; it is opened once on each, also when it is named again.

use mpi_tests::{Job, NOW, assert_answers, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let apple = job.library("apple");
    for _ in 0..3 {
        let library = session.load_global(text(&apple), NOW).expect("every rank can open it");
        assert_answers(&library, "apple");
        job.assert_loaded_once(&["apple"]);
    }
    job.done();
}
