//! Each rank names a library of its own; every rank ends with all of them.

use mpi_tests::{Job, NOW, process, series, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let count = job.size as usize;
    job.once(|| series(&job.scratch, count));
    let mine = job.scratch.join(format!("libunit{:04}.so", job.rank));
    let library = session.load_global(text(&mine), NOW).expect("every rank can open every library");
    assert_eq!(std::fs::canonicalize(library.path()).expect("it is a file"), mine);
    let mapped = job.fixtures_mapped();
    job.assert_same("the libraries", &mapped.join(" "));
    assert_eq!(mapped.len(), count);
    for number in 0..count {
        assert_eq!(process::constructed(&format!("unit{number:04}")), 1);
    }
    job.done();
}
