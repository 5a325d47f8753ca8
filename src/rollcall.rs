//! Who is missing, and word for the absent: what the ranks do once a deadline has passed.
//!
//! A state machine without I/O. The rank whose deadline passes first tells every other rank where it stands; a rank that
//! is waiting and hears that does the same. After a while the lowest rank that was heard names those that were not, to
//! all: the present end with the same verdict, the absent find it when they come. It costs messages in the square of
//! the ranks, once in the life of a session.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Absent, Missed};
use crate::request::Lane;
use crate::wire::{self, Called, Here};

/// How long answers are collected.
const WINDOW: Duration = Duration::from_millis(900);
/// No verdict before this: a late rank may have joined a roll-call that is over, whose verdict is already on its way.
const LISTEN: Duration = Duration::from_millis(250);
/// How much longer the verdict of the lowest rank is waited for.
const GRACE: Duration = Duration::from_millis(600);

/// One rank's part in a roll-call.
pub struct RollCall {
    rank: u32,
    size: u32,
    heard: BTreeMap<u32, Here>,
    lane: Option<Lane>,
    /// What to send: receiver and note. The driver takes them after each call.
    pub outbox: Vec<(u32, Vec<u8>)>,
}

/// A note of a roll-call.
pub enum Note {
    /// A rank says where it stands.
    Here(Here),
    /// The lowest rank has named the missing.
    Verdict(Called),
}

/// What a roll-call has sent, if it was one.
pub fn read(note: &[u8], size: u32) -> Option<Note> {
    // What cannot be read was not sent by a roll-call: nobody is present because of it.
    wire::decode(note, size).map(Note::Here).or_else(|_| wire::decode(note, size).map(Note::Verdict)).ok()
}

/// A verdict that was left for this rank, if `note` is one. (A session lets [`RollCall::hear`] read it.)
#[cfg(test)]
pub fn left_word(note: &[u8], size: u32) -> Option<Missed> {
    match read(note, size) {
        Some(Note::Verdict(called)) => Some(called.missed),
        _ => None,
    }
}

impl RollCall {
    /// Opens a roll-call, or joins one; `here` is where this rank stands.
    pub fn open(rank: u32, size: u32, here: Here) -> Self {
        let note = wire::encode(&here);
        let lane = here.lane;
        let outbox = (0..size).filter(|&to| to != rank).map(|to| (to, note.clone())).collect();
        RollCall { rank, size, heard: BTreeMap::from([(rank, here)]), lane, outbox }
    }

    /// A note has arrived. `Some`: the verdict of another rank, which is this rank's, too.
    pub fn hear(&mut self, from: u32, note: Note) -> Option<Called> {
        match note {
            Note::Here(here) => {
                self.heard.insert(from, here);
                None
            }
            Note::Verdict(called) => Some(called),
        }
    }

    /// Time has passed since the opening. `Some`: the verdict, after which the outbox is sent and nothing else done.
    pub fn tick(&mut self, since: Duration, host_of: &dyn Fn(u32) -> String) -> Option<Called> {
        let complete = self.heard.len() == self.size as usize;
        let lowest = self.heard.keys().next() == Some(&self.rank);
        let due = if lowest { (complete && since >= LISTEN) || since >= WINDOW } else { since >= WINDOW + GRACE };
        if !due {
            return None;
        }
        let missed = self.verdict(host_of);
        let ends = self.heard.values().any(|here| here.ends);
        let called = Called { lane: self.lane, ends, missed };
        let note = wire::encode(&called);
        self.outbox.extend((0..self.size).filter(|&to| to != self.rank).map(|to| (to, note.clone())));
        Some(called)
    }

