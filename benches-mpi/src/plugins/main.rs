//! What a plugin with very many tasks costs: its agreed load over the same by hand, its messages, its memory, a look-up.
//!
//! A program for mpirun; `scripts/bench plugins` builds and runs it. Times are printed and judged by the reader; counts
//! are claims, and a broken one is the exit status.
//!
//! # Layout
//! - [`generated`] a library with very many tasks, and copies that nobody has seen
//! - [`loads`] dlcast and the floor by turns; messages; memory
//! - [`lookups`] by id, by name

mod generated;
mod loads;
mod lookups;

use std::path::PathBuf;
use std::process::ExitCode;

use benches_mpi::job::Job;
use dlcast::Session;

use self::generated::Maker;

const TASKS: u32 = 300_000;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let (Some(folder), pairs) = (words.next(), words.next()) else {
        eprintln!("plugins: expected a folder that all ranks see, and the number of timed loads");
        return ExitCode::from(2);
    };
    let pairs = pairs.and_then(|pairs| pairs.to_str()?.parse().ok()).unwrap_or(7);
    let job = Job::start();
    let session = Session::attach(&job.world, dlcast::Options::default()).expect("the ranks attach");
    let folder = PathBuf::from(folder);
    let mut many = Maker::new(&job, &folder, TASKS);
    let mut one = Maker::new(&job, &folder, 1);
    job.say(&format!("{} ranks on {}; a plugin with {TASKS} tasks, {}", job.size, job.nodes_in_words(), many.words()));
    loads::times(&job, &session, &mut many, pairs);
    let kept = loads::messages(&job, &session, &mut one, &mut many);
    let plugin = loads::memory(&job, &session, &mut many);
    lookups::run(&job, &session, &plugin);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
