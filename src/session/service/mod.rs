//! Service mode: threads take part in rounds for ranks that do not call.
//!
//! Callers leave their requests and wait for tickets. One protocol thread a process steps the rounds of all sessions: it
//! makes MPI calls and nothing else, never opens, looks up or imports anything, and holds no lock while it waits; so it
//! always answers roll-calls. The library worker does what the loader is needed for; Python's import worker pulls its jobs
//! from [`crate::importer`]. What runs long, or for ever, holds up its own lane only.
//!
//! # Layout
//! In the order of flow.
//! - `tickets` who waits for what became of a request
//! - `protocol` the protocol thread: notes, rings, goodbyes of a session
//! - `pace` how it waits
//! - `track` one lane of a session: collectives, jobs and their deadlines
//! - `worker` the library worker
//! - `voice` what is said on stderr
//! - `python` the jobs of a batch that Python does
//! - `roll` roll-calls, which end a session only where a rank is dead

mod pace;
mod protocol;
mod python;
mod roll;
#[cfg(test)]
mod tests;
mod tickets;
mod track;
mod voice;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;

use self::protocol::{Mail, Post};
pub(super) use self::tickets::{Answer, Tickets};
use self::voice::Voice;
use super::wait::{self, Budget, Place};
use super::{CallError, Core, Ended, Shared, attach, lock};
use crate::comm::mpi::{Duplicate, MpiComm, Notes, world};
use crate::comm::{Collective, CommError, Control, Reply};
use crate::error::{Phase, complain};
use crate::host::door::{self, Door, Knocker};
use crate::importer;
use crate::request::Lane;
use crate::wire::{self, Note};

/// What a session in service mode shares with its callers.
pub(crate) struct Served {
    pub tickets: Tickets,
    hands: Box<dyn Hands>,
    /// Why this rank makes no more calls; it still takes part in those of others.
    leaving: OnceLock<Ended>,
    over: Mutex<bool>,
    /// What the library worker was stuck in when it was over.
    stuck: OnceLock<String>,
    ended: Condvar,
    /// On rank 0: what ranks have said at the end.
    farewells: Mutex<Vec<(u32, String)>>,
    /// Rounds, where somebody wants to hear of them.
    history: Mutex<Vec<Past>>,
}

/// A round that is over, as reports show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Past {
    /// "native" or "python".
    lane: &'static str,
    /// Seconds since the session was made, on this rank.
    at: f64,
    /// How long this rank was in it.
    took: f64,
    items: Vec<PastItem>,
}

/// A request of such a round, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PastItem {
    pub kind: &'static str,
    pub name: String,
    pub asked_by: Vec<u32>,
    pub committed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The exit code of a job that a constructor keeps from ending.
const STUCK: i32 = 1;
/// Rounds that are kept for a report.
const MOST_ROUNDS: usize = 100_000;

/// What the threads of a process share.
struct Service {
    mail: Mutex<Vec<Mail>>,
    knocker: Knocker,
    worker: worker::Hand,
    voice: Voice,
}

static SERVICE: OnceLock<Service> = OnceLock::new();
/// The session that takes what nobody has asked for explicitly: the first one, which is the world's in most programs.
static FIRST: LazyLock<Mutex<Option<Arc<Shared>>>> = LazyLock::new(Mutex::default);

/// Who does what a lane does not do itself: the other threads of the process.
pub(crate) trait Hands: Send + Sync {
    /// Leaves something for the protocol thread.
    fn post(&self, mail: Mail);
    /// To the library worker.
    fn give(&self, errand: worker::Errand);
    /// On stderr.
    fn say(&self, text: String);
    /// Whether there is a Python.
    fn has_python(&self) -> bool;
    /// To Python's import worker. The ticket is for [`Hands::withdraw`].
    fn import(&self, errand: Box<dyn importer::Errand>) -> u64;
    /// What no import worker has begun is taken back.
    fn withdraw(&self, ticket: u64);
}

impl Service {
    fn leave(&self, mail: Mail) {
        lock(&self.mail).push(mail);
        self.knocker.knock();
    }
}

