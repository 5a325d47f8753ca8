//! Why a collective call gave no result, and why a session gives none any more.
//!
//! A failed request is not among the reasons for [`Ended`]: the session goes on.

use crate::comm::CommError;
use crate::error::{Missed, Undone};
use crate::wire::WireError;

/// Why a collective call gave no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// A request of this call failed on some rank; it is undone on all.
    #[error("{0}")]
    Undone(Undone),
    /// The deadline passed; the session is unusable from now on, on every rank.
    #[error("{0}")]
    Deadline(Missed),
    /// The session became unusable earlier.
    #[error("the session is unusable: {0}")]
    Ended(Ended),
    /// Another thread of this rank is in a call of the same session, and did not return in time. Nothing was sent.
    #[error(
        "another thread of this rank is in a call of the same session, and did not return in time; does it wait for this one?"
    )]
    Busy,
    /// A bad argument or setting. Nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// Called inside a constructor, dlopen, an import or a callback, or a job of the same session: recorded for the round that
    /// this is part of, or the next one, and not waited for.
    #[error("called inside a constructor, dlopen, an import or a callback: recorded for the next round")]
    Nested,
    /// MPI refused, is missing, or is another one.
    #[error(transparent)]
    Comm(#[from] CommError),
    /// Another rank speaks another version of dlcast, or sent what cannot be read. The same on every rank.
    #[error("{}{}", .0, way_out(.0))]
    Wire(#[from] WireError),
}

/// Why a session cannot be used any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Ended {
    /// An earlier deadline.
    #[error("{0}")]
    Missed(Missed),
    /// MPI failed in the middle of a round.
    #[error("{0}")]
    Comm(CommError),
    /// This rank has said goodbye.
    #[error("this rank has said goodbye, as at the end of the program: it makes no more calls")]
    Left,
    /// MPI_Finalize has been called.
    #[error("MPI has been finalised")]
    Finalized,
    /// The communicator was freed, and the session with it.
    #[error("its communicator has been freed")]
    Freed,
    /// A call was dropped before its end.
    #[error("a call on this rank was abandoned in the middle, while the others waited for it")]
    Abandoned,
    /// No session has this handle.
    #[error("no session has this handle")]
    Unknown,
}

/// What a text about bytes leaves open.
fn way_out(error: &WireError) -> &'static str {
    match error {
        WireError::TooLarge(_) => "",
        _ => "; all ranks must run the same dlcast",
    }
}
