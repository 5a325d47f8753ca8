//! Random scenarios. A seed gives the same one again.

use fastrand::Rng;

use super::script::{Rank, Scenario, Script, Shim, Step, Wish};

/// What there is to want, and who can.
struct Market {
    libraries: u32,
    modules: u32,
}

impl Market {
    fn wish(&self, random: &mut Rng) -> Wish {
        let library = random.u32(..self.libraries);
        match random.u8(0..8) {
            0..4 => Wish::Library(library),
            4..7 if self.modules > 0 => Wish::Module(random.u32(..self.modules)),
            _ => Wish::Callback(library, random.u64(0..3)),
        }
    }

    /// What a constructor does.
    fn constructor(&self, random: &mut Rng) -> Vec<Step> {
        let one = |random: &mut Rng| match random.u8(0..6) {
            0 => Step::Open(random.u32(..self.libraries)),
            1..4 => Step::Ask(self.wish(random)),
            4 => Step::Record(self.wish(random)),
            _ => Step::Compute(random.u8(1..4)),
        };
        several(random, 0..3, one)
    }

    /// What a module's body does.
    fn body(&self, random: &mut Rng) -> Vec<Step> {
        let one = |random: &mut Rng| match random.u8(0..8) {
            0 => Step::Open(random.u32(..self.libraries)),
            1..4 => Step::Import(random.u32(..self.modules)),
            4..6 => Step::Ask(self.wish(random)),
            6 => Step::Record(self.wish(random)),
            _ => Step::Compute(random.u8(1..4)),
        };
        several(random, 0..4, one)
    }

    /// What a thread of a program does.
    fn deed(&self, python: bool, random: &mut Rng) -> Step {
        match random.u8(0..12) {
            0..5 => Step::Ask(self.wish(random)),
            5 => Step::Record(self.wish(random)),
            6..8 => Step::Open(random.u32(..self.libraries)),
            8..11 if python && self.modules > 0 => Step::Import(random.u32(..self.modules)),
            _ => Step::Compute(random.u8(1..8)),
        }
    }
}

fn several(random: &mut Rng, how_many: std::ops::Range<usize>, one: impl Fn(&mut Rng) -> Step) -> Vec<Step> {
    (0..random.usize(how_many)).map(|_| one(random)).collect()
}

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let random = &mut Rng::with_seed(seed);
    let size = random.u32(1..=5);
    let market = Market { libraries: random.u32(1..=4), modules: random.u32(0..=4) };
    let mut ranks: Vec<Rank> = (0..size).map(|_| rank(&market, random)).collect();
    play(&mut ranks, &market, random);
    Scenario {
        seed,
        ranks,
        constructors: (0..market.libraries).map(|_| market.constructor(random)).collect(),
        bodies: (0..market.modules).map(|_| market.body(random)).collect(),
        callbacks: vec![Vec::new(), vec![Step::Ask(market.wish(random))], vec![Step::Record(market.wish(random))]],
        shim: [Shim::Absent, Shim::Eager, Shim::Eager, Shim::Deferred][random.usize(..4)],
        split: random.u32(1..=size),
        fault: None,
        deadlines: false,
        gone: None,
    }
}

fn rank(market: &Market, random: &mut Rng) -> Rank {
    let has_python = random.u8(0..4) > 0;
    let python = |random: &mut Rng| has_python && random.u8(0..4) > 0;
    let script = |random: &mut Rng| Script { python: python(random), steps: vec![Step::Compute(1)] };
    let scripts = (0..random.usize(1..=3)).map(|_| script(random)).collect();
    let rarely = |random: &mut Rng| random.u8(0..24) == 0;
    let lacks = (0..market.libraries).filter(|_| rarely(random)).collect();
    let raises = (0..market.modules).filter(|_| rarely(random)).collect();
    Rank { has_python, lacks, raises, scripts }
}

/// One order of everything in which the program would end if it were alone: so it has no deadlock of its own.
fn play(ranks: &mut [Rank], market: &Market, random: &mut Rng) {
    for number in 0..random.u32(1..14) {
        let at = random.usize(..ranks.len());
        match random.u8(0..8) {
            0 if ranks.len() > 1 => {
                thread(&mut ranks[at], random).steps.push(Step::Send(number));
                let to = random.usize(..ranks.len());
                thread(&mut ranks[to], random).steps.push(Step::Receive(number));
            }
            1 => ranks.iter_mut().for_each(|rank| rank.scripts[0].steps.push(Step::Barrier(number))),
            _ => {
                let asker = thread(&mut ranks[at], random);
                let deed = market.deed(asker.python, random);
                asker.steps.push(deed);
                if let (Step::Ask(_), 0) = (deed, random.u8(0..3)) {
                    // Others want it, too.
                    for rank in ranks.iter_mut() {
                        if random.bool() {
                            thread(rank, random).steps.push(deed);
                        }
                    }
                }
            }
        }
    }
}

fn thread<'a>(rank: &'a mut Rank, random: &mut Rng) -> &'a mut Script {
    let chosen = random.usize(..rank.scripts.len());
    &mut rank.scripts[chosen]
}