impl Hands for &'static Service {
    fn post(&self, mail: Mail) {
        // A forked child has no protocol thread; when MPI is gone, it has nothing to do.
        if world::is_here() {
            self.leave(mail);
        }
    }

    fn give(&self, errand: worker::Errand) {
        self.worker.give(errand);
    }

    fn say(&self, text: String) {
        self.voice.say(text);
    }

    fn has_python(&self) -> bool {
        importer::has_worker()
    }

    fn import(&self, errand: Box<dyn importer::Errand>) -> u64 {
        importer::submit(errand)
    }

    fn withdraw(&self, ticket: u64) {
        importer::withdraw(ticket);
    }
}

/// Starts the threads of this process, once.
fn service() -> Result<&'static Service, CallError> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one = lock(&STARTING);
    if let Some(service) = SERVICE.get() {
        return Ok(service);
    }
    let failed = |error: std::io::Error| CallError::Invalid(format!("service mode needs threads and sockets: {error}"));
    let (home, knocker) = door::inner().map_err(failed)?;
    let (voice, worker) = (voice::start().map_err(failed)?, worker::start().map_err(failed)?);
    let service = SERVICE.get_or_init(|| Service { mail: Mutex::default(), knocker, worker, voice });
    let run = move || protocol::run(service, &home);
    std::thread::Builder::new().name("dlcast protocol".into()).spawn(run).map_err(failed)?;
    Ok(service)
}

/// Turns a session that no call is using to service mode, unless this rank has something `against` it.
///
/// Collective.
///
/// # Errors
/// With the moving parts, where some rank has not what it takes: the session stays what it was.
pub(super) fn serve(
    shared: &Arc<Shared>,
    mut core: Box<Core>,
    against: Option<CallError>,
) -> Result<(), (CallError, Option<Box<Core>>)> {
    let mut budget = Budget::new(shared.limit);
    let place = Place {
        rank: shared.rank,
        size: shared.size,
        step: 0,
        phase: Phase::Attach,
        what: &String::new,
        host_of: &|rank| shared.host_of(rank),
    };
    let lose = |lost| {
        let (error, reason) = attach::told(lost);
        shared.end(reason);
        (error, None)
    };
    // Whoever is called from now on has a door, or has none; and nobody is called before all are here.
    let door = Door::named(&door_of(shared, shared.rank)).ok();
    let ready = against.map_or(Ok(()), Err).and_then(|()| Ok(world::needs_multiple()?)).and_then(|()| service());
    let vote = Collective::Max(vec![u64::from(ready.is_err())]);
    let Core { comm, notes, .. } = &mut *core;
    let failed = wait::collective(comm, vote, notes, &mut budget, &place, false).map_err(lose)?.into_inner();
    let service = match ready {
        Ok(service) if failed == Reply::Words(vec![0]) => service,
        Ok(_) => {
            let text = "service mode cannot start on another rank, which says why";
            return Err((CallError::Invalid(text.into()), Some(core)));
        }
        Err(error) => return Err((error, Some(core))),
    };
    let broken = |error: CommError| {
        shared.end(Ended::Comm(error.clone()));
        (CallError::Comm(error), None)
    };
    let mut duplicate = Duplicate::of_own(comm).map_err(broken)?;
    let mut early = Early { notes, size: shared.size, heard: Vec::new() };
    let python = wait::wait(&mut early, &mut budget, &place, || duplicate.test()).map_err(lose)?;
    let heard = early.heard;
    let python = MpiComm::new(python).map_err(broken)?;
    let Core { comm, notes, state, .. } = *core;
    let _first = shared.served.set(Served::by(Box::new(service)));
    let mut first = lock(&FIRST);
    if first.as_ref().is_none_or(|first| first.refuse_ended().is_err()) {
        *first = Some(shared.clone());
    }
    drop(first);
    service.leave(Mail::Serve(Post::new(shared.clone(), notes, door, comm, python, state).after(heard).into()));
    for lane in Lane::BOTH {
        ring(shared, lane);
    }
    Ok(())
}

/// Ranks that serve already may ring, and even say goodbye: that is no roll-call, and kept for the protocol thread.
struct Early<'a> {
    notes: &'a mut Notes,
    size: u32,
    heard: Vec<(u32, Vec<u8>)>,
}

impl Control for Early<'_> {
    fn post(&mut self, to: u32, note: &[u8]) -> Result<(), CommError> {
        self.notes.post(to, note)
    }

    fn poll(&mut self) -> Result<Option<(u32, Vec<u8>)>, CommError> {
        while let Some((from, note)) = self.notes.poll()? {
            if wire::decode::<Note>(&note, self.size).is_err() {
                return Ok(Some((from, note)));
            }
            self.heard.push((from, note));
        }
        Ok(None)
    }
}

