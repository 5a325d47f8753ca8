//! One rank of the benchmark: MPI, and questions that all ranks answer together.
//!
//! It uses communicators of its own, never one that dlcast or the floor talks on.

use std::time::{Duration, Instant};

use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

/// A started rank. Dropping it finalises MPI.
pub struct Job {
    /// The rank in [`Job::world`].
    pub rank: i32,
    /// Ranks in [`Job::world`].
    pub size: i32,
    /// The first rank of its node.
    pub leads: bool,
    /// Nodes in the job.
    pub nodes: u64,
    /// All ranks.
    pub world: SimpleCommunicator,
    own: SimpleCommunicator,
    _universe: Universe,
}

impl Job {
    /// Starts MPI.
    ///
    /// # Collective
    /// Every rank's first call.
    pub fn start() -> Job {
        let universe = mpi::initialize().expect("MPI is started once");
        let world = universe.world();
        let own = world.duplicate();
        let leads = world.split_shared(world.rank()).rank() == 0;
        let mut job = Job { rank: world.rank(), size: world.size(), leads, nodes: 0, world, own, _universe: universe };
        job.nodes = job.sum(u64::from(leads));
        job
    }

    /// Prints a line once.
    pub fn say(&self, line: &str) {
        if self.rank == 0 {
            println!("{line}");
        }
    }

    /// `1 node`, `3 nodes`.
    pub fn nodes_in_words(&self) -> String {
        format!("{} node{}", self.nodes, if self.nodes == 1 { "" } else { "s" })
    }

    /// Waits for all ranks.
    pub fn barrier(&self) {
        self.own.barrier();
    }

    /// Lets rank 0 do something that all ranks then find done.
    pub fn once(&self, work: impl FnOnce()) {
        if self.rank == 0 {
            work();
        }
        self.barrier();
    }

    /// The sum over all ranks.
    pub fn sum(&self, value: u64) -> u64 {
        self.reduce(value, SystemOperation::sum())
    }

    /// The largest of all ranks.
    pub fn max(&self, value: u64) -> u64 {
        self.reduce(value, SystemOperation::max())
    }

    fn reduce(&self, value: u64, operation: SystemOperation) -> u64 {
        let mut answer = 0u64;
        self.own.all_reduce_into(&value, &mut answer, operation);
        answer
    }

    /// How long `work` takes until the last rank has returned from it, and what this rank got.
    ///
    /// # Collective
    /// All ranks; `work` waits for all of them, so that the longest time of a rank is the time of the whole.
    pub fn timed<T>(&self, work: impl FnOnce() -> T) -> (Duration, T) {
        self.barrier();
        let start = Instant::now();
        let value = work();
        let own = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        (Duration::from_nanos(self.max(own)), value)
    }
}
