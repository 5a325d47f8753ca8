//! Callbacks of this process: each runs at most once, and its outcome is remembered.
//!
//! One for all sessions, as the functions are. What a key is made of is the caller's affair.

use std::collections::HashMap;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

/// None while it runs.
type Runs = HashMap<[u8; 32], Option<Result<(), String>>>;

static RUNS: LazyLock<Mutex<Runs>> = LazyLock::new(Mutex::default);
static ENDED: Condvar = Condvar::new();

const AGAIN: &str =
    "it ran once in this process and failed, and a callback runs once only (another tag makes another callback): ";

fn runs() -> MutexGuard<'static, Runs> {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever is given this runs the callback, and says how it went. Dropped without a word, it has failed.
#[derive(Debug)]
pub struct Turn(Option<[u8; 32]>);

/// Whose turn it is to run the callback with this key: the caller's, or it has run, and that is how it went. While another
/// thread runs it, waits for its end.
///
/// # Errors
/// How it went.
pub fn begin(key: [u8; 32]) -> Result<Turn, Result<(), String>> {
    let mut runs = runs();
    loop {
        match runs.get(&key) {
            None => {
                runs.insert(key, None);
                return Ok(Turn(Some(key)));
            }
            Some(Some(outcome)) => return Err(outcome.clone().map_err(|message| format!("{AGAIN}{message}"))),
            Some(None) => runs = ENDED.wait(runs).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Turn {
    /// It has run.
    pub fn end(mut self, outcome: Result<(), String>) {
        self.note(outcome);
    }

    fn note(&mut self, outcome: Result<(), String>) {
        if let Some(key) = self.0.take() {
            runs().insert(key, Some(outcome));
            ENDED.notify_all();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.note(Err("it was begun, and its call was given up".into()));
    }
}

/// Runs `callback` unless something with this key has run, and tells how that went.
///
/// # Errors
/// The callback's own message; where it failed earlier, that as well.
pub fn once(key: [u8; 32], callback: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    match begin(key) {
        Ok(turn) => {
            let outcome = callback();
            turn.end(outcome.clone());
            outcome
        }
        Err(outcome) => outcome,
    }
}
