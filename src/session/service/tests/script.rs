//! What programs, constructors and modules do, by themselves and when dlcast is asked for something; and what a run is made of.
//!
//! Values: stepping them is `thread`'s.

use std::collections::BTreeSet;

use crate::code::{CodePlace, CodeRef, Home};
use crate::identity::Identity;
use crate::plan::{Item, What};
use crate::request::{Lane, OpenFlags, Request};

/// A library, by number.
pub type Library = u32;
/// A module, by number.
pub type Module = u32;

/// What somebody wants everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    Library(Library),
    Module(Module),
    /// A callback of a library, by its tag.
    Callback(Library, u64),
}

/// One atomic step of a thread, or what is left to be taken apart into such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    // What scripts, constructors and bodies are written in.
    Compute(u8),
    Send(u32),
    Receive(u32),
    Barrier(u32),
    /// load_global, import_global, register_global: wait, where that is allowed.
    Ask(Wish),
    /// Recorded: waits nowhere.
    Record(Wish),
    /// dlopen by the program, a constructor or a body.
    Open(Library),
    Import(Module),

    // Locks.
    TakeGil,
    DropGil,
    LockLoader,
    UnlockLoader,
    LockModule(Module),
    AwaitModule(Module),

    // In the middle of something.
    Construct(Library),
    Constructed(Library),
    Opened(Library),
    EndModule(Module),
    RunCallback(Library, u64),
    EndCallback,
    AwaitMessage(u32),
    AwaitBarrier(u32),
    Request {
        wish: Wish,
        libraries_only: bool,
    },
    Await {
        wish: Wish,
        ticket: u64,
        libraries_only: bool,
    },
    AwaitPython {
        wish: Wish,
        ticket: u64,
    },
    /// The module that was asked for is imported by the caller, too.
    Bind(Module),
    Leave,
    Goodbye,
    AwaitEnd,

    // Workers.
    /// An item of a batch begins.
    Item(u32),
    /// What came of it.
    Outcome(u32),
    /// The job is done.
    Finish,
}

/// How the program's own dlopen is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shim {
    /// Not at all, but for the link maps.
    Absent,
    /// The outermost waits.
    Eager,
    Deferred,
}

/// A known way into a deadlock, put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An eager dlopen waits for imports, too.
    ImportAtDlopen,
    /// The protocol thread does the work itself.
    OneThread,
    /// What is asked for in a constructor is waited for.
    WaitInConstructor,
    /// What is asked for in a module's body is waited for.
    WaitInImport,
    /// The native lane answers when the Python lane is idle.
    NativeAfterPython,
}

/// A thread of a program.
#[derive(Clone, Debug)]
pub struct Script {
    /// Made by Python: it holds the GIL but where it waits.
    pub python: bool,
    pub steps: Vec<Step>,
}

/// A rank's program and what its machine has.
#[derive(Clone, Debug, Default)]
pub struct Rank {
    pub has_python: bool,
    /// Files that are not there.
    pub lacks: BTreeSet<Library>,
    /// Bodies that raise.
    pub raises: BTreeSet<Module>,
    /// The main thread first.
    pub scripts: Vec<Script>,
}

/// All ranks.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub ranks: Vec<Rank>,
    /// By number.
    pub constructors: Vec<Vec<Step>>,
    pub bodies: Vec<Vec<Step>>,
    pub callbacks: Vec<Vec<Step>>,
    pub shim: Shim,
    /// Which ranks are neighbours: the first so many, and the rest.
    pub split: u32,
    pub fault: Option<Fault>,
    /// Deadlines of jobs pass, at any moment.
    pub deadlines: bool,
    /// The library worker of this rank never comes back from the first thing that it opens.
    pub gone: Option<u32>,
}

impl Scenario {
    /// For people.
    pub fn told(&self) -> String {
        let Scenario { seed, ranks, constructors, bodies, callbacks, shim, split, fault, .. } = self;
        let ranks: Vec<String> = ranks.iter().map(|rank| format!("{rank:?}")).collect();
        let ranks = ranks.join("\n");
        format!(
            "seed {seed}, {shim:?}, {fault:?}, split at {split}\n{ranks}\nconstructors {constructors:?}\nbodies {bodies:?}\ncallbacks {callbacks:?}"
        )
    }
}

impl Wish {
    pub fn lane(self) -> Lane {
        match self {
            Wish::Module(_) => Lane::Python,
            _ => Lane::Native,
        }
    }

    pub fn request(self) -> Request {
        match self {
            Wish::Library(library) => {
                Request::Library { spelling: path(library), flags: flags(library), opened: false }
            }
            Wish::Module(module) => Request::Module { name: format!("m{module}") },
            Wish::Callback(library, tag) => {
                let home = Home { identity: identity(library), path: path(library) };
                let place = CodePlace::Symbol { library: home, symbol: "setup".into() };
                Request::Callback { code: CodeRef::new(place, ""), tag }
            }
        }
    }

    pub fn of(item: &Item) -> Wish {
        match &item.what {
            What::Library(library) => Wish::Library(numbered(library.spellings[0].as_str())),
            What::Module { name } => Wish::Module(numbered(name)),
            What::Callback(callback) => {
                Wish::Callback(numbered(&callback.code.home().expect("it is native").path), callback.tag)
            }
            other => panic!("nobody has asked for {other:?}"),
        }
    }
}

fn numbered(name: &str) -> u32 {
    name.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("names are numbers")
}

pub fn path(library: Library) -> String {
    format!("/lib/lib{library}.so")
}

/// Some libraries are for all to see.
pub fn flags(library: Library) -> OpenFlags {
    if library.is_multiple_of(3) { OpenFlags::NOW | OpenFlags::GLOBAL } else { OpenFlags::NOW }
}

pub fn identity(library: Library) -> Identity {
    Identity { name: format!("lib{library}.so"), size: 4096, build_id: None, digest: [library as u8; 32] }
}
