//! The decoder under fire: valid messages bent in many ways, and noise. `DLCAST_FUZZ_RUNS` says how many.
//!
//! Memory is bounded by construction, and that is what is tested: postcard takes strings from the message itself, serde
//! reserves at most a megabyte for a sequence before its elements are there, and every element of ours takes a byte or
//! more of the message. So what decodes is never larger than the message was ([`survives`] compares), and a reservation
//! by the claimed length would end the process in [`claimed_lengths_reserve_nothing`].

use std::fmt::Debug;

use fastrand::Rng;

use crate::code::{CodePlace, CodeRef, Home};
use crate::comm::MergeFn;
use crate::error::{Absent, Missed, Phase};
use crate::identity::Identity;
use crate::outcome::{Failure, Failures};
use crate::plan::{Callback, Copies, Item, Library, Plan, What};
use crate::ranks::RankSet;
use crate::request::{Lane, OpenFlags};
use crate::wire::{self, Called, Here, Message, Note, Roster, WireError, decode, encode};

/// Ranks of the communicator in which messages are read.
const SIZE: u32 = 64;

fn word(random: &mut Rng) -> String {
    let most = [3, 8, 20, 200][random.usize(..4)];
    (0..random.usize(1..=most)).map(|_| random.alphanumeric()).collect()
}

fn many<T>(random: &mut Rng, most: usize, one: impl Fn(&mut Rng) -> T) -> Vec<T> {
    (0..random.usize(0..=most)).map(|_| one(random)).collect()
}

fn maybe<T>(random: &mut Rng, one: impl Fn(&mut Rng) -> T) -> Option<T> {
    random.bool().then(|| one(random))
}

fn ranks(random: &mut Rng) -> RankSet {
    let mut ranks = RankSet::one(random.u32(..SIZE));
    (0..random.u32(..4)).for_each(|_| ranks.insert(random.u32(..SIZE)));
    ranks
}

fn phase(random: &mut Rng) -> Phase {
    [Phase::Attach, Phase::Resolve, Phase::Open, Phase::Import, Phase::Call][random.usize(..5)]
}

fn library(random: &mut Rng) -> Library {
    let identity = maybe(random, |random| Identity {
        name: word(random),
        size: random.u64(..) >> random.u32(0..64),
        build_id: maybe(random, |random| many(random, 20, |random| random.u8(..))),
        digest: [random.u8(..); 32],
    });
    let flags = OpenFlags::from_bits_truncate(random.i32(..)).settled();
    let path = identity.as_ref().map(|_| word(random));
    Library { identity, spellings: vec![word(random)], path, flags }
}

fn code(random: &mut Rng) -> CodeRef {
    let identity = Identity { name: word(random), size: 1, build_id: None, digest: [random.u8(..); 32] };
    let home = Home { identity, path: word(random) };
    let place = match random.u8(0..4) {
        0 => CodePlace::Symbol { library: home, symbol: word(random) },
        1 => CodePlace::Offset { library: home, offset: random.u64(..), near: maybe(random, word) },
        2 => CodePlace::Library(home),
        _ => CodePlace::Python { module: word(random), qualname: word(random) },
    };
    CodeRef::new(place, word(random)).with_payload(many(random, 40, |random| random.u8(..)))
}

fn plan(random: &mut Rng) -> Plan {
    let item = |random: &mut Rng| Item {
        what: match random.u8(0..6) {
            0 => What::Module { name: word(random) },
            1 => What::Invalid { message: word(random) },
            2 => What::Callback(Callback::new(code(random), random.u64(..))),
            3 => What::Unload(library(random)),
            _ => What::Library(library(random)),
        },
        holders: ranks(random),
        copies: many(random, 1, |random| Copies { rank: random.u32(..SIZE), paths: many(random, 2, word) }),
        asked_by: many(random, 1, |random| [random.u8(..); 32]),
    };
    Plan { items: many(random, 3, item) }
}

fn failures(random: &mut Rng) -> Failures {
    let mut failures = Failures::default();
    for _ in 0..random.u32(0..4) {
        let failure = match random.bool() {
            true => Failure::new(phase(random), word(random)),
            false => Failure::import(word(random), maybe(random, word)),
        };
        failures.add(random.u32(..8), failure, random.u32(..SIZE));
    }
    failures
}

fn lane(random: &mut Rng) -> Option<Lane> {
    [None, Some(Lane::Native), Some(Lane::Python)][random.usize(..3)]
}

fn note(random: &mut Rng) -> Note {
    let (lane, number) = (lane(random).unwrap_or(Lane::Native), random.u64(..));
    [Note::Ring(lane, number), Note::Wake(lane, number), Note::Bye(word(random)), Note::Close][random.usize(..4)]
        .clone()
}

fn called(random: &mut Rng) -> Called {
    Called { lane: lane(random), ends: random.bool(), missed: missed(random) }
}

