//! Making a session on a communicator, or finding the one that is there; and the end of sessions.
//!
//! Attach has a deadline, too: a barrier that can be given up goes first, and
//! duplicates are made with MPI_Comm_idup. Until the control communicator exists, the
//! roll-call's notes travel on the user's communicator, and only once the deadline has passed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::service;
use super::wait::{self, Budget, Lost, Place};
use super::{CallError, Core, Ended, Options, Session, Shared, Slot, State, lock};
use super::{jobs, program, safe_point};
use crate::comm::mpi::{self, Duplicate, End, MpiComm, Notes, Presence, UserComm, world};
use crate::comm::solo::Solo;
use crate::comm::{Collective, Control, Reply};
use crate::config::{self, Mode, Timeout};
use crate::error::Phase;
use crate::host::door;
use crate::host::node::NodeCache;
use crate::host::runtime;
use crate::intercept::{frames, maps};
use crate::ranks::RankSet;
use crate::wire::{self, Roster};

static NEXT: AtomicU64 = AtomicU64::new(1);
/// Communicators that a thread is attaching to: another thread of the rank waits for it, and finds its session.
static ATTACHING: Mutex<Vec<UserComm>> = Mutex::new(Vec::new());
static ATTACHED: Condvar = Condvar::new();
static SESSIONS: LazyLock<Mutex<HashMap<u64, Arc<Shared>>>> = LazyLock::new(Mutex::default);

impl Session {
    /// The session of a communicator: the one that is cached on it, else a new one.
    ///
    /// Initialises MPI (MPI_THREAD_MULTIPLE) where nobody has, and finalises it at exit then.
    ///
    /// # Collective
    /// Over `comm`, the first time; later calls are local. Shown by `mpi-tests/src/bin/absent_rank.rs`.
    ///
    /// # Errors
    /// [`CallError::Deadline`] where a rank does not come; [`CallError::Comm`] where the communicator is none that can be
    /// used, MPI has been finalised, or another MPI is in the process; [`CallError::Invalid`] for service mode.
    pub fn attach(comm: impl Into<UserComm>, options: Options) -> Result<Session, CallError> {
        prepare()?;
        attach(comm.into(), options, Timeout::Default.resolve().map_err(setting)?)
    }

    /// The session of MPI_COMM_WORLD.
    ///
    /// # Collective
    /// As [`Session::attach`].
    ///
    /// # Errors
    /// As [`Session::attach`].
    pub fn world(options: Options) -> Result<Session, CallError> {
        prepare()?;
        attach(UserComm::world(), options, Timeout::Default.resolve().map_err(setting)?)
    }

    /// The same, where `DLCAST_TIMEOUT` is wrong on this rank, and the others shall not wait for it.
    pub(super) fn world_within(options: Options, standard: Duration) -> Result<Session, CallError> {
        prepare()?;
        attach(UserComm::world(), options, Some(standard))
    }

    /// This rank says goodbye to all sessions in service mode: it makes no more calls, and serves on until every rank has said
    /// goodbye, or one does not answer. MPI_Finalize does the same; with MPICH, which switches its locks off when that begins,
    /// call this before. Does nothing where there is no such session.
    ///
    /// # Collective
    /// Over the ranks of these sessions. Shown by `mpi-tests/src/bin/service_ends.rs`.
    pub fn leave() {
        leave();
    }

    /// The session with a handle that `attach` gave out.
    pub(crate) fn by_id(id: u64, options: Options) -> Result<Session, CallError> {
        match lock(&SESSIONS).get(&id) {
            Some(shared) => Ok(Session { shared: shared.clone(), timeout: options.timeout }),
            None => Err(CallError::Ended(Ended::Unknown)),
        }
    }

    /// The handle.
    pub(crate) fn id(&self) -> u64 {
        self.shared.id
    }
}

fn setting(error: config::SettingError) -> CallError {
    CallError::Invalid(error.to_string())
}

/// Before any MPI call: the right MPI, only one dlcast, and MPI up.
pub(crate) fn prepare() -> Result<(), CallError> {
    safe_point::refuse_to_attach(|| Ok(true))?;
    if !safe_point::must_not_wait() {
        frames::learn();
        jobs::look_around()?;
    }
    if let Err(other) = runtime::claim(maps::file_of(prepare as *const () as usize)) {
        let text =
            format!("this process has a dlcast already, in {other}: a second one would agree on its own; use that one");
        return Err(CallError::Invalid(text));
    }
    Ok(world::bring_up()?)
}

