//! Random scenarios: sizes, sets, orders, flags, plugins, faults, schedules. A seed gives the same one again.

use fastrand::Rng;

use super::plugin::{Calling, Plugin, native, python, unload};
use super::scenario::{Content, Importing, OTHER, Opening, Scenario, module, path, spelled};
use super::thing::Thing;
use crate::comm::sim::{Damage, Fault};
use crate::request::{OpenFlags, Request};
use crate::wire::Message;

/// Callbacks have these tags, in a library as in Python.
const TAGS: std::ops::Range<u64> = 0..3;

const FLAGS: [OpenFlags; 5] = [
    OpenFlags::NOW,
    OpenFlags::LAZY,
    OpenFlags::NOW.union(OpenFlags::GLOBAL),
    OpenFlags::LAZY.union(OpenFlags::GLOBAL),
    OpenFlags::NOW.union(OpenFlags::NODELETE),
];

/// What there is to want.
struct Market {
    contents: Content,
    modules: usize,
    /// Everybody spells a library the same.
    plain: bool,
}

impl Market {
    fn wish(&self, random: &mut Rng) -> Request {
        match random.u32(0..28) {
            0 => Request::Invalid { message: format!("bad argument {}", random.u8(0..2)) },
            20..24 if self.contents > 0 => native(random.u32(..self.contents), random.u64(TAGS)),
            24..27 => python(random.u64(TAGS)),
            27 if self.contents > 0 => unload(random.u32(..self.contents)),
            1..5 if self.modules > 0 => module(&format!("m{}", random.usize(..self.modules))),
            _ if self.contents > 0 => {
                let content = random.u32(..self.contents);
                let folder = ["/lib/", "/copy/", "/link/", ""][if self.plain { 0 } else { random.usize(..4) }];
                let flags = FLAGS[if self.plain { 0 } else { random.usize(..FLAGS.len()) }];
                spelled(format!("{folder}lib{content}.so"), flags)
            }
            _ => module("m0"),
        }
    }

    /// Code that runs.
    fn body(&self, random: &mut Rng) -> Thing {
        match random.u8(0..4) {
            0 => Thing::Module(format!("m{}", random.usize(..4))),
            1 => Thing::Python(random.u64(TAGS)),
            2 if self.contents > 0 => Thing::Native(random.u32(..self.contents), random.u64(TAGS)),
            _ if self.contents > 0 => Thing::Library(random.u32(..self.contents)),
            _ => Thing::Module("m0".into()),
        }
    }

    fn wishes(&self, random: &mut Rng, most: usize) -> Vec<Request> {
        (0..random.usize(1..=most)).map(|_| self.wish(random)).collect()
    }
}

/// The scenario of a seed: the first call of a session.
pub fn scenario(seed: u64) -> Scenario {
    let random = &mut Rng::with_seed(seed);
    let size = random.u32(1..=8);
    let market = Market { contents: random.u32(0..6), modules: random.usize(0..4), plain: random.bool() };
    let mut scenario = Scenario::of(size, market.contents, seed);
    if random.bool() {
        plugins(&mut scenario, &market, random);
    }
    wants(&mut scenario, &market, random);
    records(&mut scenario, &market, random);
    if random.bool() {
        lacks(&mut scenario, &market, random);
    }
    if random.bool() {
        fails(&mut scenario, &market, random);
    }
    if random.u8(0..8) == 0 {
        let damage = match random.bool() {
            true => Damage::Flip { at: random.usize(..1000), mask: random.u8(1..) },
            false => Damage::Truncate { to: random.usize(..1000) },
        };
        let kind = if random.bool() { crate::plan::Plan::KIND } else { crate::outcome::Failures::KIND };
        scenario.faults.push(Fault { rank: random.u32(..size), kind, damage });
    }
    scenario
}

/// The next call of the session: other wishes of the same processes.
pub fn next(last: &Scenario) -> Scenario {
    let mut scenario = last.next();
    let random = &mut Rng::with_seed(!scenario.seed);
    let contents = last.ranks[0].files.values().chain(last.ranks[0].plugins.keys()).filter(|content| **content < OTHER);
    let market = Market { contents: contents.max().map_or(0, |most| most + 1), modules: 4, plain: random.bool() };
    scenario.faults.clear();
    wants(&mut scenario, &market, random);
    if random.u8(0..3) == 0 && market.contents > 0 {
        let rank = random.usize(..scenario.ranks.len());
        scenario.ranks[rank].wishes.push(unload(random.u32(..market.contents)));
    }
    scenario
}