fn missed(random: &mut Rng) -> Missed {
    let absent = |random: &mut Rng| Absent { rank: random.u32(..SIZE), host: word(random), doing: word(random) };
    let (missing, behind) = (many(random, 3, absent), many(random, 2, absent));
    Missed {
        missing,
        behind,
        phase: phase(random),
        what: word(random),
        waited_ms: random.u64(..),
        served: random.bool(),
    }
}

fn here(random: &mut Rng) -> Here {
    Here {
        step: random.u64(..),
        phase: phase(random),
        what: word(random),
        waited_ms: random.u64(..100_000),
        lane: lane(random),
        ends: random.bool(),
        doing: word(random),
    }
}

fn roster(random: &mut Rng) -> Roster {
    let entry = |random: &mut Rng| (word(random), ranks(random));
    Roster {
        hosts: many(random, 3, entry),
        versions: many(random, 2, entry),
        modes: many(random, 2, entry),
        stacks: many(random, 2, entry),
        places: many(random, 2, entry),
        token: word(random),
    }
}

/// A kind of message: how to make a valid one, and what must hold for whatever arrives in its place.
struct Kind {
    valid: fn(&mut Rng) -> Vec<u8>,
    /// Whether it decodes.
    survives: fn(&[u8]) -> bool,
    merge: Option<MergeFn>,
}

const KINDS: [Kind; 7] = [
    Kind { valid: |random| encode(&plan(random)), survives: survives::<Plan>, merge: Some(wire::merge_plans) },
    Kind {
        valid: |random| encode(&failures(random)),
        survives: survives::<Failures>,
        merge: Some(wire::merge_failures),
    },
    Kind { valid: |random| encode(&called(random)), survives: survives::<Called>, merge: None },
    Kind { valid: |random| encode(&note(random)), survives: survives::<Note>, merge: None },
    Kind { valid: |random| encode(&here(random)), survives: survives::<Here>, merge: None },
    Kind { valid: |random| encode(&roster(random)), survives: survives::<Roster>, merge: Some(wire::merge_rosters) },
    Kind { valid: |random| encode(&code(random)), survives: survives::<CodeRef>, merge: None },
];

/// What decodes is no larger than the message, and comes back the same.
fn survives<M: Message + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(message) = decode::<M>(bytes, SIZE) else { return false };
    let again = encode(&message);
    assert_eq!(wire::encoded_len(&message), again.len());
    assert!(again.len() <= bytes.len(), "{} bytes from {}: {message:?}", again.len(), bytes.len());
    assert_eq!(decode::<M>(&again, SIZE).as_ref(), Ok(&message));
    true
}

/// A number as postcard writes it: seven bits a byte.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Bends a message once.
fn bend(bytes: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    // Mostly behind the head: a message of another kind is refused at once.
    let from = if random.u8(0..20) == 0 { 0 } else { bytes.len().min(5) };
    let at = random.usize(from..=bytes.len());
    match random.u8(0..8) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
        2 if at < bytes.len() => bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xff, random.u8(..)][random.usize(..7)],
        3 => bytes.truncate(at),
        // The head of one and the tail of another.
        4 => {
            bytes.truncate(at);
            bytes.extend(&other[random.usize(..=other.len())..]);
        }
        // A length far beyond what follows.
        5 if at < bytes.len() => {
            let huge = varint(u64::MAX >> random.u32(0..64));
            drop(bytes.splice(at..=at, huge));
        }
        6 => {
            let noise: Vec<u8> = (0..random.usize(1..8)).map(|_| random.u8(..)).collect();
            drop(bytes.splice(at..at, noise));
        }
        _ => drop(bytes.drain(at..(at + random.usize(0..8)).min(bytes.len()))),
    }
}

#[test]
fn no_message_makes_the_decoder_panic_or_grow() {
    let random = &mut Rng::with_seed(20);
    let pool: Vec<Vec<Vec<u8>>> = KINDS.iter().map(|kind| (0..500).map(|_| (kind.valid)(random)).collect()).collect();
    let (mut read, runs) = (0, crate::config::fuzz_runs());
    for run in 0..runs {
        let number = random.usize(..KINDS.len());
        let (kind, messages) = (&KINDS[number], &pool[number]);
        let mut bytes = messages[random.usize(..messages.len())].clone();
        if random.u8(0..20) == 0 {
            let noise: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
            bytes.truncate(5);
            bytes.extend(noise);
        } else {
            let other = &messages[random.usize(..messages.len())];
            (0..random.u32(1..4)).for_each(|_| bend(&mut bytes, other, random));
        }
        let survived = (kind.survives)(&bytes);
        read += u64::from(survived);
        if let (Some(merge), true) = (kind.merge, run % 8 == 0) {
            let whole = &messages[random.usize(..messages.len())];
            for merged in [merge(&bytes, whole), merge(whole, &bytes)] {
                assert!((kind.survives)(&merged) || !survived, "a union that nobody can read: {bytes:?}, {whole:?}");
            }
        }
    }
    // Bending must neither spare everything nor break everything.
    assert!(read > runs / 50 && read < runs - runs / 5, "{read} of {runs} could be read");
}