fn attach(comm: UserComm, options: Options, standard: Option<Duration>) -> Result<Session, CallError> {
    safe_point::refuse_to_attach(|| Ok(mpi::cached(comm)?.is_some()))?;
    world::may_call()?;
    comm.check()?;
    let mode = options.mode.map_or_else(|| config::mode().map_err(setting), Ok)?;
    let limit = options.timeout.resolve().map_err(setting)?;
    mpi::on_end(end);
    let _alone = Alone::on(comm);
    if let Some(id) = mpi::cached(comm)? {
        let session = Session::by_id(id, options)?;
        session.shared.refuse_ended()?;
        let has = session.mode();
        if options.mode.is_some_and(|wanted| wanted != has) {
            return Err(CallError::Invalid(format!(
                "the session of this communicator is in {has} mode{}: attach in the same mode, or in none{}",
                if program::is_served() { ", made by `dlcast run`" } else { "" },
                if has == Mode::Collective { "; Session::serve() turns it to service mode" } else { "" }
            )));
        }
        return Ok(session);
    }
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let shared = match make(comm, id, mode, limit, standard) {
        Ok(shared) => shared,
        Err((error, shared)) => {
            // Later calls on this communicator are told the same at once.
            if let Some(shared) = shared {
                keep(comm, shared)?;
            }
            return Err(error);
        }
    };
    keep(comm, shared.clone())?;
    Ok(Session { shared, timeout: options.timeout })
}

/// While it lives, no other thread of this rank attaches to the communicator. (Attach has a deadline, so that this ends.)
struct Alone(UserComm);

impl Alone {
    fn on(comm: UserComm) -> Self {
        let mut attaching = lock(&ATTACHING);
        while attaching.contains(&comm) {
            attaching = ATTACHED.wait(attaching).unwrap_or_else(PoisonError::into_inner);
        }
        attaching.push(comm);
        Alone(comm)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        lock(&ATTACHING).retain(|comm| *comm != self.0);
        ATTACHED.notify_all();
    }
}

fn keep(comm: UserComm, shared: Arc<Shared>) -> Result<(), CallError> {
    mpi::remember(comm, shared.id)?;
    lock(&SESSIONS).insert(shared.id, shared);
    Ok(())
}

/// Another MPI in the process than the one that dlcast calls and was built with.
pub(super) fn refuse_other_mpi() -> Result<(), CallError> {
    let mapped: Vec<_> = maps::mapped().into_iter().map(|object| object.path).collect();
    Ok(world::refuse_other_mpi(maps::file_of(world::address()), &mapped)?)
}

type Failed = (CallError, Option<Arc<Shared>>);

fn make(
    comm: UserComm,
    id: u64,
    mode: Mode,
    limit: Option<Duration>,
    standard: Option<Duration>,
) -> Result<Arc<Shared>, Failed> {
    let mut budget = Budget::new(limit);
    let plain = |error: crate::comm::CommError| (CallError::from(error), None);
    let mut users = Notes::on_users(comm).map_err(plain)?;
    let (rank, size) = (users.rank(), users.size());
    let own_host = hostname();
    let guess = whereabouts(comm, rank, &own_host);
    let place = Place { rank, size, step: 0, phase: Phase::Attach, what: &String::new, host_of: &guess };
    let broken = |lost: Lost| -> Failed {
        let (error, reason) = told(lost);
        let shared = Shared::new(id, rank, size, Roster::default(), standard, Slot::Gone);
        shared.end(reason);
        (error, Some(Arc::new(shared)))
    };
    wait::look_up(&mut users, &budget, &place).map_err(broken)?;
    let mut presence = Presence::start(comm).map_err(plain)?;
    wait::wait(&mut users, &mut budget, &place, || presence.test()).map_err(broken)?;
    wait::look_up(&mut users, &budget, &place).map_err(broken)?;
    let duplicate = |users: &mut Notes, budget: &mut Budget| {
        let mut duplicate = Duplicate::start(comm).map_err(plain)?;
        wait::wait(users as &mut dyn Control, budget, &place, || duplicate.test()).map_err(broken)
    };
    let mut notes = Notes::on(duplicate(&mut users, &mut budget)?).map_err(plain)?;
    let mut main = MpiComm::new(duplicate(&mut users, &mut budget)?).map_err(plain)?;
    // Who is where, with which version; the token names the node cache, and only this job's ranks know it.
    let own = Roster {
        hosts: vec![(own_host.clone(), RankSet::one(rank))],
        versions: vec![(env!("CARGO_PKG_VERSION").into(), RankSet::one(rank))],
        modes: vec![(can(mode), RankSet::one(rank))],
        stacks: vec![(config::stack(), RankSet::one(rank))],
        places: vec![(format!("{own_host} {}", door::neighbourhood()), RankSet::one(rank))],
        token: if rank == 0 { token() } else { String::new() },
    };
    let merge = Collective::Merge { bytes: wire::encode(&own), with: wire::merge_rosters };
    let reply =
        wait::collective(&mut main, merge, &mut notes, &mut budget, &place, false).map_err(broken)?.into_inner();
    let Reply::Bytes(bytes) = reply else { return Err((wire::WireError::Foreign.into(), None)) };
    let roster: Roster = wire::decode(&bytes, size).map_err(|error| (error.into(), None))?;
    if roster.versions.len() > 1 {
        let who: Vec<String> = roster.versions.iter().map(|(version, ranks)| format!("{version} on {ranks}")).collect();
        let text = format!("the ranks run different versions of dlcast: {}", who.join("; "));
        return Err((CallError::Invalid(text), None));
    }
    if roster.modes.len() > 1 || (mode == Mode::Service && can(mode) != mode.to_string()) {
        let who: Vec<String> = roster.modes.iter().map(|(mode, ranks)| format!("{mode} on {ranks}")).collect();
        let text = format!("the ranks cannot attach together: {}", who.join("; "));
        return Err((CallError::Invalid(text), None));
    }
    let mut node = NodeCache::open(&config::node_dir(), &format!("dlcast-{}", roster.token));
    let all_have_it = Collective::Max(vec![0]);
    wait::collective(&mut main, all_have_it, &mut notes, &mut budget, &place, false).map_err(broken)?;
    if let Some(node) = &mut node {
        node.unlink();
    }
    let core = Core {
        comm: main,
        solo: (size == 1).then(Solo::default),
        notes,
        rounds: 0,
        steps: 0,
        heard: Instant::now(),
        state: State { node, ..State::default() },
    };
    if mode == Mode::Collective {
        return Ok(Arc::new(Shared::new(id, rank, size, roster, standard, Slot::Free(Box::new(core)))));
    }
    // The service has the deadline that attach was given: its threads wait, not the calls.
    let shared = Arc::new(Shared::new(id, rank, size, roster, limit, Slot::Serving));
    service::serve(&shared, Box::new(core), None).map_err(|(error, _)| (error, Some(shared.clone())))?;
    Ok(shared)
}

