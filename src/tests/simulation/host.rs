//! One rank's process and session: what a driver does for the machine, with a log of it.
//!
//! It follows `session/jobs` and `session/register`. Opening is in `loader`, plugins are in `tables`, verdicts in `settle`.

use std::collections::{BTreeMap, BTreeSet};

use super::scenario::{Content, Rank, content, identity};
use super::tables::{Met, Slot};
use super::thing::Thing;
use crate::error::Phase;
use crate::outcome::Failure;
use crate::plan::{Callback, Copies, Item, Key, Library, Plan, What};
use crate::request::{OpenFlags, Request};
use crate::round::{Done, Job, More};
use crate::task::Shapes;

/// A request that no plan has yet.
#[derive(Clone, Debug)]
pub struct Pending {
    request: Request,
    /// Whose code asked for it.
    asker: Option<Thing>,
}

/// A library that the session has on every rank.
pub struct Held {
    pub flags: OpenFlags,
    /// Committed first in this call.
    pub call: u32,
    /// By these items.
    pub by: BTreeSet<Key>,
}

/// One rank's process: loader, interpreter, session.
#[derive(Default)]
pub struct Host {
    rank: u32,
    pub spec: Rank,
    /// Recorded, and in no plan yet.
    pub pending: Vec<Pending>,
    /// Calls so far.
    pub call: u32,
    /// Passes of this call so far.
    pub pass: u32,
    /// What this rank asked for, in which pass of this call.
    pub asked: Vec<(u32, What)>,
    /// The same, where a plugin or a callback asked.
    pub asks: Vec<(Thing, What)>,
    /// What was opened or imported, or tried, in which pass of this call.
    pub tried: Vec<(u32, Thing)>,
    /// Passes of this call that staged.
    pub staging: BTreeSet<u32>,
    /// What is being opened, and all that was, in which pass of this call.
    pub batch: BTreeSet<Thing>,
    pub batches: BTreeSet<(u32, Thing)>,
    /// What was said about tables, by pass and item; of the last batch with that item.
    pub notes: BTreeMap<(u32, Thing), BTreeSet<String>>,
    /// Opened or imported successfully, visible or not.
    pub loaded: BTreeSet<Thing>,
    /// Started their constructors and failed: never started again.
    pub wrecked: BTreeSet<Content>,
    /// How callbacks went, committed or not: none runs twice.
    pub outcomes: BTreeMap<Thing, Result<(), Failure>>,
    /// Tasks that each plugin's table has by now.
    pub tables: BTreeMap<Content, u32>,
    /// The same when they were last looked at, and which item of the running batch has added to them.
    pub seen: BTreeMap<Content, u32>,
    pub grown: BTreeMap<Content, u32>,
    /// Undone.
    pub parked: BTreeSet<Thing>,
    /// Committed.
    pub visible: BTreeSet<Thing>,
    /// Visible with RTLD_GLOBAL, since which pass of this call.
    pub global: BTreeMap<Content, u32>,
    /// Libraries that every rank has.
    pub committed: BTreeMap<Content, Held>,
    /// Callbacks that every rank has run, since which call.
    pub called: BTreeMap<Thing, u32>,
    /// Plugins that the session knows.
    pub met: Vec<Met>,
    /// Committed in this call: they get their numbers at its end.
    pub staged: Vec<Slot>,
    /// By number.
    pub registry: Vec<Slot>,
    /// How often constructors, callbacks and successful module bodies ran.
    pub runs: BTreeMap<Thing, u32>,
    /// What the machine should not have asked for.
    pub complaints: Vec<String>,
}

impl Host {
    pub fn new(rank: u32, spec: Rank) -> Self {
        let mut host = Host { rank, ..Host::default() };
        host.begin_call(spec);
        host
    }

    /// The same process, in the session's next call.
    pub fn begin_call(&mut self, spec: Rank) {
        self.pending.extend(spec.wishes.iter().map(|wish| Pending { request: wish.clone(), asker: None }));
        self.spec = spec;
        self.call += 1;
        self.pass = 0;
        self.asked.clear();
        self.asks.clear();
        self.tried.clear();
        self.staging.clear();
        self.batches.clear();
        self.notes.clear();
        self.global.values_mut().for_each(|since| *since = 0);
    }

    /// Does a job, as a driver would.
    pub fn run(&mut self, job: Job) -> Done {
        match job {
            Job::Gather => self.gather(),
            Job::Stage(items) => {
                self.staging.insert(self.pass);
                let failed = self.each(&items, Host::stage);
                Done::Tried { failed, more: More { here: self.more(), beyond: false }, shapes: Shapes::default() }
            }
            Job::Open(items) => {
                self.batch = items.iter().map(|(_, item)| Thing::of(&item.what)).collect();
                self.batches.extend(self.batch.iter().map(|thing| (self.pass, thing.clone())));
                let failed = self.each(&items, Host::open);
                let (failed, shapes) = self.register(&items, failed);
                Done::Tried { failed, more: More { here: self.more(), beyond: false }, shapes }
            }
            Job::Import(items) => {
                let failed = self.each(&items, Host::import);
                self.notice_growth(items.first().map_or(0, |(index, _)| *index));
                let shapes = self.shapes(&items, &failed, &[]);
                Done::Tried { failed, more: More { here: self.more(), beyond: false }, shapes }
            }
            Job::Settle { commit, undo, growth } => self.settle(&commit, &undo, &growth),
            Job::Conclude { revoke } => self.conclude(&revoke),
        }
    }

