//! Roll-calls of a session in service mode. Protocol threads answer whatever their workers are stuck in, so that the dead, the
//! stuck and the slow are told apart: only a rank that does not answer ends the session.

use std::time::Instant;

use super::super::Shared;
use super::track::Track;
use crate::comm::{Comm, CommError, Control};
use crate::error::Missed;
use crate::rollcall::{Note, RollCall};
use crate::wire::{Called, Here};

/// A roll-call under way, for a lane.
pub struct Roll {
    call: RollCall,
    opened: Instant,
}

impl Roll {
    /// Opens or joins one. `ends`: a missing rank ends the session.
    pub fn open(shared: &Shared, track: &Track<impl Comm>, waited_ms: u64, ends: bool) -> Roll {
        let here = Here {
            step: track.steps,
            phase: track.phase(),
            what: track.subject(),
            waited_ms,
            lane: Some(track.lane),
            ends,
            doing: track.says(),
        };
        Roll { call: RollCall::open(shared.rank, shared.size, here), opened: Instant::now() }
    }

    /// Sends what is to be sent; the verdict, if it is due.
    pub fn step(&mut self, shared: &Shared, notes: &mut dyn Control) -> Result<Option<Called>, CommError> {
        let verdict = self.call.tick(self.opened.elapsed(), &|rank| shared.host_of(rank));
        for (to, note) in self.call.outbox.drain(..) {
            notes.post(to, &note)?;
        }
        Ok(verdict)
    }

    /// Another rank's note; its verdict, if it is one.
    pub fn hear(&mut self, from: u32, note: Note) -> Option<Called> {
        self.call.hear(from, note)
    }
}

/// Whether a rank is dead, and not merely late.
pub fn is_fatal(missed: &Missed) -> bool {
    !missed.missing.is_empty()
}
