//! Messages of the program between two ranks, with the service and without it, by turns within one job.
//!
//! All of it under MPI_THREAD_MULTIPLE, the same processes on the same processors. A service ends with the communicator that it
//! serves; its threads stay, and sleep. The very first turn is without any.

use std::thread::sleep;
use std::time::Duration;

use benches_mpi::job::Job;
use benches_mpi::pingpong::{PingPong, Speed};
use benches_mpi::statistics::{median, quartile, ratios, verdict};
use dlcast::{Mode, Options, Session, Timeout};
use mpi::topology::Communicator;

/// After this long the threads of an idle service nap as long as they ever do.
const SETTLED: Duration = Duration::from_millis(1500);
/// How much may be lost.
const TARGET: f64 = 0.02;

/// Prints the ratios.
///
/// # Collective
/// All ranks, of which there are two at least.
pub fn run(job: &Job, turns: usize) {
    let mut players = PingPong::new(job);
    let mut play = || {
        sleep(SETTLED);
        players.play(job)
    };
    let mut without = vec![play()];
    let mut with = Vec::new();
    for _ in 0..turns {
        let comm = job.world.duplicate();
        let options = Options { mode: Some(Mode::Service), timeout: Timeout::Default };
        let session = Session::attach(&comm, options).expect("the ranks attach");
        with.push(play());
        drop(session);
        drop(comm);
        without.push(play());
    }
    job.say(&format!(
        "
Messages of the program between two ranks (the others sleep), MPI_THREAD_MULTIPLE: {turns} turns with an idle service, each
between two without. A ratio is the median over the turns, with its quartiles.

                      with  without  ratio                target"
    ));
    let line = |what: &str, of: fn(&Speed) -> f64, is_lost: fn(f64) -> f64| {
        let ours: Vec<f64> = with.iter().map(of).collect();
        let theirs: Vec<f64> = without.windows(2).map(|pair| f64::midpoint(of(&pair[0]), of(&pair[1]))).collect();
        let ratio = ratios(&ours, &theirs);
        let kept = verdict(is_lost(median(&ratio)) <= TARGET);
        job.say(&format!(
            "{what:18}{:8.1} {:8.1}  {:20} within 2 %: {kept}",
            median(&ours),
            median(&theirs),
            precise(&ratio)
        ));
    };
    line("8 bytes, ns", |speed| speed.latency, |ratio| ratio - 1.0);
    line("4 MiB, GB/s", |speed| speed.bandwidth, |ratio| 1.0 - ratio);
}

/// With one more digit than elsewhere: the target is two of them.
fn precise(ratio: &[f64]) -> String {
    format!("{:.3} ({:.3}-{:.3})", median(ratio), quartile(ratio, 1), quartile(ratio, 3))
}
