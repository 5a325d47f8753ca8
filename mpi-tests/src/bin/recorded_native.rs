//! Native code of one rank opens libraries as it likes; the next round takes them to every rank, and leaves its own alone.

use mpi_tests::{Fixture, Job, process, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let provider = job.library("provider");
    let needy = job.build(
        &Fixture::new("consumer.c", "needy")
            .flag("-DPROVIDER=provider")
            .flag(text(&provider))
            .flag(format!("-Wl,-rpath,{}", job.scratch.display())),
    );
    let pear = job.library("pear");
    if job.rank == 0 {
        let seven = session
            .record(|| {
                process::open_plainly(&needy);
                process::open_plainly(&pear);
                7
            })
            .expect("recording is local");
        assert_eq!(seven, 7, "what the block returns");
    }
    let report = session.sync().expect("every rank can open them");
    assert!(report.undone.is_empty(), "{:?}", report.undone);
    job.assert_loaded_once(&["provider", "needy", "pear"]);
    job.done();
}
