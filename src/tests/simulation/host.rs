//! One rank's fake files, loader and interpreter: what a driver does for the machine, with a log of it.

use std::collections::{BTreeMap, BTreeSet};

use super::scenario::{Body, Content, Importing, Opening, Rank, content, identity};
use crate::error::Phase;
use crate::outcome::Failure;
use crate::plan::{Callback, Copies, Item, Library, Plan, What};
use crate::request::{OpenFlags, Request};
use crate::round::{Done, Job};
use crate::task::Shapes;

/// What becomes visible or does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// By content.
    Library(Content),
    /// By name.
    Module(String),
    /// A library that nobody found.
    Unfound(Vec<String>),
    /// By its tag.
    Callback(u64),
    /// A bad call.
    Invalid(String),
}

impl Thing {
    /// What an item is about.
    pub fn of(what: &What) -> Thing {
        match what {
            What::Library(Library { identity: Some(identity), .. }) => Thing::Library(content(identity)),
            What::Library(library) => Thing::Unfound(library.spellings.clone()),
            What::Module { name } => Thing::Module(name.clone()),
            What::Callback(callback) => Thing::Callback(callback.tag),
            What::Unload(_) => Thing::Invalid("unload".into()),
            What::Invalid { message } => Thing::Invalid(message.clone()),
        }
    }
}

/// One rank's loader and interpreter.
pub struct Host {
    rank: u32,
    pub spec: Rank,
    /// Recorded, and in no plan yet.
    pub pending: Vec<Request>,
    /// Passes so far.
    pub pass: u32,
    /// What this rank asked for, in which pass.
    pub asked: Vec<(u32, What)>,
    /// What was opened or imported, or tried, in which pass.
    pub tried: Vec<(u32, Thing)>,
    /// Opened or imported successfully, visible or not.
    loaded: BTreeSet<Thing>,
    /// Started their constructors and failed: never started again.
    wrecked: BTreeSet<Content>,
    /// Undone.
    pub parked: BTreeSet<Thing>,
    /// Visible.
    pub visible: BTreeSet<Thing>,
    /// Visible with RTLD_GLOBAL, since which pass.
    pub global: BTreeMap<Content, u32>,
    /// How often constructors and successful module bodies ran.
    pub runs: BTreeMap<Thing, u32>,
    /// What the machine should not have asked for.
    pub complaints: Vec<String>,
}

impl Host {
    pub fn new(rank: u32, spec: Rank) -> Self {
        let pending = spec.wishes.clone();
        Host {
            rank,
            spec,
            pending,
            pass: 0,
            asked: Vec::new(),
            tried: Vec::new(),
            loaded: BTreeSet::new(),
            wrecked: BTreeSet::new(),
            parked: BTreeSet::new(),
            visible: BTreeSet::new(),
            global: BTreeMap::new(),
            runs: BTreeMap::new(),
            complaints: Vec::new(),
        }
    }

    /// Does a job, as a driver would.
    pub fn run(&mut self, job: Job) -> Done {
        match job {
            Job::Gather => self.gather(),
            Job::Stage(items) => self.each(items, Host::stage),
            Job::Open(items) => self.each(items, Host::open),
            Job::Import(items) => self.each(items, |host, item| host.import(item)),
            Job::Settle { commit, undo, freeze } => self.settle(&commit, &undo, freeze),
            Job::Conclude { revoke } => self.conclude(&revoke),
        }
    }

    /// What is loaded and neither visible nor undone.
    pub fn undecided(&self) -> impl Iterator<Item = &Thing> {
        self.loaded.iter().filter(|thing| !self.visible.contains(thing) && !self.parked.contains(thing))
    }

    fn gather(&mut self) -> Done {
        self.pass += 1;
        let mut plan = Plan::default();
        for wish in std::mem::take(&mut self.pending) {
            let item = self.identify(wish);
            plan.add(item);
        }
        if let Some(given) = self.spec.gathered.take() {
            plan = given;
        }
        self.asked.extend(plan.items.iter().map(|item| (self.pass, item.what.clone())));
        Done::Gathered(plan)
    }

    fn identify(&self, wish: Request) -> Item {
        let mut copies = Vec::new();
        let what = match wish {
            Request::Library { spelling, flags, .. } => {
                let found = self.spec.find(&spelling);
                if let Some(paths) = found.as_ref().and_then(|(_, content)| self.spec.copies.get(content)) {
                    copies.push(Copies { rank: self.rank, paths: paths.clone() });
                }
                let (path, content) = found.unzip();
                let flags = flags.settled();
                What::Library(Library { identity: content.map(identity), spellings: vec![spelling], path, flags })
            }
            Request::Module { name } => What::Module { name },
            Request::Callback { code, tag } => What::Callback(Callback::new(code, tag)),
            Request::Unload { spelling } => {
                What::Unload(Library { identity: None, spellings: vec![spelling], path: None, flags: OpenFlags::NOW })
            }
            Request::Invalid { message } => What::Invalid { message },
        };
        Item { copies, ..Item::new(what, self.rank) }
    }

