//! A service that has nothing to do costs next to nothing: the processor time of its threads, as the kernel counts it.
//!
//! Argument: for how many seconds.

use std::time::{Duration, Instant};

use mpi::Threading;
use mpi_tests::{Job, NOW, text};

/// In thousandths of a core. The aim is 1; a busy machine, whose caches are cold, makes it more.
const MOST: f64 = 10.0;

fn main() {
    let seconds: u64 = std::env::args().nth(1).expect("seconds").parse().expect("a number");
    let job = Job::start_with(Threading::Multiple);
    let session = job.serve();
    let apple = job.library("apple");
    session.load_global(text(&apple), NOW).expect("every rank can open it");
    job.barrier();
    // It naps longer and longer.
    std::thread::sleep(Duration::from_secs(2));
    let (before, start) = (spent(), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let cost = (spent() - before).as_secs_f64() / start.elapsed().as_secs_f64() * 1000.0;
    let costs: Vec<f64> = job.gather(&cost.to_string()).iter().map(|cost| cost.parse().expect("a number")).collect();
    if job.rank == 0 {
        let most = costs.iter().copied().fold(0.0, f64::max);
        let mean = costs.iter().sum::<f64>() / costs.len() as f64;
        job.say(&format!("thousandths of a core a rank: {mean:.2} in the mean, {most:.2} at the most"));
        assert!(mean < MOST, "{costs:?}");
    }
    job.done();
}

/// What dlcast's threads of this process have run for so far.
fn spent() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a process has threads");
    let of_one = |task: std::path::PathBuf| -> Option<u64> {
        let is_ours = std::fs::read_to_string(task.join("comm")).ok()?.starts_with("dlcast");
        let ran = std::fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse().ok()?;
        is_ours.then_some(ran)
    };
    let all: Vec<u64> = tasks.filter_map(|task| of_one(task.ok()?.path())).collect();
    assert!(all.len() >= 2, "the threads have names");
    Duration::from_nanos(all.iter().sum())
}
