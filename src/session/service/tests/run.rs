//! The schedule of a run: one step of one thread at a time, until all have ended or none can go on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::network::Network;
use super::process::Process;
use super::script::{Fault, Scenario, Step, Wish};
use super::thread::Thread;
use crate::comm::sim::{Broadcasts, World};
use crate::outcome::Verdict;
use crate::plan::Item;
use crate::request::Lane;
use crate::round::Report;

/// Steps after which a run has no end. Random scenarios need some hundred to some thousand.
const MOST_STEPS: u64 = 1_000_000;
/// How often the simulated MPI says "not yet" at most, although it could say yes.
const MOST_PATIENCE: u32 = 4;

/// What all processes share that is not dlcast's.
pub struct Program {
    pub scenario: Scenario,
    pub size: u32,
    pub random: fastrand::Rng,
    /// Messages that were sent.
    pub messages: BTreeSet<u32>,
    /// How many have come to a barrier.
    pub barriers: BTreeMap<u32, u32>,
    /// What callers were told: rank, wish, the round's report.
    pub answers: Vec<(u32, Wish, Arc<Report>)>,
    /// Calls that have returned after having waited for Python, too.
    pub returned: Vec<(u32, Wish)>,
    /// What constructors and bodies have asked the other lane for while the service ran them: rank, by whom, what.
    pub asked: Vec<(u32, Wish, Wish)>,
    /// Nobody can do anything before it does.
    pub time_passes: bool,
    /// What was wrong on the way.
    pub wrong: Vec<String>,
}

/// A run after its end.
pub struct Run {
    pub program: Program,
    pub processes: Vec<Process>,
    pub threads: Vec<Vec<Thread>>,
    pub worlds: [World; 2],
    pub network: Rc<RefCell<Network>>,
    pub steps: u64,
    /// Who waits for what; empty if all have ended.
    pub stuck: Vec<String>,
}

/// Somebody who can be given a turn: a thread of a rank, by number; after the last, its protocol thread.
type Agent = (usize, usize);

/// Runs a scenario to its end.
pub fn run(scenario: Scenario) -> Run {
    let size = scenario.ranks.len() as u32;
    let seed = scenario.seed;
    let broadcasts = [Broadcasts::Eager, Broadcasts::Tree, Broadcasts::Together][seed as usize % 3];
    let worlds = [!seed, seed].map(|seed| World::new(size, seed, broadcasts, Vec::new()));
    let network = Network::new(size, seed);
    let (processes, threads) = (0..size).map(|rank| Process::new(&scenario, rank, &worlds, &network)).unzip();
    let program = Program {
        scenario,
        size,
        random: fastrand::Rng::with_seed(seed.rotate_left(32)),
        messages: BTreeSet::new(),
        barriers: BTreeMap::new(),
        answers: Vec::new(),
        returned: Vec::new(),
        asked: Vec::new(),
        time_passes: false,
        wrong: Vec::new(),
    };
    let mut run = Run { program, processes, threads, worlds, network, steps: 0, stuck: Vec::new() };
    run.go();
    run
}

impl Run {
    fn go(&mut self) {
        let agents: Vec<Agent> = (0..self.threads.len())
            .flat_map(|rank| (0..=self.threads[rank].len()).map(move |thread| (rank, thread)))
            .collect();
        let mut in_vain = 0;
        // Some are slow for a while: the others run far ahead of them.
        let mut slow: BTreeSet<Agent> = BTreeSet::new();
        loop {
            if self.program.random.u8(0..32) == 0 {
                slow.clear();
                let few = self.program.random.usize(..=agents.len() / 2);
                slow.extend((0..few).map(|_| agents[self.program.random.usize(..agents.len())]));
            }
            let agent = agents[self.program.random.usize(..agents.len())];
            let moved = !slow.contains(&agent) && self.turn(agent);
            self.steps += u64::from(moved);
            in_vain = if moved { 0 } else { in_vain + 1 };
            if self.steps == MOST_STEPS {
                self.stuck = vec![format!("no end after {MOST_STEPS} steps")];
                return;
            }
            if in_vain > agents.len() {
                slow.clear();
                in_vain = 0;
                if !self.anybody(&agents) {
                    break;
                }
            }
        }
        self.stuck = self.who_waits();
    }

