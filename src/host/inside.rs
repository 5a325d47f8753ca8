//! What of a library runs on this thread: inside a constructor or a callback nothing may wait for another rank, and what is
//! asked for there is asked for by its item.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use crate::plan::Key;

/// What of a library runs on this thread, for dlcast.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// A dlopen; the host is taken.
    Constructor,
    Callback,
}

thread_local! {
    static INSIDE: Cell<(Inside, Option<Key>)> = const { Cell::new((Inside::Nothing, None)) };
}

/// Whether this thread runs a constructor or a callback for dlcast: nothing may wait for another rank.
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

/// Runs `work` as something that `item` does; a panic is a failure.
fn inside<T>(inside: Inside, item: Option<Key>, work: impl FnOnce() -> T) -> std::thread::Result<T> {
    let before = INSIDE.replace((inside, item));
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
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
