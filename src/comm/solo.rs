//! A communicator of one rank: every collective is complete at once, and no MPI is called.
//!
//! It does not stand for MPI where MPI is missing: a session on one rank still lives on an MPI communicator.

use super::{Agreed, Collective, Comm, CommError, Control, Reply};

/// One rank.
#[derive(Default)]
pub struct Solo {
    reply: Option<Reply>,
}

impl Comm for Solo {
    fn rank(&self) -> u32 {
        0
    }

    fn size(&self) -> u32 {
        1
    }

    fn start(&mut self, collective: Collective) -> Result<(), CommError> {
        if self.reply.is_some() {
            return Err(CommError::Busy);
        }
        self.reply = Some(match collective {
            Collective::Max(words) => Reply::Words(words),
            Collective::Broadcast { bytes, .. } => Reply::Bytes(bytes.unwrap_or_default()),
            Collective::Merge { bytes, .. } => Reply::Bytes(bytes),
        });
        Ok(())
    }

    fn test(&mut self) -> Result<Option<Agreed<Reply>>, CommError> {
        Ok(self.reply.take().map(Agreed))
    }
}

impl Control for Solo {
    fn post(&mut self, _to: u32, _note: &[u8]) -> Result<(), CommError> {
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<(u32, Vec<u8>)>, CommError> {
        Ok(None)
    }
}
