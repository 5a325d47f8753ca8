//! What service mode costs: a load that one rank asks for, over the same in collective mode; its messages; idle threads; and
//! what the program's own messages lose by it.
//!
//! A program for mpirun; `scripts/bench service` builds and runs it, and `levels` and `known` beside it. Times are printed
//! beside their targets and fail nothing; counts are claims, and a broken one is the exit status.
//!
//! # Layout
//! - [`beside`] messages between two ranks, with and without the service
//! - [`loads`] one rank loads: service and collective mode by turns
//! - [`messages`] what a round sends
//! - [`idle`] the processor time of threads that have nothing to do
//! - `levels` a program of its own: what MPI_THREAD_MULTIPLE costs over MPI_THREAD_SINGLE
//! - `known` a program of its own, which knows nothing of dlcast: a dlopen that the shim has intercepted, over a plain one

mod beside;
mod idle;
mod loads;
mod messages;

use std::path::PathBuf;
use std::process::ExitCode;

use benches_mpi::fresh::Maker;
use benches_mpi::job::Job;
use dlcast::{Mode, Options, Session, Timeout};
use mpi::Threading;
use mpi::topology::Communicator;

/// What the command line asks for.
struct Asked {
    /// Where libraries are made; the same on every rank.
    folder: PathBuf,
    /// Loads of each kind that are timed; none: no times.
    pairs: usize,
    /// Seconds that idle threads are watched.
    idle: u64,
    /// Whether to count.
    counts: bool,
    /// One part alone.
    only: Option<String>,
}

impl Asked {
    /// `FOLDER [--pairs N] [--idle SECONDS] [--no-counts] [--only beside|idle|messages|loads]`
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let folder = words.next().ok_or("expected a folder that all ranks see")?.into();
        let mut asked = Asked { folder, pairs: 15, idle: 20, counts: true, only: None };
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().and_then(|value| value.parse().ok());
                value.ok_or_else(|| format!("{word} expects a number"))
            };
            match word.as_str() {
                "--pairs" => asked.pairs = usize::try_from(number()?).unwrap_or(usize::MAX),
                "--idle" => asked.idle = number()?,
                "--only" => asked.only = Some(words.next().ok_or("--only expects a part")?),
                "--no-counts" => asked.counts = false,
                _ => return Err(format!("unknown argument {word}")),
            }
        }
        Ok(asked)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == part)
            && match part {
                "idle" => self.idle > 0,
                "messages" => self.counts,
                _ => self.pairs > 0,
            }
    }
}

fn main() -> ExitCode {
    let asked = match Asked::read(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("service: {message}");
            return ExitCode::from(2);
        }
    };
    let job = Job::start_with(Threading::Multiple);
    job.say(&format!("{} ranks on {}", job.size, job.nodes_in_words()));
    if asked.wants("beside") && job.size > 1 {
        // First: no service has been there yet.
        beside::run(&job, asked.pairs.div_ceil(2));
    }
    let comms = [job.world.duplicate(), job.world.duplicate()];
    let attach = |at: usize, mode| {
        let options = Options { mode: Some(mode), timeout: Timeout::Default };
        Session::attach(&comms[at], options).expect("the ranks attach")
    };
    let service = attach(0, Mode::Service);
    let mut maker = Maker::new(&job, &asked.folder);
    if asked.wants("idle") {
        idle::run(&job, asked.idle);
    }
    let kept = !asked.wants("messages") || messages::run(&job, &service, &mut maker);
    if asked.wants("loads") {
        loads::run(&job, [&service, &attach(1, Mode::Collective)], &mut maker, asked.pairs);
    }
    // Every rank has the same numbers, so every rank ends alike.
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
