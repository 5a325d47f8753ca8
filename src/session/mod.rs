//! A session: one communicator, its committed libraries, and calls that step rounds in the caller's thread.
//!
//! It joins the single effects (communicator, host, link maps) to the round; it contains no protocol of its own.
//!
//! # Layout
//! In the order of flow.
//! - `attach` making a session, finding the one that is there; sessions end
//! - `safe_point` whether this thread may wait at all
//! - `record` requests made where nothing may wait; `pending` keeps them
//! - `program` what a program opens that knows nothing of dlcast (`dlcast run`)
//! - `call` one call: `stepped` by its caller in collective mode, `asked` of the threads in service mode
//! - `jobs` what a round wants done on this rank, `imports` what of it Python does; `register` what plugins bring with them, `met` the plugins
//! - `code` code that other ranks can find, and tasks
//! - `layers` a plan for all ranks, of what layers have to offer
//! - `wait` a collective with a deadline, and the roll-call after it
//! - `service` threads that take part in rounds for ranks that do not call
//! - `report` what a call came to
//! - `error` why it came to nothing

mod asked;
pub(crate) mod attach;
pub mod call;
pub mod code;
pub mod error;
mod imports;
mod jobs;
mod layers;
mod met;
mod pending;
pub(crate) mod program;
pub mod record;
mod register;
pub mod report;
mod safe_point;
mod service;
mod stepped;
mod wait;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use self::call::{Call, Own, Step};
pub use self::error::{CallError, Ended};
use self::met::Plugins;
use self::pending::Pending;
pub use self::report::SyncReport;
use self::service::Served;
use crate::code::CodeRef;
use crate::comm::mpi::{MpiComm, Notes};
use crate::comm::solo::Solo;
use crate::config::{Mode, Timeout};
use crate::host::dl::{self, Library, LocalLibrary};
use crate::host::node::NodeCache;
use crate::identity::Identity;
use crate::plan::Key;
use crate::registry::Registry;
use crate::request::{Lane, OpenFlags, Request};
use crate::round::More;
use crate::wire::Roster;

/// How to attach.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// `None`: `DLCAST_MODE`, by default collective.
    pub mode: Option<Mode>,
    /// How long attach, and later every call, may wait for other ranks.
    pub timeout: Timeout,
}

/// A session on a communicator. A handle: clones are the same session.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    timeout: Timeout,
}

/// What a session is, whoever holds a handle.
pub(crate) struct Shared {
    pub(crate) id: u64,
    rank: u32,
    size: u32,
    roster: Roster,
    /// The deadline of calls that name none.
    limit: Option<Duration>,
    core: Mutex<Slot>,
    freed: Condvar,
    /// Threads that wait for `core`: without any nobody is woken, which is a system call.
    waiting: AtomicUsize,
    pending: Mutex<Vec<Pending>>,
    /// Agreed: what every rank has registered.
    registry: RwLock<Arc<Registry>>,
    ended: Mutex<Option<Ended>>,
    /// In service mode.
    served: OnceLock<Served>,
}

/// Where the moving parts are: at most one call at a time has them.
enum Slot {
    Free(Box<Core>),
    Busy(ThreadId),
    /// The protocol thread has them.
    Serving,
    Gone,
}

/// What a call needs while it runs.
pub(crate) struct Core {
    comm: MpiComm,
    /// Instead of `comm` where there is nobody to ask.
    solo: Option<Solo>,
    notes: Notes,
    rounds: u64,
    steps: u64,
    /// When this rank last took part in a collective.
    heard: Instant,
    state: State,
}

/// What the jobs of rounds know of earlier ones.
#[derive(Default)]
pub(crate) struct State {
    node: Option<NodeCache>,
    /// Agreed, therefore equal on every rank: what needs no round any more.
    committed: HashMap<Identity, OpenFlags>,
    /// Agreed, too: callbacks that every rank has run.
    called: HashSet<Key>,
    /// Those of this call.
    just_called: HashSet<Key>,
    /// Plugins that are registered, or on their way.
    plugins: Plugins,
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn refuse_ended(&self) -> Result<(), CallError> {
        match &*lock(&self.ended) {
            Some(reason) => Err(CallError::Ended(reason.clone())),
            None => Ok(()),
        }
    }