    fn verdict(&self, host_of: &dyn Fn(u32) -> String) -> Missed {
        let doing = |rank| self.heard.get(&rank).map(|here: &Here| here.doing.clone()).unwrap_or_default();
        let absent = |rank| Absent { rank, host: host_of(rank), doing: doing(rank) };
        let complete = self.heard.len() == self.size as usize;
        let furthest = self.heard.values().map(|here| here.step).max().unwrap_or(0);
        // Those that are furthest say what the waiting was for; the first deadline is the one that passed.
        let front = self.heard.values().find(|here| here.step == furthest);
        Missed {
            missing: (0..self.size).filter(|rank| !self.heard.contains_key(rank)).map(absent).collect(),
            // Who waits for a missing rank may be a step behind because of it: a broadcast goes through it.
            behind: self
                .heard
                .iter()
                .filter(|(_, here)| complete && (here.step < furthest || !here.doing.is_empty()))
                .map(|(&rank, _)| absent(rank))
                .collect(),
            phase: front.map_or(crate::error::Phase::Agree, |here| here.phase),
            what: front.map(|here| here.what.clone()).unwrap_or_default(),
            waited_ms: self.heard.values().map(|here| here.waited_ms).min().unwrap_or(0),
            served: self.lane.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Phase;

    fn here(step: u64) -> Here {
        Here {
            step,
            phase: Phase::Decide,
            what: "`libx.so`".into(),
            waited_ms: 5_000,
            lane: None,
            ends: true,
            doing: String::new(),
        }
    }

    /// Lets the ranks of `present` hold a roll-call in steps of 100 ms; what each concludes.
    fn hold(size: u32, present: &[(u32, u64)]) -> Vec<Missed> {
        let host_of = |rank: u32| format!("node{}", rank / 2);
        let mut calls: Vec<RollCall> =
            present.iter().map(|&(rank, step)| RollCall::open(rank, size, here(step))).collect();
        let mut verdicts: Vec<Option<Missed>> = vec![None; calls.len()];
        for tick in 0..30 {
            let mut mail = Vec::new();
            for call in &mut calls {
                let from = call.rank;
                mail.extend(call.outbox.drain(..).map(|(to, note)| (from, to, note)));
            }
            for (from, to, note) in mail {
                if let Some(place) = present.iter().position(|&(rank, _)| rank == to)
                    && verdicts[place].is_none()
                {
                    verdicts[place] =
                        read(&note, size).and_then(|note| calls[place].hear(from, note)).map(|called| called.missed);
                }
            }
            for (call, verdict) in calls.iter_mut().zip(&mut verdicts) {
                if verdict.is_none() {
                    *verdict = call.tick(Duration::from_millis(100 * tick), &host_of).map(|called| called.missed);
                }
            }
        }
        verdicts.into_iter().map(Option::unwrap).collect()
    }

    #[test]
    fn every_present_rank_names_the_same_absent_ones() {
        for (size, missing) in [(4, vec![2]), (4, vec![0]), (8, vec![0, 5]), (2, vec![1])] {
            let present: Vec<(u32, u64)> =
                (0..size).filter(|rank| !missing.contains(rank)).map(|rank| (rank, 7)).collect();
            let verdicts = hold(size, &present);
            assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]));
            let named: Vec<u32> = verdicts[0].missing.iter().map(|absent| absent.rank).collect();
            assert_eq!(named, missing);
            assert_eq!(verdicts[0].missing[0].host, format!("node{}", missing[0] / 2));
            assert!(verdicts[0].to_string().contains("decide of `libx.so`"), "{}", verdicts[0]);
        }
    }

    #[test]
    fn a_rank_in_an_earlier_step_is_named_as_late() {
        let verdicts = hold(3, &[(0, 7), (1, 5), (2, 7)]);
        assert_eq!(verdicts[0].behind.iter().map(|absent| absent.rank).collect::<Vec<_>>(), [1]);
        assert!(verdicts[0].missing.is_empty());
    }

    #[test]
    fn a_late_rank_finds_the_verdict() {
        let host_of = |_: u32| "node0".to_string();
        let mut call = RollCall::open(0, 2, here(1));
        let missed = call.tick(WINDOW, &host_of).unwrap().missed;
        let (to, note) = call.outbox.pop().unwrap();
        assert_eq!((to, left_word(&note, 2)), (1, Some(missed)));
        assert_eq!(left_word(b"INPUT(libmpi.so.12)", 2), None);
    }
}
