//! Plugins on one rank: their tables are read, their callbacks run, and what they registered is compared.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::host::Host;
use super::scenario::Content;
use super::thing::Thing;
use crate::error::Phase;
use crate::outcome::Failure;
use crate::plan::Item;
use crate::round::Growth;
use crate::task::Shapes;

/// A plugin that the session knows.
pub struct Met {
    pub content: Content,
    name: String,
    followed: bool,
    asked: bool,
}

/// A plugin under a number, or waiting for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub content: Content,
    pub name: String,
    /// Tasks that every rank has agreed on.
    pub visible: u32,
    /// What it adds is never seen.
    pub frozen: bool,
    /// Not unloaded.
    pub live: bool,
}

impl Host {
    /// After the libraries of a batch are open.
    pub fn register(
        &mut self,
        items: &[(u32, Item)],
        mut failed: Vec<(u32, Failure)>,
    ) -> (Vec<(u32, Failure)>, Shapes) {
        let first = items.first().map_or(0, |(index, _)| *index);
        self.notice_growth(first);
        let fresh = self.meet(items, &mut failed);
        self.follow(&fresh, &mut failed);
        for (index, item) in items {
            let thing = Thing::of(&item.what);
            if let (Thing::Native(..), false) = (&thing, has_failed(&failed, *index))
                && let Err(failure) = self.call(&thing, &thing)
            {
                failed.push((*index, failure));
            }
            self.notice_growth(*index);
        }
        let shapes = self.shapes(items, &failed, &fresh);
        (failed, shapes)
    }

    /// The plugins that are new, with every item that brings them.
    fn meet(&mut self, items: &[(u32, Item)], failed: &mut Vec<(u32, Failure)>) -> Vec<(u32, Content)> {
        let mut fresh: Vec<(u32, Content)> = Vec::new();
        for (index, item) in items {
            let Some(content) = Thing::of(&item.what).carries() else { continue };
            if has_failed(failed, *index) {
                continue;
            }
            if fresh.iter().any(|(_, known)| *known == content) {
                fresh.push((*index, content));
            } else if self.met.iter().all(|met| met.content != content) {
                let Some(plugin) = self.spec.plugins.get(&content) else { continue };
                if self.met.iter().any(|met| met.name == plugin.name) {
                    let taken = format!("plugin `{}` is loaded already", plugin.name);
                    failed.push((*index, Failure::new(Phase::Register, taken)));
                    continue;
                }
                self.met.push(Met { content, name: plugin.name.clone(), followed: false, asked: false });
                fresh.push((*index, content));
            }
        }
        fresh
    }

    /// Runs the callbacks of plugins, then takes their requests, also of those whose callbacks failed.
    fn follow(&mut self, fresh: &[(u32, Content)], failed: &mut Vec<(u32, Failure)>) {
        for at in 0..self.met.len() {
            let content = self.met[at].content;
            let Some(plugin) = self.spec.plugins.get(&content).cloned() else { continue };
            let asker = Thing::Library(content);
            if !std::mem::replace(&mut self.met[at].followed, true) {
                let mut calls = plugin.callbacks.iter().map(|tag| self.call(&Thing::Native(content, *tag), &asker));
                if let Some(Err(failure)) = calls.find(Result::is_err) {
                    let hit = fresh.iter().filter(|(_, known)| *known == content);
                    failed.extend(hit.map(|(index, _)| (*index, failure.clone())));
                }
                if let Some((index, _)) = fresh.iter().find(|(_, known)| *known == content) {
                    self.notice_growth(*index);
                }
            }
            if !std::mem::replace(&mut self.met[at].asked, true) {
                self.record(&plugin.requests, Some(&asker));
            }
        }
    }

    /// What was added to plugins since the last look is an item's doing.
    pub fn notice_growth(&mut self, index: u32) {
        for (content, count) in &self.tables {
            if self.seen.insert(*content, *count).is_some_and(|seen| seen != *count) {
                self.grown.entry(*content).or_insert(index);
            }
        }
    }

    /// What there is now, to be compared with the other ranks.
    pub fn shapes(&mut self, items: &[(u32, Item)], failed: &[(u32, Failure)], new: &[(u32, Content)]) -> Shapes {
        let mut shapes = Shapes::default();
        let (mut fresh, mut old) = (DefaultHasher::new(), DefaultHasher::new());
        for (index, content) in new.iter().filter(|(index, _)| !has_failed(failed, *index)) {
            let (name, count) = (self.spec.plugins[content].name.clone(), self.tables[content]);
            (index, &name, count).hash(&mut fresh);
            let text = format!("plugin `{name}` has registered {count} tasks here");
            shapes.notes.push((*index, Failure::new(Phase::Compare, text)));
        }
        let older = self.registry.iter().chain(&self.staged).filter(|slot| slot.live && !slot.frozen);
        for slot in older {
            let count = self.tables[&slot.content];
            (slot.content, count).hash(&mut old);
            // What came from elsewhere is nobody's doing.
            let first = items.first().map(|(index, _)| (*index, Phase::Growth));
            let blamed = self.grown.get(&slot.content).map(|index| (*index, Phase::Compare)).or(first);
            if let (true, Some((index, phase))) = (count != slot.visible, blamed) {
                let text = format!("plugin `{}` has grown to {count} tasks here", slot.name);
                shapes.notes.push((index, Failure::new(phase, text)));
            }
        }
        self.grown.clear();
        for (index, item) in items {
            let said = shapes.notes.iter().filter(|(noted, _)| noted == index);
            let said = said.map(|(_, failure)| failure.message.clone()).collect();
            self.notes.insert((self.pass, Thing::of(&item.what)), said);
        }
        (shapes.fresh, shapes.old) = (fresh.finish(), old.finish());
        shapes
    }

    /// A library is committed: as a plugin it waits for its number.
    pub fn stage_plugin(&mut self, content: Content) {
        let Some(plugin) = self.spec.plugins.get(&content) else { return };
        let name = plugin.name.clone();
        if !self.registry.iter().chain(&self.staged).any(|slot| slot.live && slot.content == content) {
            let visible = self.tables[&content];
            self.staged.push(Slot { content, name, visible, frozen: false, live: true });
        }
    }

    /// Makes visible what was added to plugins that were there before, where it is the same everywhere.
    pub fn grow(&mut self, growth: &Growth) {
        let older = self.registry.iter_mut().chain(&mut self.staged).filter(|slot| slot.live && !slot.frozen);
        for slot in older {
            match growth {
                Growth::Unknown => {}
                Growth::Agreed => slot.visible = self.tables[&slot.content],
                Growth::Differs(notes) => {
                    let own = format!("plugin `{}` has grown to ", slot.name);
                    slot.frozen = notes.iter().any(|note| note.starts_with(&own));
                }
            }
        }
    }
}

fn has_failed(failed: &[(u32, Failure)], index: u32) -> bool {
    failed.iter().any(|(known, _)| *known == index)
}
