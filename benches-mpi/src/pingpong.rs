//! Two ranks that send each other messages, while the others sleep: what a program's own messages take.
//!
//! MPI's own functions are called, past the profiling layer, which would count and take time.

use std::ffi::c_int;
use std::time::Instant;

use mpi::ffi;
use mpi::raw::AsRaw;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::job::Job;
use crate::statistics::median;

/// Bytes of a message whose latency counts, and of one whose bandwidth does.
const SHORT: usize = 8;
const LONG: usize = 4 << 20;
/// Batches that are timed, and round trips of each.
const SHORT_BATCHES: (usize, usize) = (60, 500);
const LONG_BATCHES: (usize, usize) = (40, 1);

/// The two, with a communicator of their own.
pub struct PingPong {
    comm: SimpleCommunicator,
    buffer: Vec<u8>,
}

/// What was measured, on rank 0: medians of batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    /// Of 8 bytes, one way, in nanoseconds.
    pub latency: f64,
    /// Of 4 MiB, in GB/s.
    pub bandwidth: f64,
}

impl PingPong {
    /// # Collective
    /// All ranks, of which there are two at least.
    pub fn new(job: &Job) -> Self {
        PingPong { comm: job.world.duplicate(), buffer: vec![1; LONG] }
    }

    /// Some tenths of a second of messages between ranks 0 and 1.
    ///
    /// # Collective
    /// All ranks.
    pub fn play(&mut self, job: &Job) -> Speed {
        job.barrier_asleep();
        let mut speed = Speed::default();
        if job.rank < 2 {
            // The first round trip brings up what MPI makes late.
            self.one_way(job, SHORT, (1, 100));
            speed.latency = self.one_way(job, SHORT, SHORT_BATCHES);
            self.one_way(job, LONG, (1, 2));
            speed.bandwidth = LONG as f64 / self.one_way(job, LONG, LONG_BATCHES);
        }
        job.barrier_asleep();
        speed
    }

    /// Nanoseconds of a message, one way.
    fn one_way(&mut self, job: &Job, len: usize, (batches, trips): (usize, usize)) -> f64 {
        let other = 1 - job.rank;
        let batch = |_| {
            let start = Instant::now();
            for _ in 0..trips {
                if job.rank == 0 {
                    self.send(len, other);
                    self.receive(len, other);
                } else {
                    self.receive(len, other);
                    self.send(len, other);
                }
            }
            start.elapsed().as_nanos() as f64 / (2 * trips) as f64
        };
        median(&(0..batches).map(batch).collect::<Vec<f64>>())
    }

    fn send(&self, len: usize, to: c_int) {
        let count = len as c_int;
        // SAFETY: the buffer holds LONG bytes, of which `len` are sent; the call blocks until MPI has done with it.
        let code = unsafe {
            ffi::PMPI_Send(self.buffer.as_ptr().cast(), count, ffi::RSMPI_UINT8_T, to, 0, self.comm.as_raw())
        };
        assert_eq!(code, 0, "MPI failed");
    }

    fn receive(&mut self, len: usize, from: c_int) {
        let (buffer, count) = (self.buffer.as_mut_ptr().cast(), len as c_int);
        let comm = self.comm.as_raw();
        // SAFETY: the buffer has place for LONG bytes, of which `len` at most are received; the call blocks.
        let code =
            unsafe { ffi::PMPI_Recv(buffer, count, ffi::RSMPI_UINT8_T, from, 0, comm, ffi::RSMPI_STATUS_IGNORE) };
        assert_eq!(code, 0, "MPI failed");
    }
}
