//! One rank of the benchmark: MPI, and questions that all ranks answer together.
//!
//! It uses communicators of its own, never one that dlcast or the floor talks on.

use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

/// Of a rank that sleeps while others work.
const NAP: Duration = Duration::from_millis(10);

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
        Job::start_with(Threading::Single)
    }

    /// Starts MPI for threads.
    ///
    /// # Collective
    /// Every rank's first call.
    pub fn start_with(threading: Threading) -> Job {
        let (universe, provided) = mpi::initialize_with_threading(threading).expect("MPI is started once");
        assert!(provided >= threading, "MPI provides {provided:?} only");
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

    /// Waits for all ranks, and leaves the processors to others meanwhile.
    pub fn barrier_asleep(&self) {
        let mut all_here = self.own.immediate_barrier();
        while let Err(not_yet) = all_here.test() {
            all_here = not_yet;
            std::thread::sleep(NAP);
        }
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

    /// What `work` takes until the last rank has returned from it.
    ///
    /// # Collective
    /// All ranks; `work` waits for all of them, so that the longest time of a rank is the time of the whole.
    pub fn timed(&self, work: impl FnOnce()) -> Took {
        self.timed_on(|start| {
            work();
            start.elapsed()
        })
    }

    /// The same where `work` itself tells how long it was: the longest of all ranks counts.
    ///
    /// # Collective
    /// All ranks.
    pub fn timed_on(&self, work: impl FnOnce(Instant) -> Duration) -> Took {
        self.barrier();
        let (start, spent) = (Instant::now(), processor_time());
        let wall = work(start);
        let spent = processor_time().saturating_sub(spent);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let in_ms = |nanos: u64| nanos as f64 / 1e6;
        Took { wall: in_ms(self.max(nanos(wall))), processor: in_ms(self.sum(nanos(spent))) }
    }
}

/// What something took, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// Until the last rank was through.
    pub wall: f64,
    /// Of the processors, by all ranks together: other programs on the machine disturb it less.
    pub processor: f64,
}

fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local; the clock is one that every process has.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
