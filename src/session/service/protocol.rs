//! The protocol thread: it steps the lanes of all sessions, hears what other ranks say, and sleeps when there is nothing to do.
//!
//! It makes MPI calls, and looks at what other threads have left for it; nothing else.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::{CallError, Ended, Shared, State, lock, program};
use super::pace::{For, Next, Pace};
use super::roll::{self, Roll};
use super::track::{Event, Track};
use super::worker;
use super::{Served, Service, door_of};
use crate::comm::mpi::{MpiComm, Notes, world};
use crate::comm::{Comm, CommError, Control};
use crate::error::complain;
use crate::host::door::{self, Door};
use crate::lane::{self, Word};
use crate::ranks::RankSet;
use crate::request::Lane;
use crate::rollcall;
use crate::wire::{self, Called, Note};

/// Without a deadline a wait says after this long that it waits.
const TALK_AFTER: Duration = Duration::from_secs(60);

/// What other threads leave for the protocol thread.
pub enum Mail {
    /// A session to serve.
    Serve(Box<Post>),
    /// Something was recorded for a lane of a session.
    Want(u64, Lane),
    /// The library worker has done a job.
    Native(u64, Box<worker::Result>),
    /// Python has.
    Look(u64),
    /// A caller's deadline has passed.
    Impatient { session: u64, lane: Lane, ticket: u64, waited: Duration },
    /// No more calls of this rank.
    Leave(u64, Ended),
}

/// A session that is served.
pub struct Post<C = MpiComm, N = Notes> {
    shared: Arc<Shared>,
    notes: N,
    door: Option<Door>,
    tracks: [Track<C>; 2],
    rolls: [Option<Roll>; 2],
    /// Notes that came before this.
    early: VecDeque<(u32, Vec<u8>)>,
    /// Callers that are to be told what a roll-call finds.
    impatient: Vec<(Lane, u64)>,
    below: Vec<u32>,
    /// Ranks whose doors this one can knock at.
    neighbours: RankSet,
    /// Only messages wake this rank: no neighbour is told first.
    is_first: bool,
    leaving: Option<(Ended, Instant)>,
    said_bye: bool,
    told_who_works: bool,
    /// How often it was asked since who is still there.
    asked: u32,
    byes: u32,
    talked: [Option<Instant>; 2],
    over: bool,
}

impl<C: Comm, N: Control> Post<C, N> {
    pub fn new(shared: Arc<Shared>, notes: N, door: Option<Door>, native: C, python: C, state: State) -> Self {
        let (rank, size) = (shared.rank, shared.size);
        let places: Vec<RankSet> = shared.roster.places.iter().map(|(_, ranks)| ranks.clone()).collect();
        let neighbours = places.iter().find(|ranks| ranks.contains(rank)).cloned().unwrap_or_default();
        let below = lane::below(rank, &places);
        let track = |lane, comm, state| Track::new(lane, lane::Lane::new(rank, size, below.clone()), comm, state);
        let tracks = [track(Lane::Native, native, state), track(Lane::Python, python, State::default())];
        Post {
            is_first: (places.len() > 1 && neighbours.first() == Some(rank)) || door.is_none(),
            notes,
            door,
            tracks,
            rolls: [None, None],
            early: VecDeque::new(),
            impatient: Vec::new(),
            below,
            neighbours,
            leaving: None,
            said_bye: false,
            told_who_works: false,
            asked: 0,
            byes: 0,
            talked: [None, None],
            over: false,
            shared,
        }
    }

    /// With notes that were heard before there was a thread for them.
    pub fn after(self, early: Vec<(u32, Vec<u8>)>) -> Self {
        Post { early: early.into(), ..self }
    }

    /// As if a lane's deadline had passed at this moment.
    #[cfg(test)]
    pub fn be_late(&mut self, lane: Lane) -> Result<(), CommError> {
        let shared = self.shared.clone();
        let Some(served) = shared.served.get() else { return Ok(()) };
        let mut heard = Vec::new();
        self.tracks[lane.index()].check_deadline(Some(Duration::ZERO), &shared, served, &mut heard);
        self.carry_out(heard.into_iter().map(|event| (lane, event)).collect(), &shared, served)
    }