    /// One after the other, without delays: whether anybody can go on. Twice, because a lane that hands out work says that it
    /// waits.
    fn anybody(&mut self, agents: &[Agent]) -> bool {
        self.network.borrow_mut().prompt = true;
        self.program.time_passes = true;
        let start = self.program.random.usize(..agents.len());
        let mut order = (0..2 * agents.len()).map(|at| agents[(start + at) % agents.len()]);
        let moved = order.any(|agent| (0..MOST_PATIENCE).any(|_| self.turn(agent)));
        self.network.borrow_mut().prompt = false;
        self.program.time_passes = false;
        moved
    }

    fn turn(&mut self, (rank, thread): Agent) -> bool {
        let process = &mut self.processes[rank];
        match self.threads[rank].get_mut(thread) {
            Some(thread) => {
                let told = self.program.answers.len();
                let moved = thread.step(process, &mut self.program);
                if self.program.answers.len() > told {
                    self.check_answer();
                }
                moved
            }
            None => {
                let busy = || {
                    let workers = &self.threads[rank][process.spec.scripts.len()..];
                    workers.iter().any(|worker| worker.job.is_some())
                };
                if self.program.scenario.fault == Some(Fault::OneThread) && busy() {
                    return false;
                }
                process.protocol(&mut self.program)
            }
        }
    }

    /// Who is told that something was committed can rely on it: every rank has it by now.
    fn check_answer(&mut self) {
        let Some((rank, wish, report)) = self.program.answers.last() else { return };
        let is_committed =
            |(item, verdict): &(Item, Verdict)| Wish::of(item) == *wish && *verdict == Verdict::Committed;
        if self.program.scenario.deadlines || !report.items.iter().any(is_committed) {
            return;
        }
        // A body's libraries come before its own verdict.
        let asked = self.program.asked.iter().filter(|(_, by, what)| by == wish && what.lane() == Lane::Native);
        for (at, _, what) in asked {
            let process = &self.processes[*at as usize];
            let mut told = process.post.track(Lane::Native).told.iter().flat_map(|report| &report.items);
            if !process.committed.contains(what) && !told.any(|(item, _)| Wish::of(item) == *what) {
                let text = format!("rank {rank} was told of {wish:?} before {what:?}, which it asks for on rank {at}");
                self.program.wrong.push(text);
            }
        }
        let concerned = |process: &&Process| wish.lane() == Lane::Native || process.spec.has_python;
        let without: Vec<u32> = (self.processes.iter().filter(concerned))
            .filter(|process| !process.committed.contains(wish))
            .map(|process| process.rank)
            .collect();
        if !without.is_empty() {
            self.program
                .wrong
                .push(format!("rank {rank} was told that all have {wish:?}, but ranks {without:?} have not"));
        }
    }

    /// Every thread that has not ended, and what it waits for.
    fn who_waits(&self) -> Vec<String> {
        let mut waits = Vec::new();
        for (rank, (process, threads)) in self.processes.iter().zip(&self.threads).enumerate() {
            let names = |number: usize| match number.checked_sub(process.spec.scripts.len()) {
                Some(0) => "the library worker".to_string(),
                Some(_) => "the import worker".to_string(),
                None => format!("thread {number}"),
            };
            for (number, thread) in threads.iter().enumerate() {
                let Some(step) = thread.stack.last() else { continue };
                let holder = match step {
                    Step::TakeGil => process.gil.map(&names),
                    Step::LockLoader => process.loader.map(|(owner, _)| names(owner)),
                    Step::AwaitModule(module) => process.modules.get(module).and_then(|state| state.owner).map(&names),
                    _ => None,
                };
                let held = holder.map(|holder| format!(", which {holder} has")).unwrap_or_default();
                let gil = if process.gil == Some(number) { " with the GIL" } else { "" };
                waits.push(format!("rank {rank}: {}{gil} inside {:?} at {step:?}{held}", names(number), thread.inside));
            }
            let queues = process.desk.queues();
            let (errands, imports) = (queues.errands.len(), queues.imports.len());
            drop(queues);
            if errands + imports > 0 {
                waits.push(format!("rank {rank}: {errands} jobs for the library worker, {imports} for Python's"));
            }
            for lane in Lane::BOTH {
                let track = process.post.track(lane);
                if !track.is_idle() && !process.is_over() {
                    let what = format!("{} {} {}", track.phase(), track.subject(), track.says());
                    waits.push(format!("rank {rank}: {lane:?} lane, round {}: {what}", track.told.len() + 1));
                }
            }
        }
        waits
    }
}