    /// Records requests: rounds take them, and in service mode are started for them. Local.
    fn ask(&self, requests: impl IntoIterator<Item = Pending>) {
        // Not under the lock: an iterator may look into libraries, and wait for a constructor that is about to record.
        let requests: Vec<Pending> = requests.into_iter().collect();
        let mut lanes = [false; 2];
        requests.iter().for_each(|pending| lanes[pending.request.lane().index()] = true);
        if requests.is_empty() {
            return;
        }
        lock(&self.pending).extend(requests);
        for lane in Lane::BOTH.into_iter().filter(|lane| lanes[lane.index()]) {
            service::ring(self, lane);
        }
    }

    /// Whether anything is recorded for a lane.
    fn has_pending(&self, lane: Lane) -> bool {
        lock(&self.pending).iter().any(|pending| pending.request.lane() == lane)
    }

    /// What a pass of a round takes: of one lane in service mode, where a later pass takes what its own jobs have recorded.
    fn take_pending(&self, lane: Option<Lane>, later: bool) -> Vec<Pending> {
        let mut pending = lock(&self.pending);
        match lane {
            None => pending.drain(..).collect(),
            Some(lane) => {
                pending.extract_if(.., |pending| pending.request.lane() == lane && (pending.nested || !later)).collect()
            }
        }
    }

    /// Whether jobs have recorded something: for the round that runs them, and in service mode for the other lane.
    fn more(&self, lane: Option<Lane>) -> More {
        let pending = lock(&self.pending);
        let of = |lane: Lane| pending.iter().any(|pending| pending.nested && pending.request.lane() == lane);
        match lane {
            None => More { here: !pending.is_empty(), beyond: false },
            Some(lane) => {
                More { here: of(lane), beyond: Lane::BOTH.into_iter().any(|other| other != lane && of(other)) }
            }
        }
    }

    /// Ends the session; the first reason stays.
    pub(crate) fn end(&self, reason: Ended) {
        lock(&self.ended).get_or_insert(reason);
    }

    fn host_of(&self, rank: u32) -> String {
        let known = self.roster.hosts.iter().find(|(_, ranks)| ranks.contains(rank));
        known.map_or_else(|| "unknown host".into(), |(host, _)| host.clone())
    }

    /// Takes the moving parts, after waiting for another thread's call if there is one.
    fn take(&self, limit: Option<Duration>) -> Result<Box<Core>, CallError> {
        let mut deadline = None;
        let me = std::thread::current().id();
        let mut slot = lock(&self.core);
        loop {
            match std::mem::replace(&mut *slot, Slot::Busy(me)) {
                Slot::Free(core) => return Ok(core),
                Slot::Gone => {
                    *slot = Slot::Gone;
                    drop(slot);
                    self.refuse_ended()?;
                    return Err(CallError::Ended(Ended::Unknown));
                }
                Slot::Serving => {
                    *slot = Slot::Serving;
                    return Err(CallError::Busy);
                }
                Slot::Busy(thread) => {
                    *slot = Slot::Busy(thread);
                    if thread == me {
                        return Err(CallError::Nested);
                    }
                }
            }
            let deadline = deadline.get_or_insert_with(|| limit.and_then(|limit| Instant::now().checked_add(limit)));
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(CallError::Busy);
            }
            let pause = left.unwrap_or(Duration::from_secs(60));
            // Counted under the lock: who puts the parts back after this has to take it, and sees the number.
            self.waiting.fetch_add(1, Ordering::Relaxed);
            slot = self.freed.wait_timeout(slot, pause).unwrap_or_else(PoisonError::into_inner).0;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Gives the moving parts back; if the session has ended meanwhile, they go.
    fn give_back(&self, core: Box<Core>) {
        let ended = lock(&self.ended).is_some();
        self.put(if ended { Slot::Gone } else { Slot::Free(core) });
    }

    fn put(&self, slot: Slot) {
        *lock(&self.core) = slot;
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.freed.notify_all();
        }
    }

    /// The communicator was freed: so are the duplicates.
    fn release(&self) {
        if let Slot::Free(core) = std::mem::replace(&mut *lock(&self.core), Slot::Gone) {
            let Core { comm, notes, .. } = *core;
            comm.free();
            notes.free();
        }
    }
}

