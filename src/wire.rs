//! Values as bytes between ranks; the only user of postcard.
//!
//! Every message begins with a magic number, a format version and its kind. A decoder trusts nothing: lengths are
//! bounded by the message itself before anything is allocated, ranks and indices by the session.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::code::{CodePlace, CodeRef};
use crate::error::{Absent, Missed};
use crate::outcome::Failures;
use crate::plan::{Plan, What};
use crate::request::Lane;

const MAGIC: [u8; 3] = *b"dlc";
/// Magic, version, kind.
const HEAD: usize = 5;
/// Raised whenever a message changes its shape.
pub const VERSION: u8 = 4;
/// The largest message that is sent or received.
pub const MOST_BYTES: usize = 1 << 28;

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It does not begin as every message does.
    #[error("malformed message: no dlcast message, or one of another kind")]
    Foreign,
    /// Another format version.
    #[error("malformed message: format version {0}, expected {VERSION}")]
    Version(u8),
    /// Truncated, too long, or values out of range.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// Larger than [`MOST_BYTES`]: of one rank, or of all together.
    #[error(
        "what the ranks ask for in one round takes {0} bytes, and at most {MOST_BYTES} travel; nothing of it was done: ask for less at once, or let a payload name a file"
    )]
    TooLarge(usize),
}

/// What travels. Sealed: a kind byte each.
pub trait Message: Serialize + DeserializeOwned {
    /// The kind byte.
    const KIND: u8;

    /// Checks what the encoding cannot express, for a communicator of `size` ranks.
    fn check(&self, size: u32) -> Result<(), WireError>;
}

impl Message for Plan {
    const KIND: u8 = 1;

    fn check(&self, size: u32) -> Result<(), WireError> {
        let sound = self.items.iter().all(|item| {
            let named = match &item.what {
                What::Library(library) | What::Unload(library) => {
                    (library.identity.is_none() || library.path.is_some())
                        && !library.spellings.is_empty()
                        && library.flags == library.flags.settled()
                        && library.path.iter().chain(&library.spellings).all(|text| !text.contains('\0'))
                }
                What::Module { name } => !name.is_empty() && !name.contains('\0'),
                What::Callback(callback) => callback.code.check(size).is_ok(),
                What::Invalid { .. } => true,
            };
            let held = !item.holders.is_empty() && item.holders.within(size);
            named && held && item.copies.iter().all(|copies| copies.rank < size)
        });
        if sound { Ok(()) } else { Err(WireError::Malformed("a plan with an impossible item")) }
    }
}

impl Message for Failures {
    const KIND: u8 = 2;

    fn check(&self, size: u32) -> Result<(), WireError> {
        let sound = self.causes.iter().all(|cause| !cause.ranks.is_empty() && cause.ranks.within(size));
        if sound { Ok(()) } else { Err(WireError::Malformed("a failure on an impossible rank")) }
    }
}

/// What a roll-call came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// As in [`Here::lane`].
    pub lane: Option<Lane>,
    /// As in [`Here::ends`].
    pub ends: bool,
    /// The verdict.
    pub missed: Missed,
}

impl Message for Called {
    const KIND: u8 = 3;

    fn check(&self, size: u32) -> Result<(), WireError> {
        let within = |absent: &Absent| absent.rank < size;
        let sound = self.missed.missing.iter().all(within) && self.missed.behind.iter().all(within);
        if sound { Ok(()) } else { Err(WireError::Malformed("a missing rank that cannot be")) }
    }
}

/// Where a rank stands when it answers a roll-call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Here {
    /// Collectives that this rank has started in this session.
    pub step: u64,
    /// The phase it waits in.
    pub phase: crate::error::Phase,
    /// What for.
    pub what: String,
    /// How long its own deadline was, in milliseconds; the first that passed is reported.
    pub waited_ms: u64,
    /// In service mode: the lane that it is about.
    pub lane: Option<Lane>,
    /// Whether a missing rank ends the session. (Not where a caller is impatient, and the service is not.)
    pub ends: bool,
    /// What keeps this rank; empty where it waits, or is idle.
    pub doing: String,
}

impl Message for Here {
    const KIND: u8 = 4;

    fn check(&self, _size: u32) -> Result<(), WireError> {
        Ok(())
    }
}

/// What ranks tell each other in service mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// To rank 0: somebody wants this round of this lane.
    Ring(Lane, u64),
    /// Down the tree: start it.
    Wake(Lane, u64),
    /// To rank 0: this rank wants nothing any more; and what it has to report.
    Bye(String),
    /// Down the tree: no rank wants anything any more.
    Close,
}

impl Message for Note {
    const KIND: u8 = 8;

    fn check(&self, _size: u32) -> Result<(), WireError> {
        Ok(())
    }
}

/// Who is who in a session; the ranks of one host folded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// Host name and its ranks.
    pub hosts: Vec<(String, crate::ranks::RankSet)>,
    /// Version of dlcast and its ranks.
    pub versions: Vec<(String, crate::ranks::RankSet)>,
    /// What the ranks want to do, which has to be the same, and its ranks.
    pub modes: Vec<(String, crate::ranks::RankSet)>,
    /// The stacks that `dlcast run` was given, and their ranks; an empty name where it was given none.
    pub stacks: Vec<(String, crate::ranks::RankSet)>,
    /// Parts of a host within which processes can wake each other, and their ranks.
    pub places: Vec<(String, crate::ranks::RankSet)>,
    /// Of rank 0: a random name that only the ranks of the session know.
    pub token: String,
}

impl Message for Roster {
    const KIND: u8 = 5;

