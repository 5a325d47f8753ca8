//! Plugin tables: read after dlopen has returned, and not believed before they are checked.
//!
//! Nothing of a table is copied: tasks are looked at when they are asked for. It neither numbers plugins (`registry`) nor
//! runs what they register ([`super::callback`]).

use std::ffi::{CStr, c_void};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dlcast_plugin::abi;

use super::code::object_at;
use super::dl::Opening;
use super::memory::{self, Memory};
use crate::error::Phase;
use crate::identity::Identity;
use crate::outcome::Failure;
use crate::request::OpenFlags;
use crate::task::{Entry, Function, TaskTable};

/// Segments of a list: they double, so that 64 hold more than there is memory; static arrays have one each.
const MOST_SEGMENTS: usize = 1 << 16;
/// Entries of a list that is read as a whole.
const MOST_ENTRIES: usize = 1 << 20;
/// A table with at most so many tasks is checked when it is read; a larger one when a name is first looked up.
pub const CHECKED_AT_LOAD: u32 = 1024;

/// A plugin's table, which lives as long as the process: libraries are not unmapped.
#[derive(Clone)]
pub struct Table {
    raw: &'static abi::Table,
    name: &'static str,
    version: &'static str,
    /// So many tasks are in segments that were found readable.
    sound: Arc<AtomicU32>,
}

/// A callback that a plugin wants run.
#[derive(Clone, Copy)]
pub struct Registered {
    /// With the one signature of callbacks.
    pub function: Function,
    /// The plugin's own copy.
    pub payload: &'static [u8],
    /// Tells registrations of one function apart.
    pub tag: u64,
}

/// What a plugin asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A library.
    Library(&'static str, OpenFlags),
    /// A Python module.
    Module(&'static str),
}

/// Whether an object that is mapped under this path exports a plugin table of its own. Reads nothing of it.
pub fn is_plugin(path: &Path) -> bool {
    let symbol = abi::TABLE_SYMBOL.strip_suffix(b"\0").unwrap_or(abi::TABLE_SYMBOL);
    super::dl::own_symbol(path, symbol)
}

impl Opening<'_> {
    /// The table of an open library; none of an ordinary library, nor of what it needs.
    ///
    /// # Errors
    /// In phase register: what is wrong with the table.
    pub fn table(&mut self, identity: &Identity) -> Result<Option<Table>, Failure> {
        let symbol = abi::TABLE_SYMBOL.strip_suffix(b"\0").unwrap_or(abi::TABLE_SYMBOL);
        // A library that the program may close must not be held by a look at it.
        if !self.may_export(identity, symbol) || self.is_borrowed(identity) {
            return Ok(None);
        }
        let symbol = String::from_utf8_lossy(symbol);
        let Ok(function) = self.symbol(identity, &symbol) else { return Ok(None) };
        // dlsym also looks into what the library needs.
        let own = self.bias(identity);
        if own.is_none() || object_at(function).map(|object| object.bias) != own {
            return Ok(None);
        }
        memory::look();
        if !memory::is_code(function) {
            return Err(wrong(&identity.name, format!("{symbol} is no function")));
        }
        // SAFETY: a function of the name that the plugin's ABI gives this signature; who exports it upholds that.
        let raw = unsafe {
            let function: abi::TableFunction =
                std::mem::transmute(std::ptr::with_exposed_provenance::<c_void>(function));
            function()
        };
        Table::check(raw, &identity.name).map(Some)
    }
}

fn wrong(library: &str, what: impl std::fmt::Display) -> Failure {
    Failure::new(Phase::Register, format!("the plugin table of {library} cannot be used: {what}"))
}