    #[cfg(test)]
    pub fn track(&self, lane: Lane) -> &Track<C> {
        &self.tracks[lane.index()]
    }

    fn post(&mut self, to: u32, note: &[u8]) -> Result<(), CommError> {
        self.notes.post(to, note)?;
        self.knock(to);
        Ok(())
    }

    /// A neighbour sleeps longer than it would take to hear.
    fn knock(&self, rank: u32) {
        if let (true, Some(door)) = (rank != self.shared.rank && self.neighbours.contains(rank), &self.door) {
            door.knock(&door_of(&self.shared, rank));
        }
    }

    fn busy(&self) -> bool {
        self.tracks.iter().any(|track| track.waits().is_some()) || self.rolls.iter().any(Option::is_some)
    }

    /// Goes on as far as it can; true if it did.
    pub fn step(&mut self) -> bool {
        let shared = self.shared.clone();
        let Some(served) = shared.served.get() else { return false };
        match self.try_step(&shared, served) {
            Ok(moved) => moved,
            Err(error) => {
                self.end(served, Ended::Comm(error.clone()), &CallError::Comm(error));
                true
            }
        }
    }

    fn try_step(&mut self, shared: &Arc<Shared>, served: &Served) -> Result<bool, CommError> {
        let mut moved = false;
        let mut events: Vec<(Lane, Event)> = Vec::new();
        while let Some((from, note)) =
            self.early.pop_front().map_or_else(|| self.notes.poll(), |note| Ok(Some(note)))?
        {
            moved = true;
            self.hear(from, &note, shared, served, &mut events)?;
            if self.over {
                return Ok(true);
            }
        }
        for at in 0..2 {
            let mut heard = Vec::new();
            let native_is_idle = self.tracks[0].is_idle();
            moved |= self.tracks[at].step(shared, served, native_is_idle, &mut heard);
            self.tracks[at].check_deadline(shared.limit, shared, served, &mut heard);
            let lane = self.tracks[at].lane;
            events.extend(heard.into_iter().map(|event| (lane, event)));
        }
        self.carry_out(events, shared, served)?;
        for at in 0..2 {
            self.call_the_roll(at, shared, served)?;
        }
        moved |= self.say_bye(shared, served)?;
        Ok(moved)
    }

    fn carry_out(
        &mut self,
        mut events: Vec<(Lane, Event)>,
        shared: &Arc<Shared>,
        served: &Served,
    ) -> Result<(), CommError> {
        while !events.is_empty() {
            let mut more = Vec::new();
            for (lane, event) in events.drain(..) {
                match event {
                    Event::Tell(to, word) => {
                        let note = match word {
                            Word::Ring(number) => Note::Ring(lane, number),
                            Word::Wake(number) => Note::Wake(lane, number),
                        };
                        self.post(to, &wire::encode(&note))?;
                    }
                    Event::Want(lane) => {
                        let mut heard = Vec::new();
                        self.tracks[lane.index()].want(shared, served, &mut heard);
                        more.extend(heard.into_iter().map(|event| (lane, event)));
                    }
                    Event::Over => {
                        self.talked[lane.index()] = None;
                        if lane == Lane::Native {
                            let lost = self.tracks[0].take_lost();
                            self.tracks[1].hear_lost(lost);
                        }
                        if self.impatient.iter().all(|(of, _)| *of != lane) {
                            self.rolls[lane.index()] = None;
                        }
                    }
                    Event::Broken(error) => return Err(error),
                }
            }
            events = more;
        }
        Ok(())
    }