/// Libraries that are plugins. Tables are the same on every rank but for one here and there.
fn plugins(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    let grow = random.bool();
    for content in 0..market.contents {
        if random.u8(0..4) == 0 {
            continue;
        }
        let mut plugin = Plugin::of(content, random.u32(0..4));
        plugin.callbacks = TAGS.filter(|_| random.u8(0..4) == 0).collect();
        plugin.requests = if random.bool() { market.wishes(random, 2) } else { Vec::new() };
        let odd = (random.u8(0..8) == 0).then(|| random.usize(..scenario.ranks.len()));
        for (number, rank) in scenario.ranks.iter_mut().enumerate() {
            let mut plugin = plugin.clone();
            if odd == Some(number) {
                match random.u8(0..3) {
                    0 => plugin.tasks += 1,
                    1 => plugin.requests = market.wishes(random, 2),
                    _ => plugin.requests.clear(),
                }
            }
            // A table cannot ask for that; a plugin that did would be loaded and unloaded for ever.
            plugin.requests.retain(|request| !matches!(request, Request::Unload { .. }));
            rank.plugins.insert(content, plugin);
        }
        if grow {
            // Sometimes on one rank alone.
            let (body, whole) = (market.body(random), random.u8(0..3) > 0);
            let (lone, more) = (random.usize(..scenario.ranks.len()), random.u32(1..3));
            let ranks = scenario.ranks.iter_mut().enumerate().filter(|(number, _)| whole || *number == lone);
            ranks.for_each(|(_, rank)| rank.grows.extend([(body.clone(), (content, more))]));
        }
    }
}

/// Who wants what.
fn wants(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    let all = market.wishes(random, 6);
    let (some, other) = (random.usize(..scenario.ranks.len()), random.usize(..scenario.ranks.len()));
    match random.u8(0..7) {
        0 => {}
        1 => scenario.ranks.iter_mut().for_each(|rank| rank.wishes = all.clone()),
        2 => scenario.ranks.iter_mut().for_each(|rank| {
            rank.wishes = all.clone();
            random.shuffle(&mut rank.wishes);
        }),
        3 => scenario.ranks[some].wishes = all,
        4 => {
            scenario.ranks[other].wishes = all.iter().rev().cloned().collect();
            scenario.ranks[some].wishes = all;
        }
        5 => scenario.ranks.iter_mut().for_each(|rank| {
            rank.wishes = all.iter().filter(|_| random.bool()).cloned().collect();
        }),
        _ => scenario.ranks.iter_mut().for_each(|rank| rank.wishes = market.wishes(random, 6)),
    }
}

/// What code records while it runs: on one rank, on some, or on all.
fn records(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    for _ in 0..random.usize(0..3) {
        let body = market.body(random);
        let wishes = market.wishes(random, 2);
        let share = random.u8(1..=3);
        for rank in &mut scenario.ranks {
            if share == 3 || random.u8(0..4) < share {
                rank.records.insert(body.clone(), wishes.clone());
            }
        }
    }
}

/// Files that are not where they should be, are something else, or are there twice in the process already.
fn lacks(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    for rank in &mut scenario.ranks {
        for content in 0..market.contents {
            match random.u8(0..40) {
                0 => {
                    rank.links.remove(&format!("lib{content}.so"));
                }
                1 => {
                    rank.files.remove(&path(content));
                }
                2 => rank.files.retain(|_, known| *known != content),
                3 => {
                    rank.files.insert(path(content), OTHER + content);
                }
                4 => rank.files.values_mut().filter(|known| **known == content).for_each(|known| *known += OTHER),
                5 => {
                    rank.copies.insert(content, vec![path(content), format!("/copy/lib{content}.so")]);
                }
                _ => {}
            }
        }
    }
}

/// Libraries, callbacks and modules that fail on some rank, or until another library is GLOBAL.
fn fails(scenario: &mut Scenario, market: &Market, random: &mut Rng) {
    for _ in 0..random.usize(1..4) {
        let (rank, everywhere) = (random.usize(..scenario.ranks.len()), random.bool());
        let content = random.u32(..market.contents.max(1));
        let needed = random.u32(..market.contents.max(1));
        let name = format!("m{}", random.usize(..4));
        let opening = [Opening::Fails, Opening::Panics, Opening::Needs(needed)][random.usize(..3)];
        let importing = [Importing::Raises, Importing::Needs(needed)][random.usize(..2)];
        let calling = [Calling::Fails, Calling::Panics][random.usize(..2)];
        let callback = match random.bool() {
            true => Thing::Native(content, random.u64(TAGS)),
            false => Thing::Python(random.u64(TAGS)),
        };
        let kind = random.u8(0..5);
        for (_, rank) in scenario.ranks.iter_mut().enumerate().filter(|(number, _)| everywhere || *number == rank) {
            match kind {
                0..2 => rank.openings.extend([(content, opening)]),
                2..4 => rank.callings.extend([(callback.clone(), calling)]),
                _ => rank.importings.extend([(name.clone(), importing)]),
            }
        }
    }
}
