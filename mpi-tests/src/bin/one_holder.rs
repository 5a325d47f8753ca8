//! One rank names a library; every rank has it, and no constructor ran twice.

use mpi_tests::{Job, NOW, assert_answers, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let apple = job.library("apple");
    if job.rank == job.size / 2 {
        let library = session.load_global(text(&apple), NOW).expect("every rank can open it");
        assert_answers(&library, "apple");
    } else {
        let report = session.sync().expect("every rank can open it");
        assert_eq!(report.committed.len(), 1, "the others hear of it");
        assert_eq!(report.committed[0].ranks.len(), 1, "one rank asked");
    }
    job.assert_loaded_once(&["apple"]);
    job.done();
}
