//! Random scenarios, each a session of several calls. `DLCAST_SIM_RUNS` says how many.
//!
//! A failure prints its seed and the whole scenario; the seeds are `0..runs`, so that it comes again.

use super::market::{next, scenario};
use super::oracle::{check, check_next, violations};
use super::run::{run, run_next};
use super::thing::Thing;
use crate::outcome::Verdict;

#[test]
fn whatever_happens_every_rank_is_told_the_same() {
    let mut counts = [0_u64; 8];
    for seed in 0..crate::config::sim_runs() {
        let mut scenario = scenario(seed);
        let mut run = check(&scenario);
        let calls = 1 + seed % 3;
        for call in 1.. {
            let damaged = run.world.damaged() > 0;
            count(&run, &mut counts);
            if damaged || call == calls {
                break;
            }
            scenario = next(&scenario);
            run = check_next(run, &scenario);
        }
    }
    // A generator that no longer makes anything happen would pass every oracle.
    if crate::config::sim_runs() >= 1_000 {
        let [committed, undone, damaged, passes, plugins, unloaded, frozen, asked] = counts;
        assert!(committed > 1_000 && undone > 300 && damaged > 20 && passes > 2, "{counts:?}");
        assert!(plugins > 300 && unloaded > 20 && frozen > 20 && asked > 50, "{counts:?}");
    }
}

/// What has happened: so many items were committed, undone, and so on.
fn count(run: &super::run::Run, counts: &mut [u64; 8]) {
    let [committed, undone, damaged, passes, plugins, unloaded, frozen, asked] = counts;
    *damaged += u64::from(run.world.damaged() > 0);
    let Some(Ok(report)) = &run.ranks[0].ended else { return };
    for (_, verdict) in &report.items {
        match verdict {
            Verdict::Committed => *committed += 1,
            Verdict::Undone(causes) => {
                *undone += 1;
                *asked += u64::from(causes.iter().any(|cause| cause.failure.message.starts_with("it asks for")));
            }
        }
    }
    *passes = u64::from(report.rounds).max(*passes);
    let registry = &run.ranks[0].host.registry;
    *plugins += registry.iter().filter(|slot| slot.live).count() as u64;
    *unloaded += registry.iter().filter(|slot| !slot.live).count() as u64;
    *frozen += registry.iter().filter(|slot| slot.frozen).count() as u64;
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..50 {
        let (one, other) = (run(&scenario(seed)), run(&scenario(seed)));
        assert_eq!(one.turns, other.turns);
        let order = |run: &super::run::Run| -> Vec<Vec<(u32, Thing)>> {
            run.ranks.iter().map(|rank| rank.host.tried.clone()).collect()
        };
        assert_eq!(order(&one), order(&other));
        assert!(one.ranks.iter().zip(&other.ranks).all(|(one, other)| one.ended == other.ended));
    }
}

#[test]
fn a_rank_that_leaves_a_collective_out_is_found_out() {
    let mut found = 0;
    for seed in 0..300 {
        let mut broken = scenario(seed);
        broken.faults.clear();
        let rank = seed as usize % broken.ranks.len();
        broken.ranks[rank].skips_vote_on_failure = true;
        let run = run(&broken);
        // Where that rank has no failure of its own, or all have, nothing is left out.
        let wrong = violations(&broken, &run);
        if !wrong.is_empty() {
            found += 1;
            assert!(wrong.iter().any(|said| said.contains(" where rank ")), "seed {seed}: {wrong:?}");
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn a_rank_that_compares_only_what_it_has_added_itself_is_found_out() {
    let mut found = 0;
    for seed in 0..3_000 {
        let mut first = scenario(seed);
        first.faults.clear();
        let mut broken = next(&first);
        let rank = seed as usize % broken.ranks.len();
        broken.ranks[rank].skips_compare_when_unchanged = true;
        let wrong = violations(&broken, &run_next(run(&first), &broken));
        if !wrong.is_empty() {
            found += 1;
            // It goes on alone: to another collective, or to its end.
            let alone = |said: &String| said.contains(" where rank ") || said.starts_with("stuck: rank ");
            assert!(wrong.iter().any(alone), "seed {seed}: {wrong:?}");
        }
    }
    assert!(found > 5, "{found}");
}
