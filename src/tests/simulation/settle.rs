//! Verdicts on one rank: what is committed, undone, unloaded and, at the end of a call, revoked or numbered.

use super::host::{Held, Host};
use super::scenario::Content;
use super::thing::Thing;
use crate::plan::{Item, What};
use crate::request::OpenFlags;
use crate::round::{Done, Growth};

impl Host {
    /// What is loaded and neither committed nor undone.
    pub fn undecided(&self) -> impl Iterator<Item = &Thing> {
        let held = |thing: &Thing| thing.carries().is_some_and(|content| self.committed.contains_key(&content));
        let decided = move |thing: &&Thing| self.visible.contains(thing) || self.parked.contains(thing) || held(thing);
        self.loaded.iter().filter(move |thing| !decided(thing))
    }

    pub fn settle(&mut self, commit: &[Item], undo: &[Item], growth: &Growth) -> Done {
        self.grow(growth);
        for item in commit {
            self.commit(item);
        }
        for item in undo {
            let thing = Thing::of(&item.what);
            match thing.carries() {
                Some(content) if !self.committed.contains_key(&content) => self.forget(content),
                None if self.loaded.contains(&thing) && !self.visible.contains(&thing) => {
                    self.parked.insert(thing);
                }
                _ => {}
            }
        }
        Done::Settled
    }

    fn commit(&mut self, item: &Item) {
        let thing = Thing::of(&item.what);
        let flags = match &item.what {
            What::Library(library) => library.flags,
            _ => OpenFlags::NOW,
        };
        let ready = match &thing {
            Thing::Library(_) | Thing::Module(_) => self.loaded.contains(&thing),
            Thing::Native(..) | Thing::Python(_) => matches!(self.outcomes.get(&thing), Some(Ok(()))),
            Thing::Unload(_) => true,
            Thing::Unfound(_) | Thing::Invalid(_) => false,
        };
        if !ready {
            self.complaints.push(format!("asked to commit `{}`, which is not there", item.name()));
        }
        if let Thing::Unload(content) = thing {
            self.forget(content);
            self.visible.remove(&Thing::Library(content));
            let slots = self.registry.iter_mut().filter(|slot| slot.content == content);
            slots.for_each(|slot| slot.live = false);
        }
        if let Some(content) = thing.carries() {
            if flags.contains(OpenFlags::GLOBAL) {
                self.global.entry(content).or_insert(self.pass);
            }
            let new = Held { flags, call: self.call, by: Default::default() };
            let held = self.committed.entry(content).or_insert(new);
            held.flags = held.flags.joined(flags);
            held.by.insert(item.place_key());
            self.stage_plugin(content);
        }
        if let Thing::Native(..) | Thing::Python(_) = thing {
            self.called.entry(thing.clone()).or_insert(self.call);
        }
        self.parked.remove(&thing);
        self.visible.insert(thing);
    }

    /// The last of a call: plugins get their numbers in the order in which they were committed.
    pub fn conclude(&mut self, revoke: &[Item]) -> Done {
        for item in revoke {
            let thing = Thing::of(&item.what);
            // Unless it was unloaded meanwhile.
            let unloaded = thing.carries().is_some_and(|content| self.visible.contains(&Thing::Unload(content)));
            if !self.visible.remove(&thing) && !unloaded {
                self.complaints.push(format!("asked to revoke `{}`, which is not committed", item.name()));
            }
            self.called.remove(&thing);
            if let Some(content) = thing.carries()
                && let Some(held) = self.committed.get_mut(&content)
            {
                held.by.remove(&item.place_key());
                if held.by.is_empty() {
                    self.forget(content);
                }
            }
        }
        self.registry.append(&mut self.staged);
        Done::Settled
    }

    /// As if the session had never met it; the process keeps it.
    fn forget(&mut self, content: Content) {
        self.committed.remove(&content);
        self.met.retain(|met| met.content != content);
        self.staged.retain(|slot| slot.content != content);
        if self.loaded.contains(&Thing::Library(content)) {
            self.parked.insert(Thing::Library(content));
        }
    }
}