impl Session {
    /// This process's rank in the session's communicator.
    pub fn rank(&self) -> u32 {
        self.shared.rank
    }

    /// Ranks in the session's communicator.
    pub fn size(&self) -> u32 {
        self.shared.size
    }

    /// The host that a rank named when it attached.
    pub fn host_of(&self, rank: u32) -> String {
        self.shared.host_of(rank)
    }

    /// The same session with another deadline for the calls made through this handle.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Session {
        Session { shared: self.shared.clone(), timeout: Timeout::After(timeout) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Begins a call that the caller steps; see [`Call::step`].
    ///
    /// # Errors
    /// Where the session has ended, or another thread of this rank does not leave it in time. Nothing was sent.
    pub fn begin(&self, own: Option<Request>, timeout: Option<Timeout>) -> Result<Call, CallError> {
        Call::begin(&self.shared, own, timeout.unwrap_or(self.timeout))
    }

    /// Loads a library on every rank and returns when every rank has it, under flags that are the same everywhere (where
    /// ranks ask for different ones, GLOBAL and NOW win).
    ///
    /// `path` is a path, or a bare name that ld.so's search finds.
    ///
    /// # Collective
    /// Over the session's communicator. Ranks may name different libraries, or call [`Session::sync`] or
    /// [`Session::import_global`] instead: all ranks end with the union. Shown by `mpi-tests/src/bin/one_holder.rs`.
    ///
    /// # Errors
    /// [`CallError::Undone`] where any rank cannot load this library; then no rank has it. Other requests of the same
    /// round do not matter. [`CallError::Invalid`] for a path that cannot be one: this rank has taken part all the same,
    /// so that nobody waits for it. [`CallError::Deadline`] where a rank does not come.
    /// [`CallError::Nested`] inside a constructor, dlopen, an import or a callback, whoever began it: the library is open on
    /// this rank ([`Session::open_here`] gives it), and the other ranks follow with the next round.
    pub fn load_global(&self, path: &str, flags: OpenFlags) -> Result<Library, CallError> {
        let request = record::or_invalid(record::library(path, flags));
        let call = self.begin(Some(request), None).inspect_err(|error| {
            if matches!(error, CallError::Nested) {
                // Should it not open here, it will not everywhere: the round says so.
                let _ = self.open_here(path, flags);
            }
        })?;
        match self.finish(call)?.own {
            Some(Own::Library(library)) => Ok(library),
            Some(Own::Undone(undone)) => Err(CallError::Undone(undone)),
            Some(Own::Invalid(message)) => Err(CallError::Invalid(message)),
            _ => Err(CallError::Invalid(format!("`{path}` has no verdict"))),
        }
    }

    /// Opens a library on this rank alone, as dlopen does: for where [`Session::load_global`] must not wait. Local; nothing
    /// is recorded. The library stays open.
    ///
    /// # Errors
    /// [`CallError::Invalid`] with what dlerror says, or for a path that cannot be one.
    pub fn open_here(&self, path: &str, flags: OpenFlags) -> Result<LocalLibrary, CallError> {
        match record::library(path, flags)? {
            Request::Library { spelling, flags, .. } => dl::open_here(&spelling, flags).map_err(CallError::Invalid),
            _ => Err(CallError::Invalid(format!("`{path}` is no library"))),
        }
    }

    /// Imports a Python module on every rank.
    ///
    /// Python runs the import: the process needs an import worker (`dlcast.serve_imports()` in Python). From Python, call
    /// `dlcast.import_global`, which imports in the calling thread.
    ///
    /// # Collective
    /// As [`Session::load_global`].
    ///
    /// # Errors
    /// As [`Session::load_global`].
    pub fn import_global(&self, module: &str) -> Result<(), CallError> {
        let request = record::or_invalid(record::module(module));
        verdict(self.finish(self.begin(Some(request), None)?)?.own)
    }

    /// Runs `code` once in every process, with `payload` (where that is empty, the code's own), and returns when all have
    /// run it. A rank that has not the code's library loads it first, as part of the same request. The code has the one
    /// signature of callbacks (`dlcast_callback` of `dlcast_plugin.h`); `tag` tells registrations of one function apart.
    ///
    /// It runs at most once in a process for the same function, tag and payload, whoever asks, however often. What it
    /// asks for in turn has been done when the call returns.
    ///
    /// # Collective
    /// As [`Session::load_global`]. Shown by `mpi-tests/src/bin/callbacks.rs`.
    ///
    /// # Errors
    /// [`CallError::Undone`] where it fails on any rank, with its message, or something that it asked for does.
    pub fn register_global(&self, code: &CodeRef, payload: &[u8], tag: u64) -> Result<(), CallError> {
        let request = record::or_invalid(record::callback(code.clone(), payload, tag));
        verdict(self.finish(self.begin(Some(request), None)?)?.own)
    }

    /// Takes a plugin's tasks away on every rank: their ids are stale from now on. The library stays mapped (its threads,
    /// and pointers to its functions, live on); loading it again registers its tasks under new ids, without running
    /// constructors or callbacks a second time.
    ///
    /// `path` is a path or a bare name, as for [`Session::load_global`].
    ///
    /// # Collective
    /// As [`Session::load_global`].
    ///
    /// # Errors
    /// [`CallError::Undone`] where this session has not loaded the library.
    pub fn unload_global(&self, path: &str) -> Result<(), CallError> {
        let request = record::or_invalid(record::unload(path));
        verdict(self.finish(self.begin(Some(request), None)?)?.own)
    }

    /// Turns the session to service mode: from now on every verb is one-sided, and threads of the other ranks take part. As
    /// [`Mode::Service`] at attach, for a session that began in collective mode; one that serves already goes on.
    ///
    /// # Collective
    /// Over the session's communicator. Shown by `mpi-tests/src/bin/service_loads.rs`.
    ///
    /// # Errors
    /// Where MPI provides less than MPI_THREAD_MULTIPLE on some rank: the session stays in collective mode.
    pub fn serve(&self) -> Result<(), CallError> {
        self.serve_unless(None)
    }

    /// The same, where this rank may have a reason against it: then no rank serves.
    fn serve_unless(&self, against: Option<CallError>) -> Result<(), CallError> {
        self.shared.refuse_ended()?;
        if self.shared.served.get().is_some() {
            return Ok(());
        }
        let limit = match self.timeout {
            Timeout::Default => self.shared.limit,
            other => other.resolve().map_err(|error| CallError::Invalid(error.to_string()))?,
        };
        let core = match safe_point::must_not_wait() {
            true => return Err(CallError::Nested),
            false => self.shared.take(limit)?,
        };
        match service::serve(&self.shared, core, against) {
            Ok(()) => {
                self.shared.put(Slot::Serving);
                Ok(())
            }
            Err((error, core)) => {
                self.shared.put(core.map_or(Slot::Gone, Slot::Free));
                Err(error)
            }
        }
    }

    /// The mode that the session is in.
    pub fn mode(&self) -> Mode {
        if self.shared.served.get().is_some() { Mode::Service } else { Mode::Collective }
    }

    /// Agrees on all that any rank has recorded, and does it. What failed is in the report: it is no error of this call.
    ///
    /// # Collective
    /// As [`Session::load_global`]. In service mode it waits for what this rank has recorded, and for no other rank to call it.
    ///
    /// # Errors
    /// Those of the communication.
    pub fn sync(&self) -> Result<SyncReport, CallError> {
        Ok(self.finish(self.begin(None, None)?)?.sync())
    }

    /// Steps a call to its end; imports are left to the import worker.
    pub(crate) fn finish(&self, mut call: Call) -> Result<call::Outcome, CallError> {
        loop {
            match call.step() {
                Step::Done(outcome) => return *outcome,
                Step::Job(job) => {
                    let answer = imports::ask_worker(self.shared.id, &job, call.patience());
                    call.answer(answer);
                }
            }
        }
    }
}

fn verdict(own: Option<Own>) -> Result<(), CallError> {
    match own {
        Some(Own::Undone(undone)) => Err(CallError::Undone(undone)),
        Some(Own::Invalid(message)) => Err(CallError::Invalid(message)),
        _ => Ok(()),
    }
}
