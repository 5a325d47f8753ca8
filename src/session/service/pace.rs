//! How the protocol thread waits: when it looks again at once, when it gives the processor away, and for how long it sleeps.
//!
//! It decides by times alone; it makes no call, and sees no message.

use std::time::{Duration, Instant};

/// For so long after something has happened, one that waits for other ranks yields; then it naps.
const EAGER: Duration = Duration::from_millis(2);
/// Looks in a row where a knock is waited for: one that finds nothing does not mean that nothing has arrived.
const LOOKS: u32 = 8;
const SHORTEST_NAP: Duration = Duration::from_micros(50);
/// The longest nap while other ranks are waited for.
const BUSY_NAP: Duration = Duration::from_millis(2);
/// How long an idle rank sleeps where nobody but its neighbours, who knock, has to wake it.
const IDLE_NAP: Duration = Duration::from_millis(500);
/// How long the first rank of a neighbourhood sleeps, which others wake by a message alone.
const FIRST_NAP: Duration = Duration::from_millis(25);
/// Without any session.
const NO_SESSION: Duration = Duration::from_secs(3600);
/// A yield that takes longer has met somebody who uses up his time on the processor: the program's own threads, which compute, or
/// wait in MPI. Who sleeps for a moment comes before them, who yields comes after them.
const LONG_YIELD: Duration = Duration::from_millis(2);
/// How long that is remembered.
const CROWDED: Duration = Duration::from_millis(200);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Nothing at all: there is no session.
    Nothing,
    /// A knock, with which everything comes that concerns this rank.
    Knock,
    /// A message that nobody announces.
    Message,
    /// Other ranks, in a collective or a roll-call.
    Ranks,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Look,
    Yield,
    /// So long, or until somebody knocks.
    Nap(Duration),
}

/// What has been, as far as it counts.
pub struct Pace {
    moved: Instant,
    looks: u32,
    nap: Duration,
    crowded: Option<Instant>,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Pace { moved: now, looks: 0, nap: Duration::ZERO, crowded: None }
    }

    /// Something has happened, or somebody has knocked.
    pub fn move_on(&mut self, now: Instant) {
        (self.moved, self.looks, self.nap) = (now, 0, Duration::ZERO);
    }

    /// A yield is over.
    pub fn yielded(&mut self, began: Instant, now: Instant) {
        if now - began >= LONG_YIELD {
            self.crowded = Some(now);
        }
    }

    /// Nothing has happened.
    pub fn next(&mut self, now: Instant, what: For) -> Next {
        let waited = now - self.moved;
        let crowded = self.crowded.is_some_and(|since| now - since < CROWDED);
        match what {
            For::Ranks | For::Message if waited < EAGER && !crowded => Next::Yield,
            // A part of what was waited for already: so it is never much longer.
            For::Ranks => Next::Nap((waited / 8).clamp(SHORTEST_NAP, BUSY_NAP)),
            For::Message => self.nap(FIRST_NAP),
            For::Knock if self.looks < LOOKS => {
                self.looks += 1;
                Next::Look
            }
            // MPI may have to be moved on a little still: often at first.
            For::Knock => self.nap(IDLE_NAP),
            For::Nothing => Next::Nap(NO_SESSION),
        }
    }

    fn nap(&mut self, longest: Duration) -> Next {
        self.nap = (self.nap * 2).clamp(SHORTEST_NAP, longest);
        Next::Nap(self.nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn who_waits_for_a_knock_sleeps_after_some_looks() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..LOOKS {
            assert_eq!(pace.next(start, For::Knock), Next::Look);
        }
        let naps: Vec<Next> = (0..15).map(|_| pace.next(start, For::Knock)).collect();
        assert_eq!((naps[0], naps[14]), (Next::Nap(SHORTEST_NAP), Next::Nap(IDLE_NAP)));
        pace.move_on(start + MILLI);
        assert_eq!(pace.next(start + MILLI, For::Knock), Next::Look);
    }

    #[test]
    fn who_waits_for_ranks_yields_and_then_naps_for_a_part_of_what_it_waited() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.next(start + MILLI, For::Ranks), Next::Yield);
        assert_eq!(pace.next(start + 8 * MILLI, For::Ranks), Next::Nap(MILLI));
        assert_eq!(pace.next(start + 800 * MILLI, For::Ranks), Next::Nap(BUSY_NAP));
    }

    #[test]
    fn who_yields_to_somebody_that_does_not_naps_instead() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.yielded(start, start + LONG_YIELD);
        let then = start + LONG_YIELD;
        assert_eq!(pace.next(then, For::Ranks), Next::Nap(LONG_YIELD / 8));
        // Also after something has happened, but not for ever.
        pace.move_on(then);
        assert_eq!(pace.next(then, For::Ranks), Next::Nap(SHORTEST_NAP));
        pace.move_on(then + CROWDED);
        assert_eq!(pace.next(then + CROWDED, For::Ranks), Next::Yield);
    }

    #[test]
    fn the_first_of_a_neighbourhood_never_sleeps_long() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.next(start, For::Message), Next::Yield);
        let naps = (0..20).map(|_| pace.next(start + EAGER, For::Message));
        assert!(naps.into_iter().all(|next| matches!(next, Next::Nap(nap) if nap <= FIRST_NAP)));
    }
}
