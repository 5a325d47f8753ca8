//! MPI as a [`Comm`]: non-blocking collectives on a duplicate of the user's communicator, notes on a second one.
//!
//! Nothing else in the crate names MPI. rsmpi's safe calls drop return codes and panic or abort, so this uses its
//! `ffi` and checks every code; the communicators that dlcast made return errors, the user's keep their handler.
//!
//! # Layout
//! - `call` one MPI call, checked
//! - `world` is MPI up, is it the right one, who finalises it
//! - `user` the communicator that the user gave; duplicating it; the session that is cached on it
//! - `tree` merging variable bytes up and down a binomial tree
//! - `notes` small messages between two ranks
//! - `pmix` the host of a rank that has not said it

mod bound;
mod call;
mod notes;
mod pmix;
mod tree;
mod user;
pub mod world;

use std::mem::ManuallyDrop;

use mpi::ffi;

use self::call::{Request, check};
pub use self::notes::Notes;
pub use self::pmix::Pmix;
use self::tree::Tree;
pub use self::user::{Duplicate, End, Presence, UserComm, cached, on_end, remember};
use super::{Agreed, Collective, Comm, CommError, Reply};

/// Collectives on a communicator of dlcast's own.
pub struct MpiComm {
    raw: ffi::MPI_Comm,
    rank: u32,
    size: u32,
    active: Option<Active>,
}

// SAFETY: MPI handles are plain values that may be used from any thread that MPI's thread level allows to call; that is
// checked by `world::may_call` before every round, and a session is stepped by one thread at a time.
unsafe impl Send for MpiComm {}

/// The collective that is under way, with the buffers that MPI reads and writes until it is complete.
enum Active {
    Words { request: Request, answer: Vec<u64>, _share: Vec<u64> },
    Bytes { request: Request, buffer: Vec<u8> },
    Tree(Tree),
}

impl MpiComm {
    /// Takes over a communicator that [`Duplicate`] made.
    pub fn new(raw: RawComm) -> Result<Self, CommError> {
        let (rank, size) = call::rank_and_size(raw.0)?;
        Ok(MpiComm { raw: raw.0, rank, size, active: None })
    }

    fn raw(&self) -> ffi::MPI_Comm {
        self.raw
    }

    /// Frees the communicator. Every rank of it does so, because MPI_Comm_free of the user's communicator, which this
    /// follows, is collective. A communicator with a collective under way cannot be freed and is left to MPI_Finalize.
    pub fn free(mut self) {
        if self.active.is_none() && world::is_up() {
            call::free(&mut self.raw);
        }
    }
}

/// A communicator that dlcast made and has not put to use yet.
pub struct RawComm(ffi::MPI_Comm);

impl Comm for MpiComm {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn size(&self) -> u32 {
        self.size
    }

    fn start(&mut self, collective: Collective) -> Result<(), CommError> {
        if self.active.is_some() {
            return Err(CommError::Busy);
        }
        let mut request = Request::null();
        self.active = Some(match collective {
            Collective::Max(share) => {
                let mut answer = vec![0; share.len()];
                let count = call::count(share.len())?;
                // SAFETY: both buffers hold `count` words and live in `active` until the request is complete, or for
                // ever (Drop); dlcast owns the communicator.
                check("MPI_Iallreduce", unsafe {
                    ffi::MPI_Iallreduce(
                        share.as_ptr().cast(),
                        answer.as_mut_ptr().cast(),
                        count,
                        ffi::RSMPI_UINT64_T,
                        ffi::RSMPI_MAX,
                        self.raw,
                        request.as_mut(),
                    )
                })?;
                Active::Words { request, answer, _share: share }
            }
            Collective::Broadcast { root, len, bytes } => {
                let mut buffer = bytes.unwrap_or_default();
                buffer.resize(len, 0);
                let (count, root) = (call::count(len)?, call::count(root as usize)?);
                // SAFETY: as above: `buffer` holds `count` bytes and outlives the request.
                check("MPI_Ibcast", unsafe {
                    ffi::MPI_Ibcast(
                        buffer.as_mut_ptr().cast(),
                        count,
                        ffi::RSMPI_UINT8_T,
                        root,
                        self.raw,
                        request.as_mut(),
                    )
                })?;
                Active::Bytes { request, buffer }
            }
            Collective::Merge { bytes, with } => Active::Tree(Tree::start(self.raw, self.rank, self.size, bytes, with)),
        });
        Ok(())
    }

    fn test(&mut self) -> Result<Option<Agreed<Reply>>, CommError> {
        let complete = match &mut self.active {
            None => return Ok(None),
            Some(Active::Words { request, .. } | Active::Bytes { request, .. }) => request.test()?,
            Some(Active::Tree(tree)) => tree.test()?,
        };
        if !complete {
            return Ok(None);
        }
        Ok(self.active.take().map(|active| {
            Agreed(match active {
                Active::Words { answer, .. } => Reply::Words(answer),
                Active::Bytes { buffer, .. } => Reply::Bytes(buffer),
                Active::Tree(tree) => Reply::Bytes(tree.into_bytes()),
            })
        }))
    }
}

impl Drop for MpiComm {
    fn drop(&mut self) {
        // MPI may still write into the buffers of a collective that was given up: they must never be freed.
        if let Some(active) = self.active.take() {
            let _never_freed = ManuallyDrop::new(active);
        }
    }
}