#[test]
fn valid_messages_come_back_as_they_were_and_no_part_of_one_does() {
    let random = &mut Rng::with_seed(21);
    for kind in &KINDS {
        for _ in 0..100 {
            let bytes = (kind.valid)(random);
            assert!((kind.survives)(&bytes));
            assert!((0..bytes.len()).all(|len| !(kind.survives)(&bytes[..len])));
            assert!(!(kind.survives)(&[&bytes[..], &[0]].concat()));
            // No other kind takes it for its own.
            assert_eq!(KINDS.iter().filter(|other| (other.survives)(&bytes)).count(), 1);
        }
    }
}

#[test]
fn claimed_lengths_reserve_nothing() {
    let random = &mut Rng::with_seed(22);
    let claims = [1 << 36, 1 << 60, u64::MAX].map(varint);
    for kind in &KINDS {
        for _ in 0..20 {
            let bytes = (kind.valid)(random);
            for (at, claim) in (5..bytes.len()).flat_map(|at| claims.iter().map(move |claim| (at, claim))) {
                // In place of each byte, and so of each length; with the rest of the message behind it and without.
                (kind.survives)(&[&bytes[..at], claim, &bytes[at + 1..]].concat());
                (kind.survives)(&[&bytes[..at], claim].concat());
            }
        }
    }
    // The first number of these is a length.
    for kind in [Plan::KIND, Failures::KIND, Called::KIND, Roster::KIND] {
        let heads = claims.iter().map(|claim| [b"dlc", &[wire::VERSION, kind][..], claim].concat());
        assert!(heads.into_iter().all(|bytes| KINDS.iter().all(|kind| !(kind.survives)(&bytes))));
    }
}

#[test]
fn messages_beyond_the_limit_are_not_looked_at() {
    // Zeroed memory that is never touched.
    let long = vec![0; wire::MOST_BYTES + 1];
    assert_eq!(decode::<Plan>(&long, SIZE), Err(WireError::TooLarge(long.len())));
}

#[test]
fn other_versions_and_impossible_values_are_named() {
    let random = &mut Rng::with_seed(23);
    let mut newer = encode(&here(random));
    newer[3] += 1;
    assert_eq!(decode::<Here>(&newer, SIZE), Err(WireError::Version(wire::VERSION + 1)));
    let item = |what| Item::new(what, 3);
    let good = Library { identity: None, spellings: vec!["libx.so".into()], path: None, flags: OpenFlags::NOW };
    let plan = |library: Library| encode(&Plan { items: vec![item(What::Library(library))] });
    assert!(decode::<Plan>(&plan(good.clone()), 4).is_ok());
    // A rank beyond the communicator.
    assert!(decode::<Plan>(&plan(good.clone()), 3).is_err());
    let bad = [
        Library { spellings: vec![], ..good.clone() },
        Library { spellings: vec!["lib\0.so".into()], ..good.clone() },
        Library { path: Some("/lib\0.so".into()), ..good.clone() },
        Library { flags: OpenFlags::NOW | OpenFlags::LAZY, ..good.clone() },
        Library {
            identity: Some(Identity { name: "libx.so".into(), size: 1, build_id: None, digest: [0; 32] }),
            ..good
        },
    ];
    for library in bad {
        assert!(matches!(decode::<Plan>(&plan(library), 4), Err(WireError::Malformed(_))));
    }
    let nameless = encode(&Plan { items: vec![item(What::Module { name: String::new() })] });
    assert!(decode::<Plan>(&nameless, 4).is_err());
}

#[test]
fn a_union_that_is_too_large_is_said_to_be_so_on_every_rank() {
    let mut random = Rng::with_seed(3);
    let big = |tag| {
        let code = code(&mut Rng::with_seed(4)).with_payload(vec![7; crate::code::MOST_PAYLOAD]);
        encode(&Plan { items: vec![Item::new(What::Callback(Callback::new(code, tag)), 0)] })
    };
    let mut whole = encode(&plan(&mut random));
    for tag in 0..4 {
        whole = wire::merge_plans(&whole, &big(tag));
    }
    assert!(whole.len() < 64, "what stands for it is short");
    // Whatever comes after it, from either side.
    let whole = wire::merge_plans(&wire::merge_plans(&whole, &encode(&plan(&mut random))), &whole);
    let Err(WireError::TooLarge(claimed)) = decode::<Plan>(&whole, SIZE) else { panic!("it decodes") };
    assert!(claimed > wire::MOST_BYTES);
}
