//! A rank that does not come, in every phase: the roll-call over simulated notes, in simulated time.

use std::time::Duration;

use super::oracle::check;
use super::run::SimRank;
use super::scenario::{Opening, Scenario, library};
use crate::comm::Control;
use crate::comm::sim::{Broadcasts, World};
use crate::error::{Missed, Phase};
use crate::rollcall::{self, RollCall, left_word};
use crate::wire::Here;

/// How far the clock goes between two turns of a rank.
const TICK: Duration = Duration::from_millis(10);
/// Enough for two deadlines and a roll-call.
const MOST_TICKS: u32 = 2_000;
const NEVER: Duration = Duration::MAX;

static HOST_OF: fn(u32) -> String = |rank| format!("node{}", rank / 2);

/// A rank with a deadline, as a session steps it.
struct Caller {
    number: u32,
    size: u32,
    rank: SimRank,
    deadline: Duration,
    since: Option<Duration>,
    call: Option<(RollCall, Duration)>,
    told: Option<Missed>,
    /// Whether it looks for word before it starts a collective, and before it believes one: what a session must do.
    looks: bool,
}

impl Caller {
    fn done(&self) -> bool {
        self.told.is_some() || self.rank.ended.is_some()
    }

    fn turn(&mut self, now: Duration, world: &World) {
        if self.call.is_some() {
            return self.answer(now);
        }
        let starts = self.rank.about_to_start();
        // The negative control gives a collective the time to complete before it looks.
        for _ in 0..if self.looks || !self.rank.waits() { 0 } else { 4 } {
            self.rank.turn();
            if !self.rank.waits() {
                self.since = None;
                return;
            }
        }
        if self.rank.waits() || (starts && self.looks) {
            let mut notes = Vec::new();
            while let Ok(Some(note)) = self.rank.comm.poll() {
                notes.push(note);
            }
            if let Some(missed) = notes.iter().find_map(|(_, note)| left_word(note, self.size)) {
                self.told = Some(missed);
                return;
            }
            let since = *self.since.get_or_insert(now);
            if !notes.is_empty() || now - since >= self.deadline {
                self.open(now, world);
                if let Some((call, _)) = &mut self.call {
                    notes.iter().for_each(|(from, note)| {
                        drop(rollcall::read(note, self.size).map(|note| call.hear(*from, note)))
                    });
                }
                return self.answer(now);
            }
        }
        self.rank.turn();
        if !self.rank.waits() {
            self.since = None;
        }
    }

    fn open(&mut self, now: Duration, world: &World) {
        let (phase, what) = (self.rank.round.phase(), self.rank.round.subject());
        let step = world.steps(self.number) as u64;
        let waited_ms = self.deadline.as_millis() as u64;
        let here = Here { step, phase, what, waited_ms, lane: None, ends: true, doing: String::new() };
        self.call = Some((RollCall::open(self.number, self.size, here), now));
    }

    fn answer(&mut self, now: Duration) {
        let Some((call, opened)) = &mut self.call else { return };
        let comm = &mut self.rank.comm;
        let mut flush = |call: &mut RollCall| {
            call.outbox.drain(..).for_each(|(to, note)| comm.post(to, &note).unwrap());
        };
        flush(call);
        let heard = std::iter::from_fn(|| self.rank.comm.poll().unwrap()).find_map(|(from, note)| {
            let note = rollcall::read(&note, self.size)?;
            call.hear(from, note)
        });
        self.told = heard.or_else(|| call.tick(now - *opened, &HOST_OF)).map(|called| called.missed);
        let comm = &mut self.rank.comm;
        call.outbox.drain(..).for_each(|(to, note)| comm.post(to, &note).unwrap());
    }
}

/// Lets rank `absent` stay away from its collective `step` until the others have ended, or until a time; then it comes.
fn stay_away(scenario: &Scenario, absent: u32, step: usize, looks: bool, until: Duration) -> Vec<Caller> {
    let size = scenario.size();
    let world = World::new(size, scenario.seed, scenario.broadcasts, Vec::new());
    let random = &mut fastrand::Rng::with_seed(scenario.seed ^ u64::from(absent));
    let mut callers: Vec<Caller> = (0..size)
        .map(|number| Caller {
            number,
            size,
            rank: SimRank::new(&world, number, scenario),
            deadline: Duration::from_millis(5_000 + random.u64(0..200)),
            since: None,
            call: None,
            told: None,
            looks,
        })
        .collect();
    let mut order: Vec<usize> = (0..size as usize).collect();
    for tick in 0..MOST_TICKS {
        random.shuffle(&mut order);
        let others = (0..size).filter(|&rank| rank != absent).all(|rank| callers[rank as usize].done());
        for &rank in &order {
            let caller = &mut callers[rank];
            let away = caller.number == absent && caller.rank.about_to_start() && world.steps(absent) == step;
            if !caller.done() && (!away || others || TICK * tick >= until) {
                caller.turn(TICK * tick, &world);
            }
        }
    }
    callers
}

