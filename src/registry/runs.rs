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

/// Whoever is given this runs the callback, and says how it went. Dropped without a word, it has failed, if it was started;
/// else it has not run, and may run another time.
#[derive(Debug)]
pub struct Turn {
    key: Option<[u8; 32]>,
    is_started: bool,
}

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
                return Ok(Turn { key: Some(key), is_started: false });
            }
            Some(Some(outcome)) => return Err(outcome.clone().map_err(|message| format!("{AGAIN}{message}"))),
            Some(None) => runs = ENDED.wait(runs).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Turn {
    /// It runs from now on.
    pub fn start(&mut self) {
        self.is_started = true;
    }

    /// It has run.
    pub fn end(mut self, outcome: Result<(), String>) {
        self.note(outcome);
    }

    fn note(&mut self, outcome: Result<(), String>) {
        if let Some(key) = self.key.take() {
            runs().insert(key, Some(outcome));
            ENDED.notify_all();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_started {
            self.note(Err("it was begun, and its call was given up".into()));
        } else if let Some(key) = self.key.take() {
            runs().remove(&key);
            ENDED.notify_all();
        }
    }
}

/// Runs `callback` unless something with this key has run, and tells how that went.
///
/// # Errors
/// The callback's own message; where it failed earlier, that as well.
pub fn once(key: [u8; 32], callback: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    match begin(key) {
        Ok(mut turn) => {
            turn.start();
            let outcome = callback();
            turn.end(outcome.clone());
            outcome
        }
        Err(outcome) => outcome,
    }
}
