//! A communicator of one rank: every collective is complete at once, and no MPI is called.
//!
//! A session of one rank steps its rounds on it. It does not stand for MPI where MPI is missing: the session still lives on an MPI
//! communicator.

use super::{Agreed, Collective, Comm, CommError, Reply};

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
