//! Callbacks of this process: each runs at most once, and its outcome is remembered.
//!
//! One for all sessions, as the functions are. What a key is made of is the caller's affair.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

type Outcome = Arc<OnceLock<Result<(), String>>>;

static RUNS: LazyLock<Mutex<HashMap<[u8; 32], Outcome>>> = LazyLock::new(Mutex::default);

const AGAIN: &str =
    "it ran once in this process and failed, and a callback runs once only (another tag makes another callback): ";

/// Runs `callback` unless something with this key has run, and tells how that went. A thread that comes while it runs
/// waits for its end.
///
/// # Errors
/// The callback's own message; where it failed earlier, that as well.
pub fn once(key: [u8; 32], callback: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let run = RUNS.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
    let mut now = false;
    let outcome = run.get_or_init(|| {
        now = true;
        callback()
    });
    match outcome {
        Err(message) if !now => Err(format!("{AGAIN}{message}")),
        outcome => outcome.clone(),
    }
}

/// For what is run by others (Python): whether it has run, and how that went; [`note`] tells.
pub fn known(key: &[u8; 32]) -> Option<Result<(), String>> {
    let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = runs.get(key)?.get()?.clone();
    Some(outcome.map_err(|message| format!("{AGAIN}{message}")))
}

/// See [`known`]. The first outcome stays.
pub fn note(key: [u8; 32], outcome: Result<(), String>) {
    let run = RUNS.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
    let _ = run.set(outcome);
}
