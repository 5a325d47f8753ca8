//! What this rank has recorded: requests, and which item's constructor or callback asked for them.
//!
//! Local; no I/O, no waiting.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use super::{CallError, Session, lock};
use crate::host::inside;
use crate::plan::Key;
use crate::request::Request;

/// A request that no round has taken yet.
pub(crate) struct Pending {
    pub request: Request,
    /// Fails with it.
    pub asked_by: Option<Key>,
}

/// What constructors and callbacks of this process have asked for while they ran: they run once only, and where they were
/// undone for what they asked for, a later call asks for it again.
static ASKED: LazyLock<Mutex<HashMap<Key, Vec<Request>>>> = LazyLock::new(Mutex::default);

static ANY_ASKED: AtomicBool = AtomicBool::new(false);

impl Pending {
    /// Asked for by whatever runs on this thread.
    pub fn here(request: Request) -> Self {
        let asked_by = inside::asker();
        if let Some(asker) = asked_by {
            ANY_ASKED.store(true, Ordering::Relaxed);
            lock(&ASKED).entry(asker).or_default().push(request.clone());
        }
        Pending { request, asked_by }
    }

    /// Whether anything has asked for anything while it ran.
    pub fn any_again() -> bool {
        ANY_ASKED.load(Ordering::Relaxed)
    }

    /// All that `asker` has asked for while it ran.
    pub fn again(asker: Key) -> Vec<Pending> {
        let asked = lock(&ASKED).get(&asker).cloned().unwrap_or_default();
        asked.into_iter().map(|request| Pending { request, asked_by: Some(asker) }).collect()
    }
}

impl Session {
    pub(crate) fn add(&self, request: Request) -> Result<(), CallError> {
        self.shared.refuse_ended()?;
        lock(&self.shared.pending).push(Pending::here(request));
        Ok(())
    }
}