impl Table {
    fn check(raw: *const abi::Table, library: &str) -> Result<Table, Failure> {
        let refuse = |what: String| wrong(library, what);
        let address = raw.expose_provenance();
        if raw.is_null() {
            return Err(refuse("it is a null pointer; the plugin ran out of memory while it registered".into()));
        }
        if !memory::holds::<u32>(address, 2) {
            return Err(refuse(format!("{address:#x} is no readable address")));
        }
        // SAFETY: two words that can be read, as was just asked; every version of the table begins with them.
        let [version, size] = unsafe { raw.cast::<[u32; 2]>().read() };
        if version != abi::PLUGIN_ABI {
            let known = abi::PLUGIN_ABI;
            return Err(refuse(format!(
                "it has ABI version {version}, and this dlcast reads version {known}: build the plugin with this dlcast's dlcast_plugin.h"
            )));
        }
        if (size as usize) < size_of::<abi::Table>() {
            return Err(refuse(format!("it has {size} bytes instead of {}", size_of::<abi::Table>())));
        }
        if !memory::holds::<abi::Table>(address, 1) {
            return Err(refuse(format!("it is at {address:#x}, which is no place for a table")));
        }
        // SAFETY: readable, aligned, large enough; it lives as long as the plugin, which is not unmapped.
        let raw: &'static abi::Table = unsafe { &*raw };
        let name = text(raw.name.expose_provenance()).map_err(|what| refuse(format!("its name {what}")))?;
        let version = text(raw.version.expose_provenance()).map_err(|what| refuse(format!("its version {what}")))?;
        if name.is_empty() || name.contains('/') {
            return Err(refuse(format!("its name `{name}` is empty or has a slash")));
        }
        let table = Table { raw, name, version, sound: Arc::default() };
        segments::<abi::Task>(raw.tasks).map_err(|what| refuse(format!("its tasks {what}")))?;
        if u32::try_from(count::<abi::Task>(raw.tasks)).is_err() {
            return Err(refuse("it has more tasks than can be numbered".into()));
        }
        table.callbacks(0).and_then(|_| table.requests(0)).map_err(&refuse)?;
        table.check_names().map_err(&refuse)?;
        Ok(table)
    }

    /// Whether all entries of a small table can be used; a large one is not read.
    ///
    /// # Errors
    /// What is wrong with which.
    pub fn check_names(&self) -> Result<(), String> {
        if self.len() > CHECKED_AT_LOAD {
            return Ok(());
        }
        let mut names = std::collections::HashSet::new();
        for index in 0..self.len() {
            let entry = self.entry(index).map_err(|what| format!("task {index}: {what}"))?;
            if !names.insert(entry.name) {
                return Err(format!("two tasks are named `{}`", entry.name));
            }
        }
        Ok(())
    }

    /// The plugin's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The plugin's version.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// For a registry.
    pub fn tasks(&self) -> Arc<dyn TaskTable> {
        Arc::new(self.clone())
    }

    /// How many callbacks and requests there are by now.
    pub fn counts(&self) -> (usize, usize) {
        (count::<abi::GlobalCallback>(self.raw.callbacks), count::<abi::Request>(self.raw.requests))
    }

    /// The callbacks from the `first` on.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn callbacks(&self, first: usize) -> Result<Vec<Registered>, String> {
        let entries = all::<abi::GlobalCallback>(self.raw.callbacks).map_err(|what| format!("its callbacks {what}"))?;
        let checked = entries.into_iter().enumerate().skip(first).map(|(index, entry)| {
            let function = entry.function.map_or(0, |function| function as usize);
            if !memory::is_code(function) {
                return Err(format!("callback {index}: {function:#x} is no function"));
            }
            let payload = entry.payload.expose_provenance();
            if entry.length > 0 && !memory::holds::<u8>(payload, entry.length) {
                return Err(format!("callback {index}: its payload of {} bytes is not readable", entry.length));
            }
            let payload = match entry.length {
                0 => &[],
                // SAFETY: readable, as was just asked; as long-lived as the plugin, says its ABI.
                length => unsafe { std::slice::from_raw_parts(entry.payload.cast::<u8>(), length) },
            };
            Ok(Registered { function: Function(function), payload, tag: entry.tag })
        });
        checked.collect()
    }

    /// The requests from the `first` on.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn requests(&self, first: usize) -> Result<Vec<Asked>, String> {
        let entries = all::<abi::Request>(self.raw.requests).map_err(|what| format!("its requests {what}"))?;
        let checked = entries.into_iter().enumerate().skip(first).map(|(index, entry)| {
            let name =
                text(entry.name.expose_provenance()).map_err(|what| format!("request {index}: its name {what}"))?;
            match entry.kind {
                _ if name.is_empty() => Err(format!("request {index}: its name is empty")),
                abi::REQUEST_MODULE => Ok(Asked::Module(name)),
                abi::REQUEST_LIBRARY => match OpenFlags::from_bits(entry.flags) {
                    Some(flags) => Ok(Asked::Library(name, flags)),
                    None => Err(format!("request {index}: dlopen flags {:#x} are unknown", entry.flags)),
                },
                kind => Err(format!("request {index}: kind {kind} is unknown")),
            }
        });
        checked.collect()
    }
}