    fn each<T>(&mut self, work: Vec<(u32, T)>, mut one: impl FnMut(&mut Host, &T) -> Result<(), Failure>) -> Done {
        let mut failed = Vec::new();
        for (index, item) in work {
            let tried = std::panic::AssertUnwindSafe(|| one(self, &item));
            let outcome = std::panic::catch_unwind(tried);
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => failed.push((index, failure)),
                Err(_) => failed.push((index, Failure::new(Phase::Open, "panicked"))),
            }
        }
        Done::Tried { failed, more: !self.pending.is_empty(), shapes: Shapes::default() }
    }

    fn stage(&mut self, item: &Item) -> Result<(), Failure> {
        let What::Library(library) = &item.what else {
            self.complaints.push(format!("asked to stage `{}`", item.name()));
            return Ok(());
        };
        self.tried.push((self.pass, Thing::of(&item.what)));
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

    fn open(&mut self, item: &Item) -> Result<(), Failure> {
        let thing = Thing::of(&item.what);
        self.tried.push((self.pass, thing.clone()));
        let Thing::Library(content) = thing else {
            return Err(Failure::new(Phase::Resolve, "not found"));
        };
        if !self.spec.has(content) {
            self.complaints.push(format!("asked to open `{}`, which was staged nowhere", item.name()));
        }
        if self.loaded.contains(&thing) {
            return Ok(());
        }
        if self.wrecked.contains(&content) {
            return Err(Failure::new(Phase::Open, "panicked"));
        }
        match self.spec.opening(content) {
            Opening::Works => {}
            Opening::Needs(other) if self.global.contains_key(&other) => {}
            Opening::Needs(_) => return Err(Failure::new(Phase::Open, "undefined symbol")),
            Opening::Fails => return Err(Failure::new(Phase::Open, "cannot open")),
            Opening::Panics => {
                self.wrecked.insert(content);
                self.body(Body::Library(content), thing);
                // Without the panic hook, which would print.
                std::panic::resume_unwind(Box::new("a constructor"));
            }
        }
        self.loaded.insert(thing.clone());
        self.body(Body::Library(content), thing);
        Ok(())
    }

    fn import(&mut self, item: &Item) -> Result<(), Failure> {
        let name = item.name();
        let thing = Thing::of(&item.what);
        self.tried.push((self.pass, thing.clone()));
        if self.loaded.contains(&thing) {
            return Ok(());
        }
        let works = match self.spec.importing(name) {
            Importing::Works => true,
            Importing::Needs(other) => self.global.contains_key(&other),
            Importing::Raises => false,
        };
        if !works {
            let recorded = self.spec.records.get(&Body::Module(name.into())).cloned();
            self.pending.extend(recorded.unwrap_or_default());
            return Err(Failure::import("ImportError: no", Some("Traceback".into())));
        }
        self.loaded.insert(thing.clone());
        self.body(Body::Module(name.into()), thing);
        Ok(())
    }

    fn body(&mut self, body: Body, thing: Thing) {
        *self.runs.entry(thing).or_default() += 1;
        self.pending.extend(self.spec.records.get(&body).cloned().unwrap_or_default());
    }

    fn conclude(&mut self, revoke: &[Item]) -> Done {
        for item in revoke {
            let thing = Thing::of(&item.what);
            if !self.visible.remove(&thing) {
                self.complaints.push(format!("asked to revoke `{}`, which is not committed", item.name()));
            }
            self.parked.insert(thing);
        }
        Done::Settled
    }

    fn settle(&mut self, commit: &[Item], undo: &[Item], freeze: bool) -> Done {
        if freeze {
            self.complaints.push("asked to freeze what nobody has".into());
        }
        for item in commit {
            let thing = Thing::of(&item.what);
            if !self.loaded.contains(&thing) {
                self.complaints.push(format!("asked to commit `{}`, which is not loaded", item.name()));
            }
            if let (What::Library(library), Thing::Library(content)) = (&item.what, &thing)
                && library.flags.contains(OpenFlags::GLOBAL)
            {
                self.global.entry(*content).or_insert(self.pass);
            }
            self.parked.remove(&thing);
            self.visible.insert(thing);
        }
        for item in undo {
            let thing = Thing::of(&item.what);
            if self.visible.contains(&thing) {
                self.complaints.push(format!("asked to undo `{}`, which was committed", item.name()));
            } else if self.loaded.contains(&thing) {
                self.parked.insert(thing);
            }
        }
        Done::Settled
    }
}