    fn check(&self, size: u32) -> Result<(), WireError> {
        let named = self.token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let lists = [&self.hosts, &self.versions, &self.modes, &self.stacks, &self.places];
        let sound = named && lists.into_iter().flatten().all(|(_, ranks)| ranks.within(size));
        if sound { Ok(()) } else { Err(WireError::Malformed("a host of impossible ranks")) }
    }
}

impl Message for CodeRef {
    const KIND: u8 = 7;

    fn check(&self, _size: u32) -> Result<(), WireError> {
        let named = |text: &str| !text.is_empty() && !text.contains('\0');
        let place = match &self.place {
            CodePlace::Symbol { symbol, .. } => named(symbol),
            CodePlace::Offset { .. } | CodePlace::Library(_) => true,
            CodePlace::Python { module, qualname } => named(module) && named(qualname),
        };
        let sound = place && self.home().is_none_or(|home| named(&home.path));
        if sound { Ok(()) } else { Err(WireError::Malformed("code in an impossible place")) }
    }
}

/// The bytes of a message.
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    let head: [u8; HEAD] = [MAGIC[0], MAGIC[1], MAGIC[2], VERSION, M::KIND];
    // Serialising into a growing vector fails only for values whose length serde does not know; ours are all sized.
    postcard::to_extend(message, head.to_vec()).unwrap_or_default()
}

/// How many bytes [`encode`] makes of it.
pub fn encoded_len<M: Message>(message: &M) -> usize {
    // As `encode`, which makes nothing of what cannot be serialised.
    let body = postcard::serialize_with_flavor(message, postcard::ser_flavors::Size::default());
    body.map_or(0, |body| HEAD + body)
}

/// In the place of a kind: there was a message here that is too large to travel, of so many bytes. Every rank is told.
const TOO_LARGE: u8 = 0xff;

fn too_large(len: u64) -> Vec<u8> {
    let head = [MAGIC[0], MAGIC[1], MAGIC[2], VERSION, TOO_LARGE];
    head.into_iter().chain(len.to_le_bytes()).collect()
}

/// What [`too_large`] made.
fn claimed(bytes: &[u8]) -> Option<u64> {
    let (head, len) = bytes.split_at_checked(HEAD)?;
    let is_claim = head == [MAGIC[0], MAGIC[1], MAGIC[2], VERSION, TOO_LARGE];
    is_claim.then(|| len.try_into().ok().map(u64::from_le_bytes)).flatten()
}

/// Reads a message that came from another rank of a communicator of `size` ranks.
pub fn decode<M: Message>(bytes: &[u8], size: u32) -> Result<M, WireError> {
    if bytes.len() > MOST_BYTES {
        return Err(WireError::TooLarge(bytes.len()));
    }
    if let Some(len) = claimed(bytes) {
        return Err(WireError::TooLarge(usize::try_from(len).unwrap_or(usize::MAX)));
    }
    let body = match bytes {
        [a, b, c, version, kind, body @ ..] if [*a, *b, *c] == MAGIC && *kind == M::KIND => match *version {
            VERSION => body,
            other => return Err(WireError::Version(other)),
        },
        _ => return Err(WireError::Foreign),
    };
    let (message, rest) =
        postcard::take_from_bytes::<M>(body).map_err(|_| WireError::Malformed("truncated, or values out of range"))?;
    if !rest.is_empty() {
        return Err(WireError::Malformed("bytes after its end"));
    }
    message.check(size)?;
    Ok(message)
}

/// The union of two encoded messages, for a merge up a tree. What cannot be read spoils the whole, and so does a union that
/// is too large, so that every rank is told the same; it never panics.
fn merge<M: Message>(mine: &[u8], theirs: &[u8], union: impl FnOnce(M, M) -> M) -> Vec<u8> {
    let len = |bytes: &[u8]| claimed(bytes).unwrap_or(bytes.len() as u64);
    if claimed(mine).or(claimed(theirs)).is_some() {
        return too_large(len(mine).saturating_add(len(theirs)));
    }
    match (decode::<M>(mine, u32::MAX), decode::<M>(theirs, u32::MAX)) {
        (Ok(mine), Ok(theirs)) => {
            let union = union(mine, theirs);
            match encoded_len(&union) {
                0..=MOST_BYTES => encode(&union),
                more => too_large(more as u64),
            }
        }
        // An empty message is malformed for every decoder.
        _ => Vec::new(),
    }
}

/// [`Plan::merged`] on encoded plans.
pub fn merge_plans(mine: &[u8], theirs: &[u8]) -> Vec<u8> {
    merge(mine, theirs, Plan::merged)
}

/// [`Failures::merged`] on encoded failures.
pub fn merge_failures(mine: &[u8], theirs: &[u8]) -> Vec<u8> {
    merge(mine, theirs, Failures::merged)
}

/// The union of two rosters.
pub fn merge_rosters(mine: &[u8], theirs: &[u8]) -> Vec<u8> {
    merge(mine, theirs, |mut mine: Roster, theirs: Roster| {
        for (list, more) in [
            (&mut mine.hosts, theirs.hosts),
            (&mut mine.versions, theirs.versions),
            (&mut mine.modes, theirs.modes),
            (&mut mine.stacks, theirs.stacks),
            (&mut mine.places, theirs.places),
        ] {
            for (name, ranks) in more {
                match list.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => known.union(&ranks),
                    None => list.push((name, ranks)),
                }
            }
        }
        mine.token.push_str(&theirs.token);
        mine
    })
}

impl Message for crate::identity::Identity {
    const KIND: u8 = 6;

    fn check(&self, _size: u32) -> Result<(), WireError> {
        Ok(())
    }
}
