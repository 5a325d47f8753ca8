//! Whether this thread is at a safe point: where it may wait for other ranks, or for whom has the host.
//!
//! Who is not is told so, and what it asks for is recorded; this file neither records nor waits.

use std::cell::Cell;

use super::CallError;
use crate::comm::mpi::world;
use crate::host::inside;
use crate::intercept::frames;

thread_local! {
    static IN_MPI_INIT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` at the end of MPI_Init, where every rank is and waits for the others anyway, wherever the program calls it: mpi4py
/// does inside an import.
pub(super) fn in_mpi_init<T>(work: impl FnOnce() -> T) -> T {
    IN_MPI_INIT.set(true);
    let value = work();
    IN_MPI_INIT.set(false);
    value
}

/// Whether this thread is inside a constructor, dlopen, an `import` or a callback, whoever began it: nothing may wait for another
/// rank.
pub(super) fn must_not_wait() -> bool {
    inside::is_inside() || (!IN_MPI_INIT.get() && frames::inside().anything())
}

/// Whether this thread holds the loader's lock: who has the host may be waiting for it.
pub(super) fn in_loader() -> bool {
    inside::is_opening() || (!IN_MPI_INIT.get() && frames::inside().loader)
}

/// Before a first attach, which waits for every rank, and before anything that could make MPI wait for them.
pub(super) fn refuse_to_attach(has_session: impl FnOnce() -> Result<bool, CallError>) -> Result<(), CallError> {
    if must_not_wait() && !(world::is_up() && has_session()?) {
        let text =
            "attach would wait for other ranks inside a constructor, an import or a callback: attach before that";
        return Err(CallError::Invalid(text.into()));
    }
    Ok(())
}
