//! What fails by itself in a scenario: in which phases, and on which ranks.

use std::collections::BTreeSet;

use super::run::Run;
use super::scenario::{Content, Importing, Opening, Scenario};
use super::thing::Thing;
use crate::error::Phase;
use crate::plan::{Item, What};
use crate::ranks::RankSet;

/// What an item finds when its pass begins.
pub struct State<'a> {
    pub scenario: &'a Scenario,
    pub item: &'a Item,
    pub pass: u32,
    /// Libraries that every rank has.
    pub committed: &'a BTreeSet<Content>,
    /// Whether a library is visible with RTLD_GLOBAL.
    pub global: &'a dyn Fn(Content) -> bool,
    /// Whether files were looked for before anything was opened.
    pub staged: bool,
}

impl State<'_> {
    /// In which phases and on which ranks an item must fail; on none: it does not fail by itself.
    pub fn expected(&self, thing: &Thing, run: &Run) -> (Vec<Phase>, RankSet) {
        let (phases, failing) = self.alone(thing, run);
        if !failing.is_empty() || matches!(thing, Thing::Unfound(_) | Thing::Invalid(_)) {
            return (phases, failing);
        }
        (vec![Phase::Compare], self.odd(thing, run))
    }

    fn alone(&self, thing: &Thing, run: &Run) -> (Vec<Phase>, RankSet) {
        let all = |fails: bool| self.ranks(&|_| fails);
        match thing {
            Thing::Unfound(_) if matches!(self.item.what, What::Unload(_)) => (vec![Phase::Call], all(true)),
            Thing::Unfound(_) => (vec![Phase::Resolve], all(true)),
            Thing::Invalid(_) => (vec![Phase::Call], self.item.holders.clone()),
            Thing::Unload(content) => {
                // What another item of the pass brings cannot go.
                let brought = run.ranks[0]
                    .host
                    .batches
                    .iter()
                    .any(|(pass, thing)| *pass == self.pass && thing.carries() == Some(*content));
                (vec![Phase::Call], all(brought || !self.committed.contains(content)))
            }
            Thing::Python(_) => (vec![Phase::Callback], self.ranks(&|rank| !self.rank(rank).calls(thing))),
            Thing::Module(name) => {
                let fails = |rank| match self.rank(rank).importing(name) {
                    Importing::Works => false,
                    Importing::Raises => true,
                    Importing::Needs(other) => !(self.global)(other),
                };
                (vec![Phase::Import], self.ranks(&fails))
            }
            Thing::Library(content) => self.native(*content, None),
            Thing::Native(content, _) => self.native(*content, Some(thing)),
        }
    }

    /// A library, and a callback that needs it.
    fn native(&self, content: Content, callback: Option<&Thing>) -> (Vec<Phase>, RankSet) {
        let lacks = |rank| !self.rank(rank).has(content);
        let lacking = self.ranks(&lacks);
        if !lacking.is_empty() && (self.staged || callback.is_none()) {
            return (vec![Phase::Stage], lacking);
        }
        let fresh = !self.committed.contains(&content);
        let unopened = |rank| match self.rank(rank).opening(content) {
            Opening::Works => false,
            Opening::Fails | Opening::Panics => true,
            Opening::Needs(other) => !(self.global)(other),
        };
        let unregistered = |rank| {
            let tags = self.rank(rank).plugins.get(&content).map_or(&[][..], |plugin| &plugin.callbacks);
            tags.iter().any(|tag| !self.rank(rank).calls(&Thing::Native(content, *tag)))
        };
        let uncalled = |rank| callback.is_some_and(|callback| !self.rank(rank).calls(callback));
        let fails = |rank| lacks(rank) || (fresh && (unopened(rank) || unregistered(rank))) || uncalled(rank);
        let mut phases = vec![Phase::Open, Phase::Callback];
        // Where nothing was staged, the rank that lacks it says so beside those that fail otherwise.
        phases.extend((!lacking.is_empty()).then_some(Phase::Stage));
        (phases, self.ranks(&fails))
    }

    /// Ranks that say something about tables that not all ranks say.
    fn odd(&self, thing: &Thing, run: &Run) -> RankSet {
        let place = (self.pass, thing.clone());
        let notes = |rank: u32| run.ranks[rank as usize].host.notes.get(&place).cloned().unwrap_or_default();
        let size = self.scenario.size();
        let common = (1..size).fold(notes(0), |common, rank| common.intersection(&notes(rank)).cloned().collect());
        self.ranks(&|rank| notes(rank).difference(&common).next().is_some())
    }

    /// Ranks that may be told as well where a library fails for good: there it missed what became GLOBAL in its own pass.
    pub fn perhaps(&self, thing: &Thing, run: &Run) -> RankSet {
        let first = |other: Content| run.ranks[0].host.global.get(&other) == Some(&self.pass);
        let needs = |rank, content| matches!(self.rank(rank).opening(content), Opening::Needs(other) if first(other));
        self.ranks(&|rank| thing.carries().is_some_and(|content| needs(rank, content)))
    }

    fn rank(&self, rank: u32) -> &super::scenario::Rank {
        &self.scenario.ranks[rank as usize]
    }

    fn ranks(&self, fails: &dyn Fn(u32) -> bool) -> RankSet {
        (0..self.scenario.size()).filter(|&rank| fails(rank)).collect()
    }
}
