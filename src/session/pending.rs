//! What this rank has recorded: requests, and which item's constructor or callback asked for them.
//!
//! Local; no I/O, no waiting.

use super::{CallError, Session, lock};
use crate::host::dl;
use crate::plan::Key;
use crate::request::Request;

/// A request that no round has taken yet.
pub(crate) struct Pending {
    pub request: Request,
    /// Fails with it.
    pub asked_by: Option<Key>,
}

impl Pending {
    /// Asked for by whatever runs on this thread.
    pub fn here(request: Request) -> Self {
        Pending { request, asked_by: dl::asker() }
    }
}

impl Session {
    pub(crate) fn add(&self, request: Request) -> Result<(), CallError> {
        self.shared.refuse_ended()?;
        lock(&self.shared.pending).push(Pending::here(request));
        Ok(())
    }
}
