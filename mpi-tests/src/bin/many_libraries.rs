//! Five hundred libraries in one round, named by two ranks.

use mpi_tests::{Job, NOW, process, series, text};

const LIBRARIES: usize = 500;

fn main() {
    let job = Job::start();
    let session = job.attach();
    job.once(|| series(&job.scratch, LIBRARIES));
    let half = LIBRARIES / 2 + 50;
    let mine = match job.rank {
        0 => 0..half,
        rank if rank == job.last() => LIBRARIES - half..LIBRARIES,
        _ => 0..0,
    };
    let mine = if job.size == 1 { 0..LIBRARIES } else { mine };
    for number in mine {
        let path = job.scratch.join(format!("libunit{number:04}.so"));
        session.record_library(text(&path), NOW).expect("recording is local");
    }
    let report = session.sync().expect("every rank can open every library");
    assert_eq!((report.committed.len(), report.undone.len(), report.rounds), (LIBRARIES, 0, 1));
    assert_eq!(job.fixtures_mapped().len(), LIBRARIES);
    assert!((0..LIBRARIES).all(|number| process::constructed(&format!("unit{number:04}")) == 1));
    job.done();
}
