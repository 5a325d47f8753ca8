//! What a round of dlcast costs: its time over the same work by hand, its collectives and messages, its reading of files.
//!
//! A program for mpirun; `scripts/bench collective` builds and runs it. Times are printed and judged by the reader;
//! counts are claims, and a broken one is the exit status. It takes part in no test and makes no claim about service.
//!
//! # Layout
//! - [`options`] what the command line asks for
//! - [`times`] dlcast and the floor by turns
//! - [`counts`] what a round may send

mod counts;
mod options;
mod times;

use std::process::ExitCode;

use benches_mpi::fresh::Maker;
use benches_mpi::job::Job;
use dlcast::Session;

use self::options::Options;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("collective: {message}");
            return ExitCode::from(2);
        }
    };
    let job = Job::start();
    let session = Session::attach(&job.world, dlcast::Options::default()).expect("the ranks attach");
    let mut maker = Maker::new(&job, &options.folder);
    job.say(&format!("{} ranks on {}", job.size, job.nodes_in_words()));
    if options.pairs > 0 {
        times::run(&job, &session, &mut maker, options.pairs);
    }
    let kept = !options.counts || counts::run(&job, &session, &mut maker);
    // Every rank has the same numbers, so every rank ends alike.
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
