//! Opening, importing and calling on one rank: constructors, bodies and callbacks run here, each at most once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::host::Host;
use super::plugin::Calling;
use super::scenario::{Content, Importing, Opening};
use super::thing::Thing;
use crate::error::Phase;
use crate::outcome::Failure;
use crate::plan::{Item, What};

impl Host {
    /// Tries every item; what panics has failed.
    pub fn each(
        &mut self,
        work: &[(u32, Item)],
        mut one: impl FnMut(&mut Host, &Item) -> Result<(), Failure>,
    ) -> Vec<(u32, Failure)> {
        let mut failed = Vec::new();
        for (index, item) in work {
            match catch_unwind(AssertUnwindSafe(|| one(self, item))) {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => failed.push((*index, failure)),
                Err(_) => failed.push((*index, Failure::new(Phase::Open, "panicked"))),
            }
        }
        failed
    }

    /// The library that an item needs; for an unload, that the session has it.
    pub fn open(&mut self, item: &Item) -> Result<(), Failure> {
        let thing = Thing::of(&item.what);
        self.tried.push((self.pass, thing.clone()));
        match thing {
            Thing::Unload(content) if self.batch.iter().any(|thing| thing.carries() == Some(content)) => {
                Err(Failure::new(Phase::Call, "loaded by another request"))
            }
            Thing::Unload(content) if self.committed.contains_key(&content) => Ok(()),
            Thing::Unload(_) => Err(Failure::new(Phase::Call, "not loaded")),
            Thing::Unfound(_) if matches!(item.what, What::Unload(_)) => Err(Failure::new(Phase::Call, "not loaded")),
            Thing::Native(content, _) if !self.spec.has(content) => Err(Failure::new(Phase::Stage, "missing")),
            Thing::Library(content) | Thing::Native(content, _) => self.open_content(content),
            _ => Err(Failure::new(Phase::Resolve, "not found")),
        }
    }

    fn open_content(&mut self, content: Content) -> Result<(), Failure> {
        if !self.spec.has(content) {
            self.complaints.push(format!("asked to open library {content}, which was staged nowhere"));
        }
        let thing = Thing::Library(content);
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
                self.body(&thing, Some(&thing));
                // Without the panic hook, which would print.
                std::panic::resume_unwind(Box::new("a constructor"));
            }
        }
        self.loaded.insert(thing.clone());
        if let Some(plugin) = self.spec.plugins.get(&content) {
            self.tables.insert(content, plugin.tasks);
        }
        self.body(&thing, Some(&thing));
        Ok(())
    }

    /// A module, or a callback of Python.
    pub fn import(&mut self, item: &Item) -> Result<(), Failure> {
        let name = item.name();
        let thing = Thing::of(&item.what);
        self.tried.push((self.pass, thing.clone()));
        if let Thing::Python(_) = thing {
            return self.call(&thing, &thing);
        }
        if self.loaded.contains(&thing) {
            return Ok(());
        }
        let works = match self.spec.importing(name) {
            Importing::Works => true,
            Importing::Needs(other) => self.global.contains_key(&other),
            Importing::Raises => false,
        };
        if !works {
            // A body that raised may run again.
            let recorded = self.spec.records.get(&thing).cloned().unwrap_or_default();
            self.record(&recorded, None);
            return Err(Failure::import("ImportError: no", Some("Traceback".into())));
        }
        self.loaded.insert(thing.clone());
        self.body(&thing, None);
        Ok(())
    }

    /// Runs a callback for `asker`, unless it has run in this process.
    pub fn call(&mut self, callback: &Thing, asker: &Thing) -> Result<(), Failure> {
        if let Some(known) = self.outcomes.get(callback) {
            return known.clone();
        }
        self.body(callback, Some(asker));
        let said = match self.spec.callings.get(callback) {
            None | Some(Calling::Works) => Ok(()),
            Some(Calling::Fails) => Err("it said no"),
            Some(Calling::Panics) => Err("it panicked"),
        };
        let outcome = said.map_err(|said| Failure::new(Phase::Callback, said));
        self.outcomes.insert(callback.clone(), outcome.clone());
        outcome
    }

    /// Code runs: it may ask for something, and add tasks to a plugin that is open.
    fn body(&mut self, body: &Thing, asker: Option<&Thing>) {
        *self.runs.entry(body.clone()).or_default() += 1;
        let recorded = self.spec.records.get(body).cloned().unwrap_or_default();
        self.record(&recorded, asker);
        if let Some((content, more)) = self.spec.grows.get(body)
            && let Some(tasks) = self.tables.get_mut(content)
        {
            *tasks += more;
        }
    }
}
