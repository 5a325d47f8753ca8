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
#[derive(Clone)]
pub(crate) struct Pending {
    pub request: Request,
    /// Fails with it.
    pub asked_by: Option<Key>,
    /// Recorded by a job of a round, which takes it along; else it is for the next round. (In collective mode a round takes
    /// everything.)
    pub nested: bool,
    /// Who waits for it, in service mode.
    pub ticket: Option<u64>,
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
        Pending { nested: inside::is_inside(), ..Pending::asked(request, asked_by) }
    }

    /// Asked for by a library, a callback or a module that a round has brought.
    pub fn asked(request: Request, asked_by: Option<Key>) -> Self {
        Pending { request, asked_by, nested: true, ticket: None }
    }

    /// Whether anything has asked for anything while it ran.
    pub fn any_again() -> bool {
        ANY_ASKED.load(Ordering::Relaxed)
    }

    /// All that `asker` has asked for while it ran.
    pub fn again(asker: Key) -> Vec<Pending> {
        let asked = lock(&ASKED).get(&asker).cloned().unwrap_or_default();
        asked.into_iter().map(|request| Pending::asked(request, Some(asker))).collect()
    }
}

impl Session {
    pub(crate) fn add(&self, request: Request) -> Result<(), CallError> {
        self.shared.refuse_ended()?;
        if let (false, Some(served)) = (inside::is_inside(), self.shared.served.get()) {
            served.refuse_leaving()?;
        }
        self.shared.ask([Pending::here(request)]);
        Ok(())
    }
}
