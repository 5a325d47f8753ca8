//! What a round needs of a communicator: start a collective, test it. And the two kinds of values: rank-local, agreed.
//!
//! Waiting, deadlines and who steps whom are not here: a driver (session, service, simulation) does that.
//!
//! # Layout
//! - [`solo`] one rank, no MPI call
//! - [`mpi`] MPI; nothing else in the crate names it
//! - `sim` simulated ranks (tests)

pub mod mpi;
#[cfg(test)]
pub mod sim;
pub mod solo;

/// A value that this rank alone knows. Only a collective makes an [`Agreed`] of it.
#[derive(Debug)]
pub struct Local<T>(pub T);

/// A value that came out of a collective, and is therefore the same on every rank.
///
/// Only this module's descendants can make one.
#[derive(Clone, Debug)]
pub struct Agreed<T>(T);

impl<T> Agreed<T> {
    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The value, taken out.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// What follows from agreed values alone is agreed.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Agreed<U> {
        Agreed(f(self.0))
    }
}

/// Merges two encoded messages of one kind; total, pure, and the same on every rank.
pub type MergeFn = fn(&[u8], &[u8]) -> Vec<u8>;

/// A collective operation: every rank starts the same kind, in the same order.
pub enum Collective {
    /// Element-wise maximum of words; the same number of words on every rank.
    Max(Vec<u64>),
    /// `len` bytes from `root` to all; `bytes` is `Some` on the root alone.
    Broadcast {
        /// The sender.
        root: u32,
        /// Agreed length.
        len: usize,
        /// What to send.
        bytes: Option<Vec<u8>>,
    },
    /// Every rank's bytes merged up a tree in the order of the ranks, the result sent down it: 2 (ranks - 1) messages.
    Merge {
        /// This rank's share.
        bytes: Vec<u8>,
        /// How two shares become one.
        with: MergeFn,
    },
}

/// What a collective came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of [`Collective::Max`].
    Words(Vec<u64>),
    /// Of the others.
    Bytes(Vec<u8>),
}

/// Collectives of one communicator, one at a time.
pub trait Comm {
    /// This process's rank.
    fn rank(&self) -> u32;
    /// Ranks in the communicator.
    fn size(&self) -> u32;
    /// Starts a collective; the one before must have completed.
    fn start(&mut self, collective: Collective) -> Result<(), CommError>;
    /// Moves it on without blocking; `Some` once, when it is complete.
    fn test(&mut self) -> Result<Option<Agreed<Reply>>, CommError>;
}

/// Small notes between two ranks beside the collectives: the roll-call's transport.
pub trait Control {
    /// Sends without waiting for the receiver, who may never call.
    fn post(&mut self, to: u32, note: &[u8]) -> Result<(), CommError>;
    /// The next note that has arrived, if any, and who sent it.
    fn poll(&mut self) -> Result<Option<(u32, Vec<u8>)>, CommError>;
    /// Gives what was posted the time to leave.
    fn flush(&mut self) -> Result<(), CommError> {
        Ok(())
    }
}

/// MPI said no, or cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommError {
    /// A call of MPI returned an error code.
    #[error("{call} failed: {text} (error {code})")]
    Mpi {
        /// The function.
        call: &'static str,
        /// Its return value.
        code: i32,
        /// What MPI_Error_string says of it.
        text: String,
    },
    /// Too late.
    #[error("MPI has been finalised; dlcast must be called before MPI_Finalize")]
    Finalized,
    /// A child process has its parent's memory, not its place in the job.
    #[error("this process was forked from the rank with process id {parent}, and is no rank itself: call dlcast there")]
    Forked {
        /// The process id of the rank.
        parent: u32,
    },
    /// The handle is no communicator that can be used.
    #[error("expecting an intracommunicator, found {0}")]
    NotIntra(&'static str),
    /// Another MPI than the one that dlcast was built with is in the process.
    #[error(
        "this dlcast was built with {built}, but the process has {found}: use an mpi4py and libraries of the same MPI, or install a dlcast built with theirs"
    )]
    OtherMpi {
        /// The MPI of the build, with its file.
        built: String,
        /// What is mapped, with the files.
        found: String,
    },
    /// The thread level forbids the call.
    #[error("MPI provides {0}: dlcast can be called from the main thread only")]
    ThreadLevel(&'static str),
    /// The service has threads of its own.
    #[error(
        "MPI provides {0}, and service mode needs MPI_THREAD_MULTIPLE: ask for it in MPI_Init_thread (mpi4py does), or run under `dlcast run`"
    )]
    NoThreads(&'static str),
    /// A collective was started before the one before had completed.
    #[error("a collective was started before the last one completed")]
    Busy,
    /// More than the wire carries.
    #[error(transparent)]
    Wire(#[from] crate::wire::WireError),
}
