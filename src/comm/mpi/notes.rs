//! Small notes between two ranks: the transport of the roll-call.
//!
//! Sending never waits for the receiver, who may never call.

use std::ffi::c_int;

use mpi::ffi;

use super::RawComm;
use super::call::{Request, improbe, isend, rank_and_size};
use super::user::UserComm;
use crate::comm::{CommError, Control};

/// On dlcast's own control communicator any tag would do. Before that exists, notes travel on the user's communicator,
/// only after a deadline, under a tag below the smallest MPI_TAG_UB (32767, MPI 4.1 section 9.1.2) that programs
/// hardly use.
const TAG: c_int = 32_749;

/// How long it is waited for notes to be sent.
const MOST_FLUSH: std::time::Duration = std::time::Duration::from_secs(1);

/// Notes on one communicator.
pub struct Notes {
    comm: ffi::MPI_Comm,
    rank: u32,
    size: u32,
    own: bool,
    /// Notes that MPI may still read.
    posted: Vec<(Request, Vec<u8>)>,
}

// SAFETY: as for MpiComm: handles are plain values, and a session is stepped by one thread at a time.
unsafe impl Send for Notes {}

impl Notes {
    /// Notes on a communicator that dlcast made.
    pub fn on(raw: RawComm) -> Result<Self, CommError> {
        let (rank, size) = rank_and_size(raw.0)?;
        Ok(Notes { comm: raw.0, rank, size, own: true, posted: Vec::new() })
    }

    /// Notes on the user's communicator: before attach is complete there is no other.
    pub fn on_users(comm: UserComm) -> Result<Self, CommError> {
        let (rank, size) = rank_and_size(comm.raw())?;
        Ok(Notes { comm: comm.raw(), rank, size, own: false, posted: Vec::new() })
    }

    /// This process's rank.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// Ranks in the communicator.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Forgets the notes that MPI has sent.
    fn reap(&mut self) -> Result<(), CommError> {
        let mut posted = std::mem::take(&mut self.posted);
        let mut failed = Ok(());
        posted.retain_mut(|(request, _)| match request.test() {
            Ok(sent) => !sent,
            Err(error) => {
                failed = Err(error);
                true
            }
        });
        self.posted = posted;
        failed
    }

    /// Gives MPI the time to send what was posted, as far as the receivers take it.
    pub fn flush(&mut self) -> Result<(), CommError> {
        let start = std::time::Instant::now();
        while !self.posted.is_empty() && start.elapsed() < MOST_FLUSH {
            self.reap()?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// See [`super::MpiComm::free`].
    pub fn free(mut self) {
        if self.own && self.posted.is_empty() && super::world::is_up() {
            super::call::free(&mut self.comm);
        }
    }
}

impl Control for Notes {
    fn post(&mut self, to: u32, note: &[u8]) -> Result<(), CommError> {
        self.reap()?;
        let note = note.to_vec();
        let request = isend(self.comm, to, TAG, &note)?;
        self.posted.push((request, note));
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<(u32, Vec<u8>)>, CommError> {
        let Some(mut incoming) = improbe(self.comm, None, TAG)? else { return Ok(None) };
        // The message has arrived and is small: this ends at once.
        while !incoming.request.test()? {
            std::thread::yield_now();
        }
        Ok(Some((incoming.from, incoming.bytes)))
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        // A note to a rank that never came: MPI may read it until MPI_Finalize.
        std::mem::forget(std::mem::take(&mut self.posted));
    }
}
