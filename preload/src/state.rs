//! Whether the shim serves: one word that every hook looks at first.

use core::sync::atomic::{AtomicU8, Ordering};

/// What the hooks do.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// MPI is not up: names are noted.
    Early = 0,
    /// Inside MPI_Init, after the real one: the engine comes up, and can only be told.
    Starting = 1,
    /// Serving; the outermost dlopen waits for the other ranks.
    Eager = 2,
    /// Serving; no dlopen waits.
    Deferred = 3,
    /// Nothing any more: after MPI_Finalize, in a forked child, without an engine.
    Inert = 4,
}

static STATE: AtomicU8 = AtomicU8::new(State::Early as u8);

/// What the hooks do now.
#[inline(always)]
pub fn get() -> State {
    match STATE.load(Ordering::Acquire) {
        0 => State::Early,
        1 => State::Starting,
        2 => State::Eager,
        3 => State::Deferred,
        _ => State::Inert,
    }
}

/// Goes from one state to another, unless something else came first.
pub fn advance(from: State, to: State) -> bool {
    STATE.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// For ever.
pub fn retire() {
    STATE.store(State::Inert as u8, Ordering::Release);
}