    fn hear(
        &mut self,
        from: u32,
        note: &[u8],
        shared: &Arc<Shared>,
        served: &Served,
        events: &mut Vec<(Lane, Event)>,
    ) -> Result<(), CommError> {
        let mut word = |lane: Lane, word| {
            let mut heard = Vec::new();
            self.tracks[lane.index()].hear(word, shared, served, &mut heard);
            events.extend(heard.into_iter().map(|event| (lane, event)));
        };
        match wire::decode::<Note>(note, shared.size) {
            Ok(Note::Ring(lane, number)) => word(lane, Word::Ring(number)),
            Ok(Note::Wake(lane, number)) => word(lane, Word::Wake(number)),
            Ok(Note::Bye(farewell)) => {
                self.byes += 1;
                lock(&served.farewells).push((from, farewell));
            }
            Ok(Note::Close) => self.close(served)?,
            Err(_) => {
                let Some(note) = rollcall::read(note, shared.size) else { return Ok(()) };
                self.hear_roll(from, note, shared, served)?;
            }
        }
        Ok(())
    }

    fn hear_roll(
        &mut self,
        from: u32,
        note: rollcall::Note,
        shared: &Arc<Shared>,
        served: &Served,
    ) -> Result<(), CommError> {
        let lane = match &note {
            rollcall::Note::Here(here) => here.lane,
            rollcall::Note::Verdict(called) => called.lane,
        };
        let Some(lane) = lane else { return Ok(()) };
        let at = lane.index();
        let verdict = match note {
            // Nobody waits for it any more, or it is the second one of the same call; but an end is an end.
            rollcall::Note::Verdict(called) if self.rolls[at].is_none() => {
                (called.ends && roll::is_fatal(&called.missed)).then_some(called)
            }
            rollcall::Note::Here(here) if self.rolls[at].is_none() => {
                let mut roll = Roll::open(shared, &self.tracks[at], here.waited_ms, here.ends);
                roll.hear(from, rollcall::Note::Here(here));
                self.rolls[at] = Some(roll);
                None
            }
            note => self.rolls[at].as_mut().and_then(|roll| roll.hear(from, note)),
        };
        if let Some(called) = verdict {
            self.told(at, called, false, served);
        }
        Ok(())
    }

    /// Opens a roll-call where a collective takes too long, and steps the one that is open.
    fn call_the_roll(&mut self, at: usize, shared: &Arc<Shared>, served: &Served) -> Result<(), CommError> {
        if self.rolls[at].is_none()
            && let Some(since) = self.tracks[at].waits()
        {
            let since = self.talked[at].unwrap_or(since);
            let limit = shared.limit.unwrap_or(TALK_AFTER);
            if since.elapsed() >= limit {
                self.talked[at] = Some(Instant::now());
                let waited = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                self.rolls[at] = Some(Roll::open(shared, &self.tracks[at], waited, shared.limit.is_some()));
            }
        }
        let Some(roll) = &mut self.rolls[at] else { return Ok(()) };
        let size = shared.size;
        let verdict = {
            let mut line = Line { notes: &mut self.notes, posted: Vec::new() };
            let verdict = roll.step(shared, &mut line)?;
            let posted = std::mem::take(&mut line.posted);
            posted.into_iter().filter(|rank| *rank < size).for_each(|rank| self.knock(rank));
            verdict
        };
        if let Some(called) = verdict {
            self.told(at, called, true, served);
        }
        Ok(())
    }

    /// A roll-call is over. `own`: this rank has made the verdict, and says it.
    fn told(&mut self, at: usize, called: Called, own: bool, served: &Served) {
        self.rolls[at] = None;
        let lane = self.tracks[at].lane;
        let Called { ends, missed, .. } = called;
        if ends && roll::is_fatal(&missed) {
            if own {
                served.hands.say(missed.to_string());
            }
            return self.end(served, Ended::Missed(missed.clone()), &CallError::Deadline(missed));
        }
        let impatient: Vec<u64> =
            self.impatient.extract_if(.., |(of, _)| *of == lane).map(|(_, ticket)| ticket).collect();
        if impatient.is_empty() && own && self.tracks[at].waits().is_some() {
            served.hands.say(format!("still waiting: {missed}"));
        }
        // With the whole of a lane idle only those who leave hold a roll-call that nobody has asked for.
        if impatient.is_empty() && own && self.tracks[at].is_idle() {
            match roll::is_fatal(&missed) {
                true => served.hands.say(format!("still waiting: {missed}")),
                false => self.say_who_works(served),
            }
        }
        let error = CallError::Deadline(missed);
        served.tickets.answer(impatient.into_iter().map(|ticket| (ticket, Err(error.clone()))));
    }