/// The name of a rank's door.
fn door_of(shared: &Shared, rank: u32) -> String {
    format!("dlcast-{}-{rank}", shared.roster.token)
}

/// A request was recorded: rounds are started for it, without waiting.
pub(super) fn ring(shared: &Shared, lane: Lane) {
    if let Some(served) = shared.served.get() {
        served.hands.post(Mail::Want(shared.id, lane));
    }
}

/// A caller's deadline has passed: who is where? The answer comes through its ticket.
pub(super) fn ask_around(shared: &Shared, lane: Lane, ticket: u64, waited: Duration) {
    if let Some(served) = shared.served.get() {
        served.hands.post(Mail::Impatient { session: shared.id, lane, ticket, waited });
    }
}

/// The session that records what the program opens by itself.
pub(super) fn first() -> Option<Arc<Shared>> {
    lock(&FIRST).as_ref().filter(|shared| shared.refuse_ended().is_ok()).cloned()
}

/// Says goodbye, and does not wait.
pub(super) fn bid(shared: &Shared, why: Ended) {
    if let (Some(service), Some(served), true) = (SERVICE.get(), shared.served.get(), world::is_here()) {
        let _first = served.leaving.set(why.clone());
        service.post(Mail::Leave(shared.id, why));
    }
}

/// Says goodbye, and serves on until every rank has; then no thread uses the session's communicators any more.
pub(super) fn leave(shared: &Shared, why: Ended) {
    let Some(served) = shared.served.get() else { return };
    if !world::is_here() {
        return;
    }
    // Threads that go on calling would keep this rank from ever having nothing to do.
    let _first = served.leaving.set(why.clone());
    served.hands.post(Mail::Leave(shared.id, why));
    // The protocol thread asks from time to time who is still alive.
    let mut over = lock(&served.over);
    while !*over && !protocol::is_gone() {
        let nap = Duration::from_secs(1);
        over = served.ended.wait_timeout(over, nap).unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
    drop(over);
    if let Some(text) = served.stuck.get() {
        wait_for_worker(text, shared.limit);
    }
    if let Some(service) = SERVICE.get() {
        service.voice.finish();
    }
}

/// The library worker is stuck in a constructor: it has the loader's lock, without which no process can end.
fn wait_for_worker(text: &str, limit: Option<Duration>) {
    let start = Instant::now();
    if limit.is_none() {
        complain(&format!("{text}: this process cannot end before"));
    }
    while worker::is_working() {
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            complain(&format!("{text}: this process cannot end, which ends the job"));
            world::abort(STUCK, true);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Served {
    /// After the goodbye what runs inside a round of others may still ask, and nobody else.
    pub(super) fn refuse_leaving(&self) -> Result<(), CallError> {
        self.leaving.get().map_or(Ok(()), |why| Err(CallError::Ended(why.clone())))
    }

    fn by(hands: Box<dyn Hands>) -> Served {
        Served {
            tickets: Tickets::default(),
            hands,
            leaving: OnceLock::new(),
            over: Mutex::default(),
            stuck: OnceLock::new(),
            ended: Condvar::new(),
            farewells: Mutex::default(),
            history: Mutex::default(),
        }
    }

    /// Keeps a round for a report.
    fn keep(&self, past: Past) {
        let mut history = lock(&self.history);
        if history.len() < MOST_ROUNDS {
            history.push(past);
        }
    }

    /// The protocol thread is done with the session; `stuck` is what the library worker is not done with.
    fn is_over(&self, stuck: Option<String>) {
        if let Some(text) = stuck {
            let _first = self.stuck.set(text);
        }
        *lock(&self.over) = true;
        self.ended.notify_all();
    }
}

/// What the other ranks have said at the end; on rank 0, after [`leave`].
pub(super) fn farewells(shared: &Shared) -> Vec<(u32, String)> {
    shared.served.get().map(|served| lock(&served.farewells).clone()).unwrap_or_default()
}

/// The rounds of a session so far, where they are kept.
pub(super) fn history(shared: &Shared) -> Vec<Past> {
    shared.served.get().map(|served| lock(&served.history).clone()).unwrap_or_default()
}

/// A number for every ticket of the process.
fn next_ticket() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