    fn more(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Code of a library, a module or a callback asks for something.
    pub fn record(&mut self, requests: &[Request], asker: Option<&Thing>) {
        self.pending.extend(requests.iter().map(|request| Pending { request: request.clone(), asker: asker.cloned() }));
    }

    fn gather(&mut self) -> Done {
        self.pass += 1;
        let mut plan = Plan::default();
        for Pending { request, asker } in std::mem::take(&mut self.pending) {
            let mut item = self.identify(request);
            if self.has(&item, asker.is_some()) {
                continue;
            }
            if let Some(asker) = asker {
                item.asked_by.push(key_of(&asker));
                self.asks.push((asker, item.what.clone()));
            }
            plan.add(item);
        }
        if let Some(given) = self.spec.gathered.take() {
            plan = given;
        }
        self.asked.extend(plan.items.iter().map(|item| (self.pass, item.what.clone())));
        Done::Gathered(plan)
    }

    /// Whether every rank has it already. What this very call has committed may still be undone: who asks for that must
    /// be known to all.
    fn has(&self, item: &Item, asked: bool) -> bool {
        let settled = |call: u32| !asked || call < self.call;
        match &item.what {
            What::Library(Library { identity: Some(identity), flags, .. }) => {
                let global = flags.contains(OpenFlags::GLOBAL);
                let covers = |held: &&Held| !global || held.flags.contains(OpenFlags::GLOBAL);
                let held = self.committed.get(&content(identity)).filter(covers);
                item.copies.is_empty() && held.is_some_and(|held| settled(held.call))
            }
            What::Callback(_) => self.called.get(&Thing::of(&item.what)).is_some_and(|call| settled(*call)),
            _ => false,
        }
    }

    fn identify(&self, wish: Request) -> Item {
        let mut copies = Vec::new();
        let found = |spelling: String, flags: OpenFlags| {
            let (path, content) = self.spec.find(&spelling).unzip();
            Library { identity: content.map(identity), spellings: vec![spelling], path, flags: flags.settled() }
        };
        let what = match wish {
            Request::Library { spelling, flags, .. } => {
                let library = found(spelling, flags);
                let content = library.identity.as_ref().map(content);
                if let Some(paths) = content.and_then(|content| self.spec.copies.get(&content)) {
                    copies.push(Copies { rank: self.rank, paths: paths.clone() });
                }
                What::Library(library)
            }
            Request::Module { name } => What::Module { name },
            Request::Callback { code, tag } => What::Callback(Callback::new(code, tag)),
            Request::Unload { spelling } => What::Unload(found(spelling, OpenFlags::NOW)),
            Request::Invalid { message } => What::Invalid { message },
        };
        Item { copies, ..Item::new(what, self.rank) }
    }

    fn stage(&mut self, item: &Item) -> Result<(), Failure> {
        let thing = Thing::of(&item.what);
        self.tried.push((self.pass, thing.clone()));
        let library = match &item.what {
            What::Library(library) => library.clone(),
            What::Callback(callback) if callback.library().is_some() => callback.library().unwrap(),
            What::Unload(_) => return Ok(()),
            _ => {
                self.complaints.push(format!("asked to stage `{}`", item.name()));
                return Ok(());
            }
        };
        let Some(identity) = &library.identity else {
            return Err(Failure::new(Phase::Resolve, "not found"));
        };
        if self.spec.has(content(identity)) {
            return Ok(());
        }
        let instead = library.path.iter().chain(&library.spellings).find_map(|place| self.spec.find(place));
        Err(Failure::new(
            Phase::Stage,
            instead.map_or("missing".into(), |(path, _)| format!("{path} has other content")),
        ))
    }
}

/// The key under which code asks: constructors and tables for their library, callbacks for themselves.
pub fn key_of(asker: &Thing) -> Key {
    let request = match asker {
        Thing::Library(content) => {
            let identity = Some(identity(*content));
            let library = Library { identity, spellings: Vec::new(), path: None, flags: OpenFlags::NOW };
            return Item::new(What::Library(library), 0).place_key();
        }
        Thing::Native(content, tag) => super::plugin::native(*content, *tag),
        Thing::Python(tag) => super::plugin::python(*tag),
        other => panic!("{other:?} asks for nothing"),
    };
    match request {
        Request::Callback { code, tag } => Callback::new(code, tag).key(),
        other => panic!("{other:?} is no callback"),
    }
}