    /// Some ranks have ended, others have not, and all answer. Said once, by rank 0, which has heard the goodbyes.
    fn say_who_works(&mut self, served: &Served) {
        let mut ended: RankSet = lock(&served.farewells).iter().map(|(rank, _)| *rank).collect();
        if self.said_bye {
            ended.insert(self.shared.rank);
        }
        let works: RankSet = (0..self.shared.size).filter(|rank| !ended.contains(*rank)).collect();
        if !std::mem::replace(&mut self.told_who_works, true) && !works.is_empty() && !ended.is_empty() {
            let limit = self.shared.limit.unwrap_or(TALK_AFTER);
            let serve = if ended.len() == 1 { "serves" } else { "serve" };
            served.hands.say(format!(
                "{ended} ended {limit:?} ago or more, and {serve} until every rank has; at work still: {works}"
            ));
        }
    }

    pub fn mail(&mut self, mail: Mail, served: &Served) -> Result<(), CommError> {
        let shared = self.shared.clone();
        let mut heard = Vec::new();
        let lane = match mail {
            Mail::Want(_, lane) => {
                self.tracks[lane.index()].want(&shared, served, &mut heard);
                lane
            }
            Mail::Native(_, result) => {
                self.tracks[0].worked(*result, &shared, served, &mut heard);
                Lane::Native
            }
            Mail::Impatient { lane, ticket, waited, .. } => {
                self.impatient.push((lane, ticket));
                if self.rolls[lane.index()].is_none() {
                    let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                    self.rolls[lane.index()] = Some(Roll::open(&shared, &self.tracks[lane.index()], waited, false));
                }
                lane
            }
            Mail::Leave(_, why) => {
                self.leaving.get_or_insert((why, Instant::now()));
                Lane::Native
            }
            Mail::Serve(_) | Mail::Look(_) => Lane::Native,
        };
        self.carry_out(heard.into_iter().map(|event| (lane, event)).collect(), &shared, served)
    }

    /// This rank has nothing left to do: it says so, and serves on until no rank has.
    fn say_bye(&mut self, shared: &Arc<Shared>, served: &Served) -> Result<bool, CommError> {
        let Some((_, since)) = &self.leaving else { return Ok(false) };
        if !self.said_bye {
            let idle = self.tracks.iter().all(Track::is_idle);
            if !idle || Lane::BOTH.into_iter().any(|lane| shared.has_pending(lane)) {
                return Ok(false);
            }
            self.said_bye = true;
            match shared.rank {
                0 => self.byes += 1,
                _ => self.post(0, &wire::encode(&Note::Bye(program::farewell())))?,
            }
            return Ok(true);
        }
        if shared.rank == 0 && self.byes >= shared.size {
            self.close(served)?;
            return Ok(true);
        }
        // Others may go on for as long as they like, if they are alive; and are asked less and less often.
        let patience = shared.limit.unwrap_or(TALK_AFTER).saturating_mul(1 << self.asked.min(16));
        if since.elapsed() >= patience && self.rolls[0].is_none() {
            self.asked += 1;
            let waited = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.rolls[0] = Some(Roll::open(shared, &self.tracks[0], waited, shared.limit.is_some()));
            return Ok(true);
        }
        Ok(false)
    }

    /// Every rank has said goodbye.
    fn close(&mut self, served: &Served) -> Result<(), CommError> {
        for to in self.below.clone() {
            self.post(to, &wire::encode(&Note::Close))?;
        }
        self.notes.flush()?;
        let why = self.leaving.take().map_or(Ended::Finalized, |(why, _)| why);
        self.end(served, why.clone(), &CallError::Ended(why));
        Ok(())
    }

    fn end(&mut self, served: &Served, why: Ended, error: &CallError) {
        self.shared.end(why);
        served.tickets.answer_all(error);
        served.is_over(self.tracks[0].stuck_in());
        self.over = true;
    }
}

