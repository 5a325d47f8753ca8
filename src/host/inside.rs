//! What of a library runs on this thread: inside a constructor or a callback nothing may wait for another rank, and what is
//! asked for there is asked for by its item.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;

use crate::plan::Key;

/// What of a library runs on this thread, for dlcast.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// A dlopen; the host is taken.
    Constructor,
    Callback,
    /// The body of a module, for a round.
    Body,
}

thread_local! {
    static INSIDE: Cell<(Inside, Option<Key>)> = const { Cell::new((Inside::Nothing, None)) };
    /// Calls of MPI that what runs here has made, and must not make.
    static FORBIDDEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Who sees the program's MPI calls is told which threads run the code of a library.
static MARK: OnceLock<extern "C" fn(i32)> = OnceLock::new();

/// Sets who is told when code of a library begins (1) and ends (0) on a thread.
pub fn tell(mark: extern "C" fn(i32)) {
    let _once = MARK.set(mark);
}

/// Code of a library begins, or has ended, on this thread.
pub fn mark(begins: bool) {
    if let Some(mark) = MARK.get() {
        mark(i32::from(begins));
    }
}

/// What runs on this thread has called MPI with a communicator of the program.
pub fn forbid(call: &str) {
    FORBIDDEN.with_borrow_mut(|calls| {
        if !calls.iter().any(|known| known == call) {
            calls.push(call.into());
        }
    });
}

/// What it has called, in words; none: nothing.
pub fn take_forbidden() -> Option<String> {
    let calls = FORBIDDEN.take();
    let said = |calls: Vec<String>| {
        let calls = calls.join(", ");
        format!(
            "called {calls}: what runs while all ranks load, on another thread than the main one, must use none of the program's communicators"
        )
    };
    (!calls.is_empty()).then(|| said(calls))
}

/// Whether this thread runs a constructor, a callback or a body for dlcast: nothing may wait for another rank.
pub fn is_inside() -> bool {
    INSIDE.get().0 != Inside::Nothing
}

/// Whether this thread is inside a dlopen that dlcast makes: it has the host.
pub fn is_opening() -> bool {
    INSIDE.get().0 == Inside::Constructor
}

/// The item whose constructor or callback runs on this thread: what it records is asked for by that item.
pub fn asker() -> Option<Key> {
    INSIDE.get().1
}

/// A callback in Python begins on this thread, for an item, or has ended.
pub fn set_asker(item: Option<Key>) {
    INSIDE.set(item.map_or((Inside::Nothing, None), |item| (Inside::Callback, Some(item))));
}

/// The body of a module begins on this thread, for a round: what it asks for is for that round, where an outcome is known.
pub fn set_body() {
    INSIDE.set((Inside::Body, None));
}

/// Runs `work` as something that `item` does; a panic is a failure.
fn inside<T>(inside: Inside, item: Option<Key>, work: impl FnOnce() -> T) -> std::thread::Result<T> {
    let before = INSIDE.replace((inside, item));
    mark(true);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
    mark(false);
    INSIDE.set(before);
    outcome
}

/// Runs a callback of `item`.
///
/// # Errors
/// Where it panics in Rust of this very crate graph; a plugin catches its own.
pub fn callback<T>(item: Key, work: impl FnOnce() -> T) -> std::thread::Result<T> {
    inside(Inside::Callback, Some(item), work)
}

/// Runs a dlopen of `item`, under the host's lock; what panics in it is a failure.
pub(super) fn constructor<T>(item: Option<Key>, work: impl FnOnce() -> T) -> std::thread::Result<T> {
    inside(Inside::Constructor, item, work)
}
