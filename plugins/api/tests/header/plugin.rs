//! A plugin that is open: its table, read through the one exported function, and its symbols, read from the file.
//!
//! It checks nothing, as a host would have to: the tests know what they built.

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::sync::atomic::Ordering;

use dlcast_plugin::{Arguments, Returned, Typed, abi};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use object::{Object, ObjectSymbol};

/// An open plugin; never closed.
pub struct Plugin {
    pub table: &'static abi::Table,
}

/// A task as the table has it, and where.
pub struct Task {
    pub name: &'static str,
    pub signature: &'static str,
    pub function: abi::Function,
    pub entry: *const abi::Task,
}

impl Plugin {
    pub fn open(path: &Path) -> Self {
        Plugin::open_with(path, RTLD_NOW | RTLD_LOCAL)
    }

    pub fn open_with(path: &Path, flags: i32) -> Self {
        // SAFETY: the fixture returns null or its table, and is never closed.
        Plugin { table: unsafe { Plugin::asked(path, flags).as_ref() }.expect("the plugin has a table") }
    }

    /// What the exported function returns.
    pub fn asked(path: &Path, flags: i32) -> *const abi::Table {
        // SAFETY: the constructors of a fixture only fill its table.
        let library = unsafe { Library::open(Some(path), flags) }.unwrap();
        // SAFETY: this is the symbol's type.
        let function = unsafe { *library.get::<abi::TableFunction>(abi::TABLE_SYMBOL).unwrap() };
        std::mem::forget(library);
        // SAFETY: it may be called at any time, and the library stays open.
        unsafe { function() }
    }

    pub fn tasks(&self) -> Vec<Task> {
        let task = |entry: *const abi::Task| {
            // SAFETY: entries of fixtures stay where they are.
            let abi::Task { name, signature, function } = unsafe { *entry };
            Task { name: text(name), signature: text(signature), function: function.unwrap(), entry }
        };
        entries(self.table.tasks).into_iter().map(task).collect()
    }

    /// Names and signatures, sorted: the order between translation units is the linker's.
    pub fn names(&self) -> Vec<(&'static str, &'static str)> {
        let mut names: Vec<_> = self.tasks().iter().map(|task| (task.name, task.signature)).collect();
        names.sort_unstable();
        names
    }

    pub fn task(&self, name: &str) -> Task {
        self.tasks().into_iter().find(|task| task.name == name).unwrap_or_else(|| panic!("no task {name}"))
    }

    pub fn callbacks(&self) -> Vec<abi::GlobalCallback> {
        // SAFETY: as above.
        entries::<abi::GlobalCallback>(self.table.callbacks).into_iter().map(|entry| unsafe { *entry }).collect()
    }

    /// Names, kinds and flags.
    pub fn requests(&self) -> Vec<(&'static str, i32, i32)> {
        entries::<abi::Request>(self.table.requests)
            .into_iter()
            // SAFETY: as above.
            .map(|entry| unsafe { *entry })
            .map(|entry| (text(entry.name), entry.kind, entry.flags))
            .collect()
    }
}

/// Runs a callback as a host does; the message of a failure.
pub fn run(callback: abi::Callback, payload: &[u8], tag: u64) -> Result<(), String> {
    run_with(callback, payload, tag, abi::MESSAGE_LEAST)
}

pub fn run_with(callback: abi::Callback, payload: &[u8], tag: u64, capacity: usize) -> Result<(), String> {
    let mut message = vec![0 as c_char; capacity + 1];
    message[capacity] = 99;
    let place = message.as_mut_ptr();
    // SAFETY: the callback is lent what it asks for.
    let status = unsafe { callback(payload.as_ptr().cast(), payload.len(), tag, place, capacity) };
    assert_eq!(message[capacity], 99, "the message stays in its room");
    if status == 0 { Ok(()) } else { Err(text(message.as_ptr()).to_owned()) }
}

/// The bytes of a callback's own payload.
pub fn payload(callback: &abi::GlobalCallback) -> &'static [u8] {
    if callback.length == 0 {
        &[]
    } else {
        // SAFETY: a callback has as many bytes as it says, for as long as the plugin lives.
        unsafe { std::slice::from_raw_parts(callback.payload.cast(), callback.length) }
    }
}

/// A name, a signature, a message; the callers see to it that it lives.
pub fn text<'a>(text: *const c_char) -> &'a str {
    // SAFETY: all of them are NUL-terminated.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

fn entries<T>(mut list: *const abi::List) -> Vec<*const T> {
    let mut found = Vec::new();
    // SAFETY: segments of fixtures stay where they are.
    while let Some(segment) = unsafe { list.as_ref() } {
        let entries: *const c_void = segment.entries;
        found.extend((0..segment.count.load(Ordering::Acquire)).map(|at| entries.cast::<T>().wrapping_add(at)));
        list = segment.next.load(Ordering::Acquire);
    }
    found
}

/// The dynamic symbols whose name has to do with dlcast, with what they are: `U` undefined, `W` weak, `G` global.
pub fn symbols(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let symbols = file.dynamic_symbols().filter(|symbol| symbol.name().unwrap().contains("dlcast"));
    let kind = |symbol: &object::Symbol<'_, '_>| match symbol {
        symbol if symbol.is_undefined() => 'U',
        symbol if symbol.is_weak() => 'W',
        _ => 'G',
    };
    symbols.map(|symbol| format!("{} {}", kind(&symbol), symbol.name().unwrap())).collect()
}

/// The task of a plugin, with its types.
pub fn typed<A: Arguments, R: Returned>(plugin: &Plugin, name: &str) -> Typed<A, R> {
    let task = plugin.task(name);
    // SAFETY: the signature came with the function.
    unsafe { Typed::new(task.function, task.signature) }.unwrap()
}
