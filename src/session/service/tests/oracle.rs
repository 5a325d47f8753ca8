//! What must hold after every run.

use std::collections::BTreeSet;

use super::run::Run;
use super::script::Wish;
use crate::outcome::Verdict;
use crate::request::Lane;

/// Everything that is wrong with a run.
pub fn violations(run: &Run) -> Vec<String> {
    let mut wrong: Vec<String> = run.stuck.iter().map(|waits| format!("stuck: {waits}")).collect();
    wrong.extend(run.program.wrong.iter().cloned());
    for world in &run.worlds {
        // Who waits in the end is known already, and a round after the last goodbye has no end.
        wrong.extend(world.failures().into_iter().filter(|failure| !failure.starts_with("stuck")));
    }
    once(run, &mut wrong);
    if run.stuck.is_empty() {
        rounds(run, &mut wrong);
        // A job that came too late is finished some time; whoever asked meanwhile was told so.
        if !run.program.scenario.deadlines {
            committed(run, &mut wrong);
            answers(run, &mut wrong);
            left(run, &mut wrong);
        }
        words(run, &mut wrong);
    }
    wrong
}

/// Nothing runs twice in a process.
fn once(run: &Run, wrong: &mut Vec<String>) {
    for process in &run.processes {
        for (wish, times) in process.runs.iter().filter(|(_, times)| **times > 1) {
            wrong.push(format!("rank {}: {wish:?} ran {times} times", process.rank));
        }
    }
}

/// Every rank was in the same rounds, and was told the same.
fn rounds(run: &Run, wrong: &mut Vec<String>) {
    let first = &run.processes[0];
    for lane in Lane::BOTH {
        for process in &run.processes[1..] {
            let (one, other) = (&first.post.track(lane).told, &process.post.track(lane).told);
            // The last goodbye may come before the last barrier, where nobody waits for its round.
            let both = one.len().min(other.len());
            if one[..both] != other[..both] || both + 1 < one.len().max(other.len()) {
                wrong.push(format!("{lane:?} lane: rank 0 was told {one:#?}, rank {} {other:#?}", process.rank));
            }
        }
    }
}

/// Every rank has committed the same.
fn committed(run: &Run, wrong: &mut Vec<String>) {
    for lane in Lane::BOTH {
        let mut standing = BTreeSet::new();
        let told = run.processes.iter().map(|process| &process.post.track(lane).told).max_by_key(|told| told.len());
        for report in told.into_iter().flatten() {
            for (item, verdict) in &report.items {
                let wish = Wish::of(item);
                if *verdict == Verdict::Committed {
                    standing.insert(wish);
                }
            }
        }
        for process in run.processes.iter().filter(|process| lane == Lane::Native || process.spec.has_python) {
            let committed: BTreeSet<Wish> =
                process.committed.iter().filter(|wish| wish.lane() == lane).copied().collect();
            // What is revoked stays in the report of an earlier round.
            if !committed.is_subset(&standing) {
                wrong.push(format!("rank {} has {committed:?}, told were {standing:?}", process.rank));
            }
            let other = run.processes.iter().find(|other| lane == Lane::Native || other.spec.has_python);
            let theirs = other.map(|other| other.committed.iter().filter(|wish| wish.lane() == lane).copied());
            if theirs.map(Iterator::collect::<BTreeSet<Wish>>) != Some(committed) {
                wrong.push(format!("rank {} has not what the others have: {:?}", process.rank, process.committed));
            }
        }
    }
}

/// Whoever asked was told what all ranks were told.
fn answers(run: &Run, wrong: &mut Vec<String>) {
    for (rank, wish, report) in &run.program.answers {
        let process = &run.processes[*rank as usize];
        let told = &process.post.track(wish.lane()).told;
        if !told.contains(report) {
            wrong.push(format!("rank {rank} was told of {wish:?} what no round came to"));
        }
        let has_verdict = report.items.iter().any(|(item, _)| Wish::of(item) == *wish);
        if !has_verdict && !process.committed.contains(wish) {
            wrong.push(format!("rank {rank} has no verdict on {wish:?}"));
        }
    }
}

/// What was asked for before the end has a verdict.
fn left(run: &Run, wrong: &mut Vec<String>) {
    for process in &run.processes {
        for wish in &process.wished {
            let told = &process.post.track(wish.lane()).told;
            let has_verdict = told.iter().flat_map(|report| &report.items).any(|(item, _)| Wish::of(item) == *wish);
            if !has_verdict && !process.committed.contains(wish) {
                wrong.push(format!("rank {} has asked for {wish:?} and has no verdict", process.rank));
            }
        }
    }
}

/// A wake for every rank but the first, and a ring of each at most, in a round.
fn words(run: &Run, wrong: &mut Vec<String>) {
    let others = u64::from(run.program.size - 1);
    for (lane, words) in Lane::BOTH.into_iter().zip(run.network.borrow().words) {
        let rounds = run.processes.iter().map(|process| process.post.track(lane).told.len()).max().unwrap_or(0) as u64;
        if words > 2 * others * (rounds + 1) {
            wrong.push(format!("{words} words in {rounds} rounds of the {lane:?} lane, of {} ranks", others + 1));
        }
    }
}
