//! Each rank names a random half of the libraries in a random order, over several rounds; every rank ends with the union.

use std::collections::BTreeSet;

use mpi_tests::{Job, NOW, process, series, text};

const LIBRARIES: usize = 24;
const ROUNDS: u64 = 3;

fn main() {
    let job = Job::start();
    let session = job.attach();
    job.once(|| series(&job.scratch, LIBRARIES));
    let mut wanted = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut random = fastrand::Rng::with_seed(round << 32 | job.rank as u64);
        let mut half: Vec<usize> = (0..LIBRARIES).collect();
        random.shuffle(&mut half);
        // A sixth in each of three rounds is about a half.
        half.truncate(LIBRARIES / 6);
        for &number in &half {
            let path = job.scratch.join(format!("libunit{number:04}.so"));
            session.record_library(text(&path), NOW).expect("recording is local");
        }
        let named: Vec<String> = half.iter().map(usize::to_string).collect();
        wanted.extend(job.gather(&named.join(" ")).iter().flat_map(|named| {
            named
                .split_whitespace()
                .map(|number| number.parse::<usize>().expect("a rank sent numbers"))
                .collect::<Vec<_>>()
        }));
        let report = session.sync().expect("every rank can open every library");
        assert!(report.undone.is_empty(), "{:?}", report.undone);
        let expected: Vec<String> = wanted.iter().map(|number| format!("libunit{number:04}.so")).collect();
        assert_eq!(job.fixtures_mapped(), expected);
        assert!(wanted.iter().all(|number| process::constructed(&format!("unit{number:04}")) == 1));
    }
    job.done();
}