/// What the others were told; the same for all.
fn told(callers: &[Caller], absent: u32) -> Missed {
    let others = || callers.iter().filter(|caller| caller.number != absent);
    let first = others().next().and_then(|caller| caller.told.clone()).expect("nobody was told");
    for caller in others() {
        assert_eq!(caller.told.as_ref(), Some(&first), "rank {}", caller.number);
    }
    first
}

/// Six collectives: the sets differ, a library is missing on the last rank, another cannot be opened on the first.
fn long_way(size: u32, seed: u64) -> Scenario {
    let scenario = (0..3).fold(Scenario::of(size, 3, seed), |all, content| all.want([0], library(content)));
    scenario
        .want([size - 1], library(0))
        .on(size - 1, |rank| rank.files.retain(|_, content| *content != 1))
        .on(0, |rank| rank.openings.extend([(2, Opening::Fails)]))
}

const LONG_WAY: [Phase; 6] = [Phase::Agree, Phase::Exchange, Phase::Stage, Phase::Stage, Phase::Decide, Phase::Decide];

#[test]
fn whoever_stays_away_in_whatever_phase_is_named_to_all_and_finds_the_word() {
    for size in 2..=8 {
        assert_eq!(check(&long_way(size, 1)).world.collectives(), LONG_WAY.len());
        for absent in 0..size {
            for (step, phase) in LONG_WAY.into_iter().enumerate() {
                let callers = stay_away(&long_way(size, u64::from(absent)), absent, step, true, NEVER);
                let missed = told(&callers, absent);
                let named: Vec<u32> = missed.missing.iter().map(|absent| absent.rank).collect();
                assert_eq!((named, missed.phase), (vec![absent], phase), "{size} ranks: {missed:?}");
                assert_eq!(missed.missing[0].host, HOST_OF(absent));
                assert!(missed.behind.is_empty() && missed.waited_ms >= 5_000, "{missed:?}");
                // It comes when all is over, and is told the same at once.
                assert_eq!(callers[absent as usize].told.as_ref(), Some(&missed));
                assert!(callers.iter().all(|caller| caller.rank.host.visible.is_empty()));
            }
        }
    }
}

#[test]
fn whoever_stays_away_from_a_broadcast_is_named_alone() {
    for size in 2..=8 {
        for (seed, broadcasts) in [Broadcasts::Eager, Broadcasts::Tree, Broadcasts::Together].into_iter().enumerate() {
            for absent in 0..size {
                let scenario = Scenario { broadcasts, ..Scenario::of(size, 1, seed as u64).want([0], library(0)) };
                let callers = stay_away(&scenario, absent, 1, true, NEVER);
                let missed = told(&callers, absent);
                assert_eq!(missed.missing.len(), 1);
                assert_eq!(missed.missing[0].rank, absent);
                // Those that the missing rank cuts off from the root have done nothing wrong.
                assert!(missed.behind.is_empty(), "{missed}");
                // A broadcast may be over for some before all have come: then they wait for the next vote.
                assert!(matches!(missed.phase, Phase::Exchange | Phase::Stage));
                assert!(missed.what.contains("lib0.so") || absent == 0, "{missed}");
                assert_eq!(callers[absent as usize].told.as_ref(), Some(&missed));
            }
        }
    }
}

#[test]
fn a_rank_that_comes_in_time_is_not_missed() {
    for size in 2..=8 {
        let callers = stay_away(&long_way(size, 3), 0, usize::MAX, true, NEVER);
        assert!(callers.iter().all(|caller| caller.told.is_none() && caller.rank.ended.is_some()));
    }
}

/// Why a session looks for word before each collective, not only before its first: the others' shares are all in, so
/// the last one completes for the rank that comes too late.
#[test]
fn a_late_rank_that_does_not_look_commits_alone() {
    let callers = stay_away(&long_way(4, 1), 2, 5, false, NEVER);
    let seen: Vec<bool> = callers.iter().map(|caller| !caller.rank.host.visible.is_empty()).collect();
    assert_eq!(seen, [false, false, true, false]);
}

/// Whenever it comes: all go on together, or all are told the same. Not for the last collective of a round: whoever has
/// completed that one has ended, and cannot be told that another's deadline passed in the same moment.
#[test]
fn a_rank_that_comes_around_the_deadline_divides_nobody() {
    for (size, wait) in [2, 3, 5].into_iter().flat_map(|size| (4_800..7_200).step_by(50).map(move |wait| (size, wait)))
    {
        for (absent, step) in (0..size).flat_map(|absent| (0..LONG_WAY.len() - 1).map(move |step| (absent, step))) {
            let callers = stay_away(&long_way(size, wait), absent, step, true, Duration::from_millis(wait));
            let all = |told: &Option<Missed>, ended: bool| {
                callers.iter().all(|caller| caller.told == *told && caller.rank.ended.is_some() == ended)
            };
            assert!(
                all(&None, true) || (callers[0].told.is_some() && all(&callers[0].told, false)),
                "{size} ranks, rank {absent} away from collective {step} until {wait} ms"
            );
        }
    }
}