/// Notes whose receivers are remembered, to be knocked at.
struct Line<'a, N> {
    notes: &'a mut N,
    posted: Vec<u32>,
}

impl<N: Control> Control for Line<'_, N> {
    fn post(&mut self, to: u32, note: &[u8]) -> Result<(), CommError> {
        self.posted.push(to);
        self.notes.post(to, note)
    }

    fn poll(&mut self) -> Result<Option<(u32, Vec<u8>)>, CommError> {
        self.notes.poll()
    }
}

/// The thread has panicked: nobody ends the sessions that came after.
static IS_GONE: AtomicBool = AtomicBool::new(false);

pub fn is_gone() -> bool {
    IS_GONE.load(Ordering::Relaxed)
}

/// The thread. Should it panic, its sessions end, and nobody waits for them.
pub fn run(service: &'static Service, home: &Door) {
    let mut posts: Vec<Post> = Vec::new();
    if std::panic::catch_unwind(AssertUnwindSafe(|| serve(service, home, &mut posts))).is_err() {
        IS_GONE.store(true, Ordering::Relaxed);
        complain("internal error in the protocol thread: this rank takes part in nothing any more");
        for post in &mut posts {
            let shared = post.shared.clone();
            if let Some(served) = shared.served.get() {
                post.end(served, Ended::Abandoned, &CallError::Ended(Ended::Abandoned));
            }
        }
    }
}

fn serve(service: &'static Service, home: &Door, posts: &mut Vec<Post>) {
    let mut pace = Pace::new(Instant::now());
    loop {
        let mail = std::mem::take(&mut *lock(&service.mail));
        let mut moved = !mail.is_empty();
        for mail in mail {
            deliver(mail, posts);
        }
        if !posts.is_empty() && !world::is_up() {
            // Nobody has waited for the goodbyes.
            for post in &mut *posts {
                let shared = post.shared.clone();
                if let Some(served) = shared.served.get() {
                    post.end(served, Ended::Finalized, &CallError::Ended(Ended::Finalized));
                }
            }
            posts.clear();
        }
        for post in &mut *posts {
            moved |= post.step();
        }
        for post in posts.extract_if(.., |post| post.over) {
            post.bury();
        }
        let now = Instant::now();
        if moved {
            pace.move_on(now);
            continue;
        }
        let what = match &**posts {
            [] => For::Nothing,
            posts if posts.iter().any(Post::busy) => For::Ranks,
            posts if posts.iter().any(|post| post.is_first) => For::Message,
            _ => For::Knock,
        };
        match pace.next(now, what) {
            Next::Look => {}
            Next::Yield => {
                std::thread::yield_now();
                pace.yielded(now, Instant::now());
            }
            Next::Nap(most) => {
                let doors = posts.iter().filter_map(|post| post.door.as_ref());
                let knocked = door::sleep(home, doors, most);
                if knocked.outside {
                    // A message may be on its way still.
                    pace.move_on(Instant::now());
                }
            }
        }
    }
}

fn deliver(mail: Mail, posts: &mut Vec<Post>) {
    let session = match mail {
        Mail::Serve(post) => return posts.push(*post),
        Mail::Want(session, _)
        | Mail::Native(session, _)
        | Mail::Look(session)
        | Mail::Impatient { session, .. }
        | Mail::Leave(session, _) => session,
    };
    let Some(post) = posts.iter_mut().find(|post| post.shared.id == session) else { return };
    let shared = post.shared.clone();
    let Some(served) = shared.served.get() else { return };
    if let Err(error) = post.mail(mail, served) {
        post.end(served, Ended::Comm(error.clone()), &CallError::Comm(error));
    }
}

impl Post {
    /// The communicators of a session whose own communicator was freed are freed, too.
    fn bury(self) {
        let freed = matches!(*lock(&self.shared.ended), Some(Ended::Freed));
        if freed {
            let Post { notes, tracks, .. } = self;
            tracks.into_iter().for_each(|track| track.into_comm().free());
            notes.free();
        }
    }
}