/// The mode, if this rank can do it; else why not.
fn can(mode: Mode) -> String {
    match (mode, world::needs_multiple()) {
        (Mode::Service, Err(error)) => format!("service, but {error}"),
        _ => mode.to_string(),
    }
}

/// The host of a rank that has not said it yet: this one, what the launcher told PMIx, or unknown.
fn whereabouts(comm: UserComm, own: u32, own_host: &str) -> impl Fn(u32) -> String {
    let here = own_host.to_string();
    let one_host = comm.spans_world() && config::world_is_one_host();
    // Found now, because the loader's lock may be held when the deadline has passed; asked then.
    let mapped = maps::mapped();
    let pmix = mpi::Pmix::find(mapped.iter().map(|object| object.path.as_path()), config::pmix_namespace());
    move |rank| {
        if one_host || rank == own {
            return here.clone();
        }
        let told = pmix.and_then(|pmix| pmix.host_of(comm.in_world(rank)?));
        told.unwrap_or_else(|| "unknown host: it never attached".into())
    }
}

impl Shared {
    fn new(id: u64, rank: u32, size: u32, roster: Roster, limit: Option<Duration>, core: Slot) -> Self {
        Shared {
            id,
            rank,
            size,
            roster,
            limit,
            core: Mutex::new(core),
            freed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            pending: Mutex::default(),
            registry: RwLock::default(),
            ended: Mutex::default(),
            served: OnceLock::new(),
        }
    }
}

/// What the caller hears, and why the session cannot go on.
pub(super) fn told(lost: Lost) -> (CallError, Ended) {
    match lost {
        Lost::Missed(missed) => (CallError::Deadline(missed.clone()), Ended::Missed(missed)),
        Lost::Comm(error) => (CallError::Comm(error.clone()), Ended::Comm(error)),
    }
}

fn hostname() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// 128 random bits: the standard library's hasher keys come from the system's random numbers.
fn token() -> String {
    use std::hash::{BuildHasher, Hasher};
    let word = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

/// MPI says that communicators go.
fn end(end: End) {
    match end {
        End::Freed(id) => {
            // Handles that are still around are told why.
            let shared = lock(&SESSIONS).get(&id).cloned();
            if let Some(shared) = shared {
                service::leave(&shared, Ended::Freed);
                shared.end(Ended::Freed);
                shared.release();
            }
        }
        // Their communicators are left to MPI, which is about to free everything.
        End::Finalized => {
            leave_all(&Ended::Finalized);
            for shared in lock(&SESSIONS).values() {
                shared.end(Ended::Finalized);
            }
        }
    }
}

/// This rank says goodbye to all sessions in service mode, and serves on until all have, or a deadline has passed.
pub(crate) fn leave() {
    leave_all(&Ended::Left);
}

fn leave_all(why: &Ended) {
    let sessions: Vec<Arc<Shared>> = lock(&SESSIONS).values().cloned().collect();
    // First to all: another rank may say goodbye to them in another order.
    sessions.iter().for_each(|shared| service::bid(shared, why.clone()));
    sessions.iter().for_each(|shared| service::leave(shared, why.clone()));
}
