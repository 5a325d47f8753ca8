//! Forty rounds of what ranks may do: record, call or only sync; good libraries, bad ones and good ones again, in any mix.
//! Every rank works out what all ranks chose, and compares.
//!
//! Argument: the seed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use dlcast::{CallError, OpenFlags};
use mpi_tests::{Fixture, Job, NOW, process, series, text};

const GOOD: usize = 12;
const ROUNDS: usize = 40;

/// What one rank does in one round: numbers of libraries; those from `GOOD` on are bad.
struct Choice {
    recorded: Vec<usize>,
    called: Option<usize>,
}

fn choose(random: &mut fastrand::Rng, libraries: usize) -> Choice {
    // Two in three are good.
    let mut pick = || if random.u8(..3) < 2 { random.usize(..GOOD) } else { random.usize(GOOD..libraries) };
    let picked: Vec<usize> = (0..4).map(|_| pick()).collect();
    Choice { recorded: picked[1..random.usize(1..4)].to_vec(), called: random.bool().then_some(picked[0]) }
}

fn main() {
    let seed: u64 = std::env::args().nth(1).expect("a seed").parse().expect("a number");
    let job = Job::start();
    let session = job.attach();
    job.once(|| {
        series(&job.scratch, GOOD);
        fs::write(job.scratch.join("libtext.so"), "no library").expect("the folder is writable");
    });
    let undefined = job.build(&Fixture::new("undefined.c", "undefined"));
    let mut libraries: Vec<PathBuf> =
        (0..GOOD).map(|number| job.scratch.join(format!("libunit{number:04}.so"))).collect();
    libraries.extend([undefined, job.scratch.join("libtext.so"), job.scratch.join("libmissing.so")]);

    // What all ranks choose alike, and what each chooses for itself.
    let mut random = fastrand::Rng::with_seed(seed);
    let mut own = fastrand::Rng::with_seed(seed << 32 | job.rank as u64);
    let mut loaded = BTreeSet::new();
    for round in 0..ROUNDS {
        let choices: Vec<Choice> = (0..job.size).map(|_| choose(&mut random, libraries.len())).collect();
        let wanted =
            |number: &usize| choices.iter().any(|it| it.recorded.contains(number) || it.called == Some(*number));
        let mine = &choices[job.rank as usize];
        for &number in &mine.recorded {
            let flags = if own.bool() { NOW } else { NOW | OpenFlags::GLOBAL };
            session.record_library(text(&libraries[number]), flags).expect("recording is local");
        }
        match mine.called {
            Some(number) => match session.load_global(text(&libraries[number]), NOW) {
                Ok(library) => {
                    assert!(number < GOOD, "seed {seed}, round {round}: a bad library was loaded");
                    assert!(library.path().ends_with(libraries[number].file_name().expect("it has a name")));
                }
                Err(error) => {
                    assert!(number >= GOOD, "seed {seed}, round {round}: {error}");
                    assert!(matches!(error, CallError::Undone(_)), "{error}");
                }
            },
            None => {
                let report = session.sync().expect("sync tells of requests, it does not fail for them");
                let bad = (GOOD..libraries.len()).filter(wanted).count();
                assert_eq!(report.undone.len(), bad, "seed {seed}, round {round}: {:?}", report.undone);
                let new = (0..GOOD).filter(wanted).filter(|number| !loaded.contains(number)).count();
                assert!(report.committed.len() >= new, "seed {seed}, round {round}: {:?}", report.committed);
            }
        }
        loaded.extend((0..GOOD).filter(wanted));
        let expected: Vec<String> = loaded.iter().map(|number| format!("libunit{number:04}.so")).collect();
        assert_eq!(job.fixtures_mapped(), expected, "seed {seed}, round {round}");
        assert!(loaded.iter().all(|number| process::constructed(&format!("unit{number:04}")) == 1));
    }
    job.done();
}
