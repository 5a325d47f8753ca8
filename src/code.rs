//! Code named so that another process can find it: never by an address.
//!
//! A value; it neither reads files nor opens anything. `host/code.rs` makes one of an address, and an address of one.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::identity::Identity;

/// The most bytes of a payload: it travels in the plan, with all the others of its round.
pub const MOST_PAYLOAD: usize = 64 << 20;

/// A function of some library, the main program or a Python module, with what it is to be given.
///
/// It can be sent through any channel (it is a serde value; [`crate::wire`] has a checked encoding) and resolved by
/// [`crate::Session::resolve`] on any rank whose files are the same. Where they differ, resolving is an error.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeRef {
    /// Where the code is.
    pub place: CodePlace,
    /// What it takes and gives, as text; empty where its author did not say. Compared, never interpreted.
    pub signature: String,
    /// What a closure would have captured: it travels along, and is lent to the code.
    pub payload: Payload,
}

/// Where code is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CodePlace {
    /// A function that a library exports.
    Symbol {
        /// The library.
        library: Home,
        /// As dlsym wants it.
        symbol: String,
    },
    /// So many bytes behind the load base of a library or the main program: also a static function, a hidden one, a
    /// template instance, a lambda.
    Offset {
        /// The library, or the main program.
        library: Home,
        /// A virtual address of the file.
        offset: u64,
        /// The nearest exported name, for people; it may be another function's.
        near: Option<String>,
    },
    /// A library alone: it is loaded, and registers itself.
    Library(Home),
    /// A Python function, or a method that needs no instance; imported on the fly.
    Python {
        /// Absolute dotted name of the module.
        module: String,
        /// `__qualname__`, without `<locals>`.
        qualname: String,
    },
}

/// The file that holds code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Home {
    /// What it is: found by this, whatever its path.
    pub identity: Identity,
    /// Where it is on the rank that made the reference.
    pub path: String,
}

impl CodeRef {
    /// Code without a payload.
    pub fn new(place: CodePlace, signature: impl Into<String>) -> Self {
        CodeRef { place, signature: signature.into(), payload: Payload::default() }
    }

    /// The same code with another payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Payload>) -> Self {
        self.payload = payload.into();
        self
    }

    /// The file that must be open; none for Python.
    pub fn home(&self) -> Option<&Home> {
        match &self.place {
            CodePlace::Symbol { library, .. } | CodePlace::Offset { library, .. } | CodePlace::Library(library) => {
                Some(library)
            }
            CodePlace::Python { .. } => None,
        }
    }
}

/// `solve` of `libheat.so.1`, `libheat.so.1+0x1139`, `pkg.mod:Class.method`.
impl fmt::Display for CodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            CodePlace::Symbol { library, symbol } => write!(f, "{symbol} of {}", library.identity.name),
            CodePlace::Offset { library, offset, near: None } => write!(f, "{}+{offset:#x}", library.identity.name),
            CodePlace::Offset { library, offset, near: Some(near) } => {
                write!(f, "{}+{offset:#x} ({near})", library.identity.name)
            }
            CodePlace::Library(library) => f.write_str(&library.identity.name),
            CodePlace::Python { module, qualname } => write!(f, "{module}:{qualname}"),
        }
    }
}

/// Bytes that travel with code. Clones share them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payload(Arc<[u8]>);

impl Default for Payload {
    fn default() -> Self {
        Payload(Arc::new([]))
    }
}

impl<T: Into<Arc<[u8]>>> From<T> for Payload {
    fn from(bytes: T) -> Self {
        Payload(bytes.into())
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MOST_PAYLOAD} bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Payload, E> {
                match bytes.len() {
                    0..=MOST_PAYLOAD => Ok(bytes.into()),
                    more => Err(E::invalid_length(more, &self)),
                }
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Payload, E> {
                self.visit_bytes(&bytes)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
