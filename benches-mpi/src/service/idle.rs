//! The processor time of the service's threads when there is nothing to do, as the kernel's scheduler counts it.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use benches_mpi::job::Job;
use benches_mpi::statistics::verdict;

/// Threads by the beginnings of their names: the kernel keeps 15 bytes.
const THREADS: [&str; 2] = ["dlcast protocol", "dlcast librarie"];
/// After this long they nap as long as they ever do.
const SETTLED: Duration = Duration::from_secs(2);
/// Of a core.
const TARGET: f64 = 0.001;

/// What a thread has had of the processors.
#[derive(Clone, Copy, Default)]
struct Spent {
    nanos: u64,
    /// How often it was put on one.
    times: u64,
}

/// Watches them for so many seconds while the main threads sleep.
///
/// # Collective
/// All ranks.
pub fn run(job: &Job, seconds: u64) {
    sleep(SETTLED);
    job.barrier_asleep();
    let (start, before) = (Instant::now(), THREADS.map(spent));
    sleep(Duration::from_secs(seconds));
    let (took, after) = (start.elapsed(), THREADS.map(spent));
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    job.say(&format!(
        "
Threads of an idle service while the main threads sleep, {seconds} s: processor time in percent of a core, and how often a thread
was put on one (which depends on no machine).

                    mean of ranks   most of a rank   times a second"
    ));
    let ranks = u64::try_from(job.size).unwrap_or(1);
    let mut whole = 0;
    for ((name, before), after) in ["protocol thread", "library worker"].into_iter().zip(before).zip(after) {
        let spent = after.nanos - before.nanos;
        whole += spent;
        let times = job.sum(after.times - before.times) as f64 / ranks as f64 / took.as_secs_f64();
        let [mean, most] = shares(job, spent, nanos);
        job.say(&format!("{name:18}{:15.4}{:17.4}{times:17.1}", 100.0 * mean, 100.0 * most));
    }
    let [mean, most] = shares(job, whole, nanos);
    let kept = verdict(mean <= TARGET);
    job.say(&format!(
        "{:18}{:15.4}{:17.4}   target: 0.1 % of a core a rank: {kept}",
        "both",
        100.0 * mean,
        100.0 * most
    ));
}

/// Parts of a core: on average, and the largest.
fn shares(job: &Job, spent: u64, of: u64) -> [f64; 2] {
    let ranks = u64::try_from(job.size).unwrap_or(1);
    [job.sum(spent) as f64 / ranks as f64 / of as f64, job.max(spent) as f64 / of as f64]
}

/// Of all threads of this process with that name.
fn spent(name: &str) -> Spent {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let mut whole = Spent::default();
    for task in tasks.filter_map(Result::ok).map(|task| task.path()) {
        if fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.starts_with(name)) {
            // Nanoseconds on a processor, nanoseconds in its queue, times.
            let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let mut fields = text.split_ascii_whitespace().filter_map(|field| field.parse::<u64>().ok());
            whole.nanos += fields.next().unwrap_or(0);
            whole.times += fields.nth(1).unwrap_or(0);
        }
    }
    assert!(whole.times > 0, "there is no thread {name}, or the kernel does not count");
    whole
}
