//! Random runs: `DLCAST_SIM_RUNS` says how many. A failure prints its seed, what is wrong, and the scenario.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::market::scenario;
use super::oracle::violations;
use super::run::{Run, run};
use super::script::Wish;
use crate::config;
use crate::request::Lane;

/// Seeds that one thread takes at a time.
const SHARE: u64 = 64;

/// How much happened, all runs together.
#[derive(Default)]
struct Counts {
    runs: AtomicU64,
    steps: AtomicU64,
    rounds: [AtomicU64; 2],
    committed: AtomicU64,
    answers: AtomicU64,
    waited_for_python: AtomicU64,
    shared: AtomicU64,
}

impl Counts {
    fn count(&self, run: &Run) {
        let add = |to: &AtomicU64, more: usize| to.fetch_add(more as u64, Ordering::Relaxed);
        add(&self.runs, 1);
        self.steps.fetch_add(run.steps, Ordering::Relaxed);
        for (rounds, lane) in self.rounds.iter().zip(Lane::BOTH) {
            add(rounds, run.processes[0].post.track(lane).told.len());
        }
        add(&self.committed, run.processes[0].committed.len());
        add(&self.answers, run.program.answers.len());
        add(&self.waited_for_python, run.program.returned.len());
        // Callers who were told by one round.
        let reports = run.program.answers.iter().map(|(_, _, report)| std::sync::Arc::as_ptr(report));
        let reports: std::collections::BTreeSet<_> = reports.collect();
        add(&self.shared, run.program.answers.len() - reports.len());
    }
}

/// What is wrong with the run of a seed, in words.
fn judge(seed: u64, counts: &Counts) -> Option<String> {
    let run = run(scenario(seed));
    counts.count(&run);
    let wrong = violations(&run);
    (!wrong.is_empty()).then(|| format!("seed {seed}:\n{}\n{}", wrong.join("\n"), run.program.scenario.told()))
}

#[test]
fn no_interleaving_is_stuck_and_every_rank_is_told_the_same() {
    let (first, runs) = (config::sim_first(), config::sim_runs());
    let (counts, next, failed) = (Counts::default(), AtomicU64::new(0), AtomicBool::new(false));
    let progress = config::sim_progress();
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let begin = next.fetch_add(SHARE, Ordering::Relaxed);
            if begin >= runs {
                return;
            }
            for seed in first + begin..first + runs.min(begin + SHARE) {
                if let Some(wrong) = judge(seed, &counts) {
                    failed.store(true, Ordering::Relaxed);
                    panic!("{wrong}");
                }
            }
            if progress && begin % (256 * SHARE) == 0 {
                eprintln!("{begin} of {runs} runs");
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let [native, python] = &counts.rounds;
    println!(
        "{} runs, {} steps, {} native and {} Python rounds, {} calls answered, {} of them by a round that answered others of the rank, {} waited for Python, too; {} items committed",
        of(&counts.runs),
        of(&counts.steps),
        of(native),
        of(python),
        of(&counts.answers),
        of(&counts.shared),
        of(&counts.waited_for_python),
        of(&counts.committed)
    );
    // A market that no longer makes anything happen would pass every oracle.
    if runs >= 1_000 {
        assert!(of(native) > runs && of(python) > runs / 2 && of(&counts.committed) > runs, "too little happens");
        assert!(of(&counts.shared) > runs / 100 && of(&counts.waited_for_python) > runs / 100, "too little happens");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let what =
        |run: &Run| -> Vec<(u32, Wish)> { run.program.answers.iter().map(|(at, wish, _)| (*at, *wish)).collect() };
    for seed in 0..100 {
        let (one, other) = (run(scenario(seed)), run(scenario(seed)));
        assert_eq!((one.steps, what(&one)), (other.steps, what(&other)), "seed {seed}");
    }
}
