//! One wish of one rank, before anybody else has heard of it.

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use crate::code::{CodePlace, CodeRef};

bitflags! {
    /// The mode argument of dlopen(3), with the values of the platform.
    ///
    /// Without `NOW` a library is opened `LAZY`; without `GLOBAL` it is local.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct OpenFlags: i32 {
        /// Functions are bound when they are first called.
        const LAZY = libc::RTLD_LAZY;
        /// Every symbol is bound before dlopen returns.
        const NOW = libc::RTLD_NOW;
        /// Symbols serve libraries that are opened later.
        const GLOBAL = libc::RTLD_GLOBAL;
        /// Never unmapped, not even by dlclose.
        const NODELETE = libc::RTLD_NODELETE;
        /// The library looks up symbols in itself first.
        const DEEPBIND = libc::RTLD_DEEPBIND;
    }
}

impl Default for OpenFlags {
    /// `RTLD_NOW | RTLD_LOCAL`, what CPython uses for extension modules.
    fn default() -> Self {
        OpenFlags::NOW
    }
}

impl OpenFlags {
    /// The flags of one library that two ranks want with different flags: GLOBAL and NOW win, the rest adds up.
    #[must_use]
    pub fn joined(self, other: OpenFlags) -> OpenFlags {
        (self | other).settled()
    }

    /// Exactly one of LAZY and NOW: NOW wins, none means LAZY (dlopen itself would refuse).
    #[must_use]
    pub fn settled(mut self) -> OpenFlags {
        if self.contains(OpenFlags::NOW) {
            self.remove(OpenFlags::LAZY);
        } else {
            self.insert(OpenFlags::LAZY);
        }
        self
    }
}

// The wire carries the number; a number with unknown bits is a malformed message.
impl Serialize for OpenFlags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bits().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OpenFlags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bits = i32::deserialize(deserializer)?;
        OpenFlags::from_bits(bits).ok_or_else(|| serde::de::Error::custom("unknown dlopen flags"))
    }
}

/// Native code and Python are apart where they can be: nothing in the native lane ever waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Libraries and their callbacks.
    Native,
    /// Modules, and callbacks in Python.
    Python,
}

impl Lane {
    /// Both, in the order in which they are carried out.
    pub const BOTH: [Lane; 2] = [Lane::Native, Lane::Python];

    /// Its place among them.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What a rank asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Load this library: an absolute path, or a bare name that ld.so's search finds.
    Library {
        /// As spelled by the caller; relative paths with a slash are made absolute when recorded.
        spelling: String,
        /// The mode of dlopen.
        flags: OpenFlags,
        /// The program has opened it already, and means that one, not what lies at the path by now.
        opened: bool,
    },
    /// Import this Python module.
    Module {
        /// Absolute dotted name.
        name: String,
    },
    /// Run this code once in every process, with its payload; load its library first.
    Callback {
        /// The code and its payload.
        code: CodeRef,
        /// Tells registrations of one function apart.
        tag: u64,
    },
    /// Take a plugin's tasks away on every rank.
    Unload {
        /// As for a library.
        spelling: String,
    },
    /// A call with a bad argument: it takes part in the round, so that nobody waits for it, and fails.
    Invalid {
        /// What was wrong.
        message: String,
    },
}

impl Request {
    /// Who carries it out.
    pub fn lane(&self) -> Lane {
        match self {
            Request::Module { .. } => Lane::Python,
            Request::Callback { code, .. } if matches!(code.place, CodePlace::Python { .. }) => Lane::Python,
            _ => Lane::Native,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_and_now_win_where_ranks_differ() {
        let lazy_global = OpenFlags::LAZY | OpenFlags::GLOBAL;
        let now_local = OpenFlags::NOW | OpenFlags::NODELETE;
        let joined = lazy_global.joined(now_local);
        assert_eq!(joined, OpenFlags::NOW | OpenFlags::GLOBAL | OpenFlags::NODELETE);
        assert_eq!(joined, now_local.joined(lazy_global));
        assert_eq!(OpenFlags::empty().settled(), OpenFlags::LAZY);
    }
}