impl TaskTable for Table {
    fn len(&self) -> u32 {
        let count = u32::try_from(count::<abi::Task>(self.raw.tasks)).unwrap_or(u32::MAX);
        self.sound.fetch_max(count, Ordering::Relaxed);
        count
    }

    fn entry(&self, index: u32) -> Result<Entry, String> {
        if index >= self.sound.load(Ordering::Relaxed) && index >= self.len() {
            return Err(format!("there is no task {index}"));
        }
        let mut left = index as usize;
        let mut next = self.raw.tasks;
        while !next.is_null() {
            // SAFETY: `len` has found every segment up to the index readable; segments stay where they are, and are written
            // with atomics alone once they can be seen.
            let (entries, count, behind) = unsafe {
                let segment = &*next;
                (segment.entries.cast::<abi::Task>(), segment.count.load(Ordering::Acquire), &segment.next)
            };
            if left < count {
                // SAFETY: as above.
                return checked(&unsafe { entries.add(left).read() });
            }
            left -= count;
            next = behind.load(Ordering::Acquire);
        }
        Err(format!("there is no task {index}"))
    }
}

/// An entry whose pointers lead somewhere.
fn checked(task: &abi::Task) -> Result<Entry, String> {
    let function = task.function.map_or(0, |function| function as usize);
    let (name, signature) = (task.name.expose_provenance(), task.signature.expose_provenance());
    let whole = memory::ask(|memory| {
        let whole = memory.is_code(function);
        whole.then(|| Some((terminated(memory, name)?, terminated(memory, signature)?)))?
    });
    let Some((name, signature)) = whole else {
        // Which of them it was.
        if !memory::is_code(function) {
            return Err(format!("{function:#x} is no function"));
        }
        text(name).map_err(|what| format!("its name {what}"))?;
        text(signature).map_err(|what| format!("its signature {what}"))?;
        return Err("its memory changes while it is read".into());
    };
    let utf8 = |bytes, which| std::str::from_utf8(bytes).map_err(|error| format!("its {which} is not UTF-8 ({error})"));
    let (name, signature) = (utf8(name, "name")?, utf8(signature, "signature")?);
    if name.is_empty() {
        return Err("its name is empty".into());
    }
    Ok(Entry { name, signature, function: Function(function) })
}

/// A checked segment: its entries, how many, and the segment behind it; none at the end of the chain.
type Segment<T> = Option<(*const T, usize, *const abi::List)>;

fn segment<T>(list: *const abi::List) -> Result<Segment<T>, String> {
    if list.is_null() {
        return Ok(None);
    }
    if !memory::holds::<abi::List>(list.expose_provenance(), 1) {
        return Err(format!("are a list at {:#x}, which is not readable", list.expose_provenance()));
    }
    // SAFETY: readable and aligned; the plugin writes it with atomics alone once it can be seen.
    let (entries, count, next) = unsafe {
        ((*list).entries.cast::<T>(), (*list).count.load(Ordering::Acquire), (*list).next.load(Ordering::Acquire))
    };
    if count > 0 && !memory::holds::<T>(entries.expose_provenance(), count) {
        return Err(format!(
            "are said to be {count}, which is more than is readable at {:#x}",
            entries.expose_provenance()
        ));
    }
    Ok(Some((entries, count, next)))
}

fn segments<T>(first: *const abi::List) -> Result<Vec<(*const T, usize)>, String> {
    let mut found = Vec::new();
    let mut next = first;
    while let Some((entries, count, behind)) = segment::<T>(next)? {
        if found.len() == MOST_SEGMENTS {
            return Err(format!("are in more than {MOST_SEGMENTS} pieces, or in a circle"));
        }
        found.push((entries, count));
        next = behind;
    }
    Ok(found)
}

fn count<T>(first: *const abi::List) -> usize {
    segments::<T>(first).map_or(0, |found| found.iter().map(|(_, count)| count).sum())
}

