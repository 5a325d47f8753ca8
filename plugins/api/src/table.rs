//! The plugin's own table: chains that constructors and callbacks append to.
//!
//! It reads nothing back and calls nothing of dlcast. Entries never move, and nothing is freed: a plugin stays mapped.

use std::borrow::Cow;
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::abi;
use crate::guard::{CallbackFunction, TaskFunction, guarded, guarded_callback};
use crate::outcome::Outcome;

static TASKS: Chain<abi::Task> = Chain::new();
static CALLBACKS: Chain<abi::GlobalCallback> = Chain::new();
static REQUESTS: Chain<abi::Request> = Chain::new();

/// Adds a task; a literal (`c"step"`) is kept as it is, a `CString` is kept for good.
pub fn add_task<A, F: TaskFunction<A>>(name: impl Into<Cow<'static, CStr>>, function: F) {
    let task = guarded(function);
    TASKS.append(abi::Task {
        name: kept(name.into()).as_ptr(),
        signature: task.signature.as_ptr(),
        function: Some(task.function),
    });
}

/// Adds a raw task: a C function of any type, with any text as its signature.
///
/// # Safety
///
/// `function` may be called as `signature` says, and does not unwind.
pub unsafe fn add_raw_task(
    name: impl Into<Cow<'static, CStr>>,
    signature: impl Into<Cow<'static, CStr>>,
    function: abi::Function,
) {
    TASKS.append(abi::Task {
        name: kept(name.into()).as_ptr(),
        signature: kept(signature.into()).as_ptr(),
        function: Some(function),
    });
}

/// Adds a callback, to be run once in every process for the same function, tag and payload; the payload is copied.
pub fn add_callback<O: Outcome<Value = ()>, F: CallbackFunction<O>>(function: F, payload: &[u8], tag: u64) {
    let payload: &'static [u8] = Box::leak(payload.into());
    CALLBACKS.append(abi::GlobalCallback {
        function: Some(guarded_callback(function)),
        payload: payload.as_ptr().cast(),
        length: payload.len(),
        tag,
    });
}

/// Asks for a library on every rank: a path, a bare name, or `$ORIGIN/...` for one beside the plugin; `flags` are those
/// of dlopen, 0 meaning `RTLD_NOW`. Returns at once.
pub fn ask_library(name: impl Into<Cow<'static, CStr>>, flags: i32) {
    REQUESTS.append(abi::Request { name: kept(name.into()).as_ptr(), kind: abi::REQUEST_LIBRARY, flags });
}

/// Asks for a Python module on every rank, by its dotted name. Returns at once.
pub fn ask_module(name: impl Into<Cow<'static, CStr>>) {
    REQUESTS.append(abi::Request { name: kept(name.into()).as_ptr(), kind: abi::REQUEST_MODULE, flags: 0 });
}

/// The table of this plugin; what `plugin!` exports.
#[must_use]
pub const fn table(name: &'static CStr, version: &'static CStr) -> abi::Table {
    abi::Table {
        abi: abi::PLUGIN_ABI,
        size: size_of::<abi::Table>() as u32,
        name: name.as_ptr(),
        version: version.as_ptr(),
        tasks: &raw const TASKS.first,
        callbacks: &raw const CALLBACKS.first,
        requests: &raw const REQUESTS.first,
    }
}

/// `text` for as long as the plugin is mapped.
fn kept(text: Cow<'static, CStr>) -> &'static CStr {
    match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => Box::leak(text.into_boxed_c_str()),
    }
}

/// A chain that grows; its first segment stays empty, so that the table never changes.
struct Chain<T: 'static> {
    first: abi::List,
    end: Mutex<End<T>>,
}

/// Where the next entry goes.
struct End<T: 'static> {
    /// The last segment; none while there is only the first.
    last: Option<&'static abi::List>,
    /// The places of the last segment that are free.
    free: &'static mut [MaybeUninit<T>],
    /// How large the last segment was.
    grown: usize,
    entries: PhantomData<T>,
}

// SAFETY: `T`s are only written, as values, under the lock; `append`, the only user, upholds that.
unsafe impl<T: Send> Sync for Chain<T> {}

impl<T: Send + Copy> Chain<T> {
    const fn new() -> Self {
        Chain {
            first: segment(std::ptr::null(), 0),
            end: Mutex::new(End { last: None, free: &mut [], grown: 0, entries: PhantomData }),
        }
    }

    /// Puts `entry` behind the last one. A new segment is complete before it can be seen.
    fn append(&'static self, entry: T) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let last = end.last.unwrap_or(&self.first);
        if let Some((place, rest)) = std::mem::take(&mut end.free).split_first_mut() {
            place.write(entry);
            last.count.store(last.count.load(Ordering::Relaxed) + 1, Ordering::Release);
            end.free = rest;
            return;
        }
        let grown = if end.grown == 0 { 16 } else { 2 * end.grown };
        let places: &'static mut [MaybeUninit<T>] = Box::leak(Box::new_uninit_slice(grown));
        let entries = places.as_ptr().cast::<c_void>();
        let [place, rest @ ..] = places else { unreachable!("a segment has places") };
        place.write(entry);
        let next: &'static mut abi::List = Box::leak(Box::new(segment(entries, 1)));
        last.next.store(next, Ordering::Release);
        *end = End { last: Some(next), free: rest, grown, entries: PhantomData };
    }
}

const fn segment(entries: *const c_void, count: usize) -> abi::List {
    abi::List { entries, count: AtomicUsize::new(count), next: AtomicPtr::new(null_mut()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_are_while_the_chain_grows() {
        static NUMBERS: Chain<u64> = Chain::new();
        let mut seen: Vec<(*const u64, u64)> = Vec::new();
        for number in 0..1000 {
            NUMBERS.append(number);
            let mut at = &NUMBERS.first;
            while let Some(next) = unsafe_next(at) {
                at = next;
            }
            let entries = at.entries.cast::<u64>();
            seen.push((entries.wrapping_add(at.count.load(Ordering::Acquire) - 1), number));
        }
        // SAFETY: the entries are in leaked segments.
        assert!(seen.iter().all(|&(place, number)| unsafe { place.read() } == number));
    }

    fn unsafe_next(list: &abi::List) -> Option<&'static abi::List> {
        // SAFETY: segments are leaked.
        unsafe { list.next.load(Ordering::Acquire).as_ref() }
    }
}
