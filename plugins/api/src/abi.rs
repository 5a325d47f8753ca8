//! The layout that a plugin and its host agree on, version 1: the twin of `include/dlcast_plugin.h`.
//!
//! Values only: nothing here fills a table or reads one. What a host finds behind these pointers was written by
//! somebody else; it checks before it believes.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize};

/// The version of this layout; the first word of every [`Table`].
pub const PLUGIN_ABI: u32 = 1;

/// The longest name or signature in bytes, without its NUL.
pub const NAME_MOST: usize = 65_535;

/// The room for a message that a caller of a callback or a guarded task offers at least.
pub const MESSAGE_LEAST: usize = 1024;

/// The name of the one symbol that a plugin exports, with its NUL: a [`TableFunction`].
pub const TABLE_SYMBOL: &[u8] = b"dlcast_plugin_table_v1\0";

/// What a library request begins with when it means the folder of the plugin itself.
pub const ORIGIN: &str = "$ORIGIN/";

/// Any function; cast to what its signature says before it is called.
pub type Function = unsafe extern "C" fn();

/// Says where the plugin's table is; null when the plugin ran out of memory while it registered.
pub type TableFunction = unsafe extern "C" fn() -> *const Table;

/// The one signature of callbacks: payload, its length, tag, and room for a message with its capacity.
///
/// 0 is success; anything else is a failure, and the message (NUL-terminated, "" at entry) says why. The payload is lent
/// during the call. It must not unwind.
pub type Callback =
    unsafe extern "C" fn(payload: *const c_void, length: usize, tag: u64, message: *mut c_char, capacity: usize) -> i32;

/// A function that a plugin names.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Unique in its plugin; UTF-8, NUL-terminated, as long-lived as the plugin.
    pub name: *const c_char,
    /// How to call it: `(f64,u64)->f64` for a guarded task, any text for a raw one.
    pub signature: *const c_char,
    /// Where it is; never null in a good table.
    pub function: Option<Function>,
}

/// A function to be run once in every process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GlobalCallback {
    /// Where it is; never null in a good table.
    pub function: Option<Callback>,
    /// `length` bytes, as long-lived as the plugin; null only when there are none.
    pub payload: *const c_void,
    /// The number of bytes.
    pub length: usize,
    /// Tells registrations of one function apart.
    pub tag: u64,
}

/// Something that the plugin wants loaded on every rank.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// A path, a bare name or `$ORIGIN/...` for a library, a dotted name for a module; as a task's name.
    pub name: *const c_char,
    /// [`REQUEST_LIBRARY`] or [`REQUEST_MODULE`].
    pub kind: i32,
    /// The flags of dlopen for a library, 0 meaning `RTLD_NOW`; 0 for a module.
    pub flags: i32,
}

/// [`Request::kind`] of a shared library.
pub const REQUEST_LIBRARY: i32 = 0;
/// [`Request::kind`] of a Python module.
pub const REQUEST_MODULE: i32 = 1;

/// One segment of a chain of entries. Entries are only ever appended, behind the last one of the last segment, and never
/// move: an index, counted through the chain, stays good.
#[repr(C)]
#[derive(Debug)]
pub struct List {
    /// `count` entries of the list's type, side by side; null only when there are none.
    pub entries: *const c_void,
    /// How many there are by now; written with release after the entry is complete, so read it with acquire.
    pub count: AtomicUsize,
    /// The segment behind this one, or null; written and read like `count`.
    pub next: AtomicPtr<List>,
}

/// What a plugin says about itself. It stays where it is for as long as the plugin is mapped.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    /// [`PLUGIN_ABI`].
    pub abi: u32,
    /// The size of this struct as the plugin knew it; at least `size_of::<Table>()`.
    pub size: u32,
    /// Unique among the plugins of a session; as a task's name.
    pub name: *const c_char,
    /// For people; as a task's name.
    pub version: *const c_char,
    /// Entries are [`Task`]s.
    pub tasks: *const List,
    /// Entries are [`GlobalCallback`]s, run in this order.
    pub callbacks: *const List,
    /// Entries are [`Request`]s.
    pub requests: *const List,
}

// SAFETY: the pointers are to data that lives as long as the plugin and is not written once it can be seen, but for the
// atomics; whoever fills a table (`table.rs`, `dlcast_plugin.h`) upholds that.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}
// SAFETY: as above.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}
// SAFETY: as above.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}
// SAFETY: as above.
unsafe impl Send for GlobalCallback {}
// SAFETY: as above.
unsafe impl Sync for GlobalCallback {}
// SAFETY: as above.
unsafe impl Send for Request {}
// SAFETY: as above.
unsafe impl Sync for Request {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn sizes_are_those_of_the_header() {
        assert_eq!(size_of::<Task>(), 24);
        assert_eq!(size_of::<GlobalCallback>(), 32);
        assert_eq!(size_of::<Request>(), 16);
        assert_eq!(size_of::<List>(), 24);
        assert_eq!(size_of::<Table>(), 48);
    }
}