fn all<T: Copy>(first: *const abi::List) -> Result<Vec<T>, String> {
    let found = segments::<T>(first)?;
    let total = found.iter().try_fold(0_usize, |total, (_, count)| total.checked_add(*count));
    if total.is_none_or(|total| total > MOST_ENTRIES) {
        return Err(format!("are more than {MOST_ENTRIES}"));
    }
    let mut entries = Vec::with_capacity(total.unwrap_or_default());
    for (first, count) in found.into_iter().filter(|(_, count)| *count > 0) {
        // One by one: a count that nobody set may reach into the very memory that is being filled.
        // SAFETY: `segment` found the entries readable and aligned; a plugin does not write them any more.
        entries.extend((0..count).map(|at| unsafe { first.add(at).read() }));
    }
    Ok(entries)
}

/// A C string of a plugin: readable, terminated within the bound, UTF-8.
fn text(address: usize) -> Result<&'static str, String> {
    if address == 0 {
        return Err("is a null pointer".into());
    }
    let Some(bytes) = memory::ask(|memory| terminated(memory, address)) else {
        return Err(match memory::holds::<u8>(address, 1) {
            false => format!("is at {address:#x}, which is not readable"),
            true => format!("does not end within {} bytes", abi::NAME_MOST),
        });
    };
    std::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8 ({error})"))
}

/// The bytes of a C string before its NUL, if that comes within the bound and what can be read.
fn terminated(memory: &Memory, address: usize) -> Option<&'static [u8]> {
    let there = memory.readable(address).min(abi::NAME_MOST + 1);
    if there == 0 {
        return None;
    }
    // SAFETY: `there` bytes can be read, as was just asked; a plugin's strings live as long as it, says its ABI.
    let bytes = unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(address), there) };
    CStr::from_bytes_until_nul(bytes).ok().map(CStr::to_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word of a good table, of its lists, and of their entries.
    const WORDS: usize = 64;

    extern "C" fn run() {}

    /// A table in memory of its own: two tasks, a callback, a request; and what its words may be replaced with.
    fn good() -> (&'static mut [usize; WORDS], Vec<usize>) {
        let words: &'static mut [usize; WORDS] = Box::leak(Box::new([0; WORDS]));
        let at = |word: usize| words.as_ptr().expose_provenance() + word * 8;
        let text = |text: &'static [u8]| text.as_ptr().expose_provenance();
        let (name, code) = (text(b"name\0"), run as *const () as usize);
        let places: [(usize, &[usize]); 8] = [
            // abi and size, name, version, lists
            (0, &[48 << 32 | 1, name, text(b"1.0\0"), at(8), at(12), at(16)]),
            // entries, count, next
            (8, &[at(24), 1, at(20)]),
            (12, &[at(32), 1, 0]),
            (16, &[at(40), 1, 0]),
            (20, &[at(28), 1, 0]),
            (24, &[name, name, code]),
            (28, &[text(b"other\0"), name, code]),
            (32, &[code, name, 4, 7]),
        ];
        let request = [name, 2 << 32];
        let odd = vec![
            0,
            1,
            8,
            48,
            4096,
            at(8),
            at(20),
            at(24),
            at(63),
            at(1) + 1,
            name,
            code,
            text(b"\xff\0"),
            usize::MAX,
            usize::MAX / 24,
            1 << 40,
            1 << 60,
            isize::MAX as usize,
            0x7fff_ffff_f000,
        ];
        for (place, values) in places.into_iter().chain([(40, &request[..])]) {
            words[place..place + values.len()].copy_from_slice(values);
        }
        (words, odd)
    }

    /// Reads all that there is.
    fn read(words: &'static [usize; WORDS]) -> Result<(), String> {
        let table = Table::check(words.as_ptr().cast(), "libtest.so").map_err(|failure| failure.message)?;
        let _ = (table.counts(), table.callbacks(0)?, table.requests(0)?);
        (0..table.len().min(3000)).try_for_each(|index| table.entry(index).map(|_| ()))
    }

    #[test]
    fn a_good_table_is_read() {
        memory::look();
        assert_eq!(read(good().0), Ok(()));
    }

    #[test]
    fn no_table_makes_it_crash() {
        memory::look();
        let mut random = fastrand::Rng::with_seed(3);
        let mut refused = 0;
        for _ in 0..4000 {
            let (words, odd) = good();
            for _ in 0..random.usize(1..4) {
                words[random.usize(..WORDS)] = odd[random.usize(..odd.len())];
            }
            refused += u32::from(read(words).is_err());
        }
        assert!(refused > 1000, "{refused} were refused");
    }
}
