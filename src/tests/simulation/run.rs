//! Steps the ranks of a scenario in a seeded order until all have ended, or none can go on.

use std::collections::{BTreeMap, BTreeSet};

use super::host::Host;
use super::scenario::{Content, Scenario};
use super::tables::Slot;
use super::thing::Thing;
use crate::comm::sim::{SimComm, World};
use crate::comm::{Collective, Comm, Local};
use crate::outcome::Verdict;
use crate::plan::{Library, What};
use crate::round::{Ask, Given, Report, Round};
use crate::wire::WireError;

/// Turns of all ranks together after which a round has no end. Random scenarios need some hundred.
const MOST_TURNS: u32 = 100_000;

/// What a rank does next.
enum Next {
    Ask(Ask),
    Test,
    Nothing,
}

/// One rank: the machine, its loader, its communicator. The driver that a session is in the real crate.
pub struct SimRank {
    pub comm: SimComm,
    pub round: Round,
    pub host: Host,
    next: Next,
    /// How often a plan travelled. Once a pass: then even paths and spellings are the same everywhere.
    pub exchanges: u32,
    pub ended: Option<Result<Report, WireError>>,
}

impl SimRank {
    pub fn new(world: &World, rank: u32, scenario: &Scenario) -> Self {
        let host = Host::new(rank, scenario.ranks[rank as usize].clone());
        SimRank::with(world, rank, scenario, host)
    }

    fn with(world: &World, rank: u32, scenario: &Scenario, host: Host) -> Self {
        let spec = &host.spec;
        let mut round = Round::new(rank, scenario.size(), spec.serial);
        round.skip_vote_on_failure = spec.skips_vote_on_failure;
        round.skip_compare_when_unchanged = spec.skips_compare_when_unchanged;
        let next = Next::Ask(round.step(Given::Start));
        SimRank { comm: world.comm(rank), round, host, next, exchanges: 0, ended: None }
    }

    /// Whether the next thing it does is to start a collective.
    pub fn about_to_start(&self) -> bool {
        matches!(self.next, Next::Ask(Ask::Collective(_)))
    }

    /// Whether it waits in a collective.
    pub fn waits(&self) -> bool {
        matches!(self.next, Next::Test)
    }

    /// Does one thing: starts a collective, tests it, or does a job.
    pub fn turn(&mut self) {
        let given = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Ask(Ask::Collective(collective)) => {
                if let Collective::Broadcast { .. } = collective {
                    self.exchanges += 1;
                } else if let Collective::Merge { with, .. } = &collective
                    && std::ptr::fn_addr_eq(*with, crate::wire::merge_plans as crate::comm::MergeFn)
                {
                    self.exchanges += 1;
                }
                // A refusal is noted by the world, and ends the run.
                if self.comm.start(collective).is_ok() {
                    self.next = Next::Test;
                }
                return;
            }
            Next::Ask(Ask::Job(job)) => Given::Job(Local(self.host.run(job))),
            Next::Ask(Ask::Done(result)) => {
                self.ended = Some(result);
                return;
            }
            Next::Test => match self.comm.test() {
                Ok(Some(reply)) => Given::Collective(reply),
                _ => {
                    self.next = Next::Test;
                    return;
                }
            },
            Next::Nothing => return,
        };
        self.next = Next::Ask(self.round.step(given));
    }
}

/// A scenario after its end.
pub struct Run {
    pub world: World,
    pub ranks: Vec<SimRank>,
    /// What went wrong with the collectives; empty when all is well.
    pub failures: Vec<String>,
    /// Turns of all ranks together.
    pub turns: u32,
    /// What the session had before, on every rank.
    pub before: Before,
}

/// What a session has between two calls.
#[derive(Default)]
pub struct Before {
    pub visible: BTreeSet<Thing>,
    /// Libraries, and whether with RTLD_GLOBAL.
    pub committed: BTreeMap<Content, bool>,
    pub registry: Vec<Slot>,
}

/// Runs a scenario to its end.
pub fn run(scenario: &Scenario) -> Run {
    let spec = |rank: u32| scenario.ranks[rank as usize].clone();
    go(scenario, (0..scenario.size()).map(|rank| Host::new(rank, spec(rank))).collect(), Before::default())
}

/// The next call of the session that has come to its end in `last`, in the same processes.
pub fn run_next(last: Run, scenario: &Scenario) -> Run {
    let mut hosts: Vec<Host> = last.ranks.into_iter().map(|rank| rank.host).collect();
    let first = &hosts[0];
    let global = |content| first.global.contains_key(content);
    let before = Before {
        visible: first.visible.clone(),
        committed: first.committed.keys().map(|content| (*content, global(content))).collect(),
        registry: first.registry.clone(),
    };
    for (host, spec) in hosts.iter_mut().zip(&scenario.ranks) {
        host.begin_call(spec.clone());
    }
    go(scenario, hosts, before)
}

fn go(scenario: &Scenario, hosts: Vec<Host>, before: Before) -> Run {
    let size = scenario.size();
    let world = World::new(size, scenario.seed, scenario.broadcasts, scenario.faults.clone());
    let ranks = (0..size).zip(hosts).map(|(rank, host)| SimRank::with(&world, rank, scenario, host));
    let mut ranks: Vec<SimRank> = ranks.collect();
    let mut random = fastrand::Rng::with_seed(!scenario.seed);
    let mut live: Vec<u32> = (0..size).collect();
    let mut turns = 0;
    while !live.is_empty() && !world.broken() && turns < MOST_TURNS {
        // From a random place on, the first that is not blocked.
        let start = random.usize(..live.len());
        let order = (start..live.len()).chain(0..start);
        let Some(place) = order.into_iter().find(|&place| !world.blocked(live[place])) else { break };
        let rank = live[place];
        // Several turns at once let one rank run far ahead of the others.
        for _ in 0..random.u32(1..4) {
            ranks[rank as usize].turn();
        }
        if ranks[rank as usize].ended.is_some() {
            world.end(rank);
            live.swap_remove(place);
        }
        turns += 1;
    }
    let mut failures = world.failures();
    if turns == MOST_TURNS {
        failures.push(format!("no end after {turns} turns"));
    }
    Run { world, ranks, failures, turns, before }
}

impl Run {
    /// What rank 0 was told.
    pub fn report(&self) -> &Report {
        match &self.ranks[0].ended {
            Some(Ok(report)) => report,
            other => panic!("no report: {other:?}, {:?}", self.failures),
        }
    }

    /// The verdict on a thing, where there is exactly one.
    pub fn verdict(&self, thing: &Thing) -> Verdict {
        let mut found = self.report().items.iter().filter(|(item, _)| Thing::of(&item.what) == *thing);
        let verdict = found.next().unwrap_or_else(|| panic!("no verdict on {thing:?}")).1.clone();
        assert!(found.next().is_none(), "two verdicts on {thing:?}");
        verdict
    }

    /// The libraries in the report.
    pub fn libraries(&self) -> Vec<Library> {
        let libraries = self.report().items.iter().filter_map(|(item, _)| match &item.what {
            What::Library(library) => Some(library.clone()),
            _ => None,
        });
        libraries.collect()
    }

    /// In which order a rank opened and imported, each for the first time.
    pub fn order(&self, rank: usize) -> Vec<Thing> {
        let mut order: Vec<Thing> = Vec::new();
        for (_, thing) in &self.ranks[rank].host.tried {
            if !order.contains(thing) {
                order.push(thing.clone());
            }
        }
        order
    }
}
