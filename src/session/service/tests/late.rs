//! Workers that do not come back in time: their ranks fail what they were at, and everybody goes on.

use super::market::scenario;
use super::oracle::violations;
use super::run::run;
use super::script::{Scenario, Step};

/// Runs of each test.
const RUNS: u64 = 400;

#[test]
fn deadlines_that_pass_at_any_moment_leave_nobody_stuck_and_all_are_told_the_same() {
    for seed in 0..RUNS {
        let run = run(Scenario { deadlines: true, ..scenario(seed) });
        let wrong = violations(&run);
        assert!(wrong.is_empty(), "seed {seed}:\n{}\n{}", wrong.join("\n"), run.program.scenario.told());
    }
}

#[test]
fn a_worker_that_never_comes_back_keeps_no_caller_waiting() {
    let mut met = 0;
    for seed in 0..RUNS {
        let scenario = scenario(seed);
        let gone = Some(seed as u32 % scenario.ranks.len() as u32);
        let run = run(Scenario { deadlines: true, gone, ..scenario });
        let steps = || run.threads.iter().flatten().filter_map(|thread| thread.stack.last());
        met += u32::from(steps().any(|step| matches!(step, Step::Item(_))));
        // Its own process cannot say goodbye before the service gives that up, after a time that the model has not.
        let waits = steps().any(|step| !matches!(step, Step::Item(_) | Step::Goodbye | Step::AwaitEnd));
        assert!(!waits, "seed {seed}:\n{}\n{}", run.stuck.join("\n"), run.program.scenario.told());
    }
    assert!(met > 50, "{met}");
}
