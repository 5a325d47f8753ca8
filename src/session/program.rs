//! What a program opens that knows nothing of dlcast: the shim of `dlcast run` tells, and this makes requests of it.
//!
//! The world's session serves; the policy says what counts. What no hook saw is found by the difference of the link maps.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::call::Own;
use super::pending::Pending;
use super::{CallError, Options, Session, lock, record, safe_point, service};
use crate::comm::mpi::world;
use crate::config::{self, Mode, Run, Timeout};
use crate::error::{Undone, complain};
use crate::host::{dl, inside, python};
use crate::importer;
use crate::intercept::maps;
use crate::intercept::policy::{Policy, Reason};
use crate::request::{OpenFlags, Request};

/// Of the rank that has opened what failed elsewhere.
const GOES_ON: &str = "\n  this rank has it, and goes on";
/// The exit code where dlcast cannot go ahead, as of the command.
const REFUSED: i32 = 125;
/// Has the program's Python make an import worker.
const START_IMPORTS: &CStr = c"__import__('dlcast._preload', fromlist=['start']).start()";
/// A ticket that is never given.
const NOBODY: u64 = 0;
/// How long a rank waits whose settings say nothing.
const PATIENCE: Duration = Duration::from_secs(120);
/// Events of one rank that the report keeps.
const MOST_EVENTS: usize = 100_000;

/// A program that is served.
struct Program {
    session: Session,
    run: Run,
    policy: Policy,
    start: Instant,
    /// What failed elsewhere, and was told.
    failed: Mutex<HashMap<PathBuf, String>>,
    /// Libraries of `--load` that are not everywhere.
    missing: Mutex<Vec<Undone>>,
    /// What the hook has told of, so that the link maps have no news of it.
    told: Mutex<HashSet<PathBuf>>,
    /// What was about to be opened, unseen.
    announced: Mutex<Vec<(PathBuf, OpenFlags)>>,
    events: Mutex<Vec<Event>>,
    /// It was said that the session has ended.
    over: AtomicBool,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();
/// The loader's name, the file, and how it was opened.
static EARLY: Mutex<Vec<(PathBuf, PathBuf, OpenFlags)>> = Mutex::new(Vec::new());

/// Why something that the program has opened is no request.
enum Stays {
    /// It does not count.
    Here(String),
    /// It counts, and cannot travel.
    Failed(String),
}

/// A relative name means what the program has open under it.
fn whole(name: &Path) -> PathBuf {
    if name.is_absolute() {
        return name.into();
    }
    maps::real_path(name).or_else(|| std::path::absolute(name).ok()).unwrap_or_else(|| name.into())
}

/// What the program that was told of a library does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every rank has it, or it does not count, or it failed and that was said: no need to tell again.
    Settled,
    /// It is on its way.
    OnItsWay,
    /// It failed elsewhere, and shall fail here.
    Refused(String),
}

/// Something that was seen on this rank.
#[derive(Clone, Debug, Serialize)]
struct Event {
    /// Seconds since MPI_Init.
    at: f64,
    /// By the loader's name.
    library: String,
    /// "dlopen", "before MPI_Init" or "link map".
    seen: &'static str,
    /// "committed", "known", "undone", "recorded", or why it does not count.
    outcome: String,
    /// Whether the dlopen waited for it.
    waited: bool,
    /// Seconds that this took.
    took: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What a rank sends to rank 0 for the report.
#[derive(Serialize)]
struct Part<'a> {
    rank: u32,
    host: String,
    pid: u32,
    events: &'a [Event],
}

fn flags(bits: i32) -> OpenFlags {
    OpenFlags::from_bits_truncate(bits).settled()
}

/// A library was opened before MPI came up.
pub(crate) fn early(path: &Path, bits: i32) {
    lock(&EARLY).push((path.into(), whole(path), flags(bits)));
}

/// MPI is up, on all ranks: serves the world, and carries out what was asked for on the command line and opened by now.
///
/// Collective over MPI_COMM_WORLD.
///
/// # Errors
/// Why the program runs without dlcast.
pub(crate) fn start(mark: extern "C" fn(i32)) -> Result<(), String> {
    // The others are in MPI_Init, too: a rank whose settings are wrong takes part until all have heard of it.
    let (run, timeout, wrong) = match config::checked_run(&config::environment()) {
        Ok(run) => (run, Timeout::Default, None),
        Err(error) => (Run::default(), Timeout::After(PATIENCE), Some(CallError::Invalid(error.to_string()))),
    };
    let strict = run.strict;
    serve(run, timeout, wrong, mark).map_err(|error| {
        let hint = match &error {
            CallError::Deadline(_) => "\n  every rank of the job has to be started under `dlcast run`",
            _ => "",
        };
        if strict {
            complain(&format!("{error}{hint}\n  with --strict this ends the job"));
            world::abort(REFUSED, true);
        }
        format!("{error}{hint}")
    })
}

fn serve(run: Run, timeout: Timeout, wrong: Option<CallError>, mark: extern "C" fn(i32)) -> Result<(), CallError> {
    let policy = Policy::new(run.exclude.clone(), run.include.clone());
    inside::tell(mark);
    dl::host(None).borrow();
    let has_python = !run.import.is_empty() && python::is_up();
    if has_python {
        // It begins when the interpreter comes round to it, and counts from now on.
        importer::enlist(true);
    }
    // It serves only when every rank has recorded what it brings: the first round then has it all, whoever begins it.
    let collective = Options { mode: Some(Mode::Collective), timeout };
    let session = safe_point::in_mpi_init(|| match wrong {
        None => Session::world(collective),
        Some(_) => Session::world_within(collective, PATIENCE),
    })?;
    let program = Program {
        session,
        run,
        policy,
        start: Instant::now(),
        failed: Mutex::default(),
        missing: Mutex::default(),
        told: Mutex::default(),
        announced: Mutex::default(),
        events: Mutex::default(),
        over: AtomicBool::new(false),
    };
    let program = PROGRAM.get_or_init(|| program);
    if has_python && !python::run_soon(START_IMPORTS, worker_came) {
        worker_came(false);
    }
    safe_point::in_mpi_init(|| program.begin(wrong))
}

/// The worker that was promised has said itself that it serves, or there will be none.
fn worker_came(came: bool) {
    importer::enlist(false);
    if !came {
        complain("--import: the program's Python cannot import the package dlcast: install it there");
    }
}

/// What a library needs of the layers is opened, before the program opens it; where a bare name means a file of a layer, that is given.
///
/// # Errors
/// Which library of which layer cannot be opened, and why.
pub(crate) fn first(name: &Path) -> Result<Option<PathBuf>, String> {
    // Plans are JSON, and name nothing else.
    name.to_str().map_or(Ok(None), dl::open_before)
}

/// A dlopen follows that nobody sees: its flags are kept for when the link maps show what it has opened.
pub(crate) fn opening(name: &Path, bits: i32) {
    if let Some(program) = PROGRAM.get() {
        lock(&program.announced).push((name.into(), flags(bits)));
    }
}

/// A library was opened; `may_wait`: the caller may wait for other ranks.
pub(crate) fn opened(path: &Path, bits: i32, may_wait: bool) -> Verdict {
    match PROGRAM.get() {
        Some(program) => program.opened(path, flags(bits), may_wait),
        None => Verdict::OnItsWay,
    }
}

/// Code of a library that runs on this thread has called MPI with a communicator.
pub(crate) fn forbidden(call: &str) {
    inside::forbid(call);
}

/// What the link maps show, and nobody has told of; but for what dlcast itself has opened.
pub(super) fn found(new: &[PathBuf], own: &[PathBuf]) {
    if let (Some(program), false) = (PROGRAM.get(), new.is_empty()) {
        program.found(new, own);
    }
}

/// A round is over, and these have failed: others may have begun it before this rank waits for what the command line asks for.
pub(super) fn failed(undone: impl Iterator<Item = Undone>) {
    if let Some(program) = PROGRAM.get() {
        lock(&program.missing).extend(undone.filter(|undone| program.run.load.contains(&undone.name)));
    }
}

/// Something that was only recorded has failed somewhere; what is said of it.
pub(super) fn heard(undone: &Undone) -> String {
    let text = undone.to_string();
    match PROGRAM.get() {
        Some(program) if undone.kind == "library" => {
            // It is said now, and not once more when the program opens it again.
            lock(&program.failed).insert(undone.name.clone().into(), text.clone());
            format!("{text}{GOES_ON}")
        }
        Some(program) if undone.kind == "module" && program.run.import.contains(&undone.name) => {
            format!("--import: {text}")
        }
        _ => text,
    }
}

/// Before MPI_Finalize: the report of this rank goes with its goodbye, and rank 0 writes those of all.
pub(crate) fn stop() {
    let Some(program) = PROGRAM.get() else { return };
    program.look_once_more();
    service::leave(program.session.shared(), super::Ended::Finalized);
    if let (Some(file), 0) = (&program.run.report, program.session.rank()) {
        let parts = service::farewells(program.session.shared());
        if let Err(error) = program.write(file, &parts) {
            complain(&format!("--report {}: {error}", file.display()));
        }
    }
}

/// Whether `dlcast run` has made a session.
pub(super) fn is_served() -> bool {
    PROGRAM.get().is_some()
}

/// Whether rounds are kept for a report.
pub(super) fn wants_report() -> bool {
    PROGRAM.get().is_some_and(|program| program.run.report.is_some())
}

/// This rank's part of the report, as JSON; nothing where none is wanted.
pub(super) fn farewell() -> String {
    PROGRAM.get().filter(|program| program.run.report.is_some()).map(Program::part).unwrap_or_default()
}

impl Program {
    /// The first round: what is asked for on the command line, on every rank, and what ranks have opened before MPI_Init.
    fn begin(&self, wrong: Option<CallError>) -> Result<(), CallError> {
        let shared = self.session.shared();
        let wrong = wrong.or(self.find_layers()?);
        for (name, path, flags) in std::mem::take(&mut *lock(&EARLY)) {
            lock(&self.told).insert(name);
            self.record(&path, flags, "before MPI_Init");
        }
        for library in &self.run.load {
            // As if somebody waited: every rank asks for them, and one will say what has become of them.
            let request = record::library(library, OpenFlags::NOW)?;
            shared.ask([Pending { ticket: Some(NOBODY), ..Pending::here(request) }]);
        }
        self.session.serve_unless(wrong)?;
        super::call::Call::begin_native_sync(shared).and_then(|call| self.session.finish(call))?;
        self.say_missing();
        if self.session.rank() == 0 {
            for module in &self.run.import {
                shared.ask([Pending::here(record::module(module)?)]);
            }
        }
        Ok(())
    }

    /// The layers of `--stack` count before anything travels. What is wrong with them is said once a job, and with `--strict` ends it; given
    /// back is why the ranks cannot go on together.
    fn find_layers(&self) -> Result<Option<CallError>, CallError> {
        let stack = match self.session.shared().roster.stacks.as_slice() {
            [(stack, _)] if !stack.is_empty() => stack,
            [] | [_] => return Ok(None),
            several => {
                let several = several.iter().map(|(stack, ranks)| match stack.as_str() {
                    "" => format!("none on {ranks}"),
                    stack => format!("{stack} on {ranks}"),
                });
                let several: Vec<String> = several.collect();
                let text = format!("--stack: the ranks were given different stacks: {}", several.join(", "));
                return Ok(Some(CallError::Invalid(text)));
            }
        };
        match self.session.activate_layers(Path::new(stack)) {
            Err(CallError::Undone(undone)) => self.say_undone("--stack", &[undone]),
            other => other?,
        }
        Ok(None)
    }

    /// A library of `--load` that is not everywhere is said once a job; with `--strict` it ends the job.
    fn say_missing(&self) {
        let missing = std::mem::take(&mut *lock(&self.missing));
        if !missing.is_empty() {
            self.say_undone("--load", &missing);
        }
    }

    fn say_undone(&self, option: &str, undone: &[Undone]) {
        if self.session.rank() == 0 {
            undone.iter().for_each(|undone| complain(&format!("{option}: {undone}")));
        }
        if self.run.strict {
            world::abort(REFUSED, self.session.rank() == 0);
        }
    }

    /// The request for an object that the program has opened; or why there is none.
    fn request(&self, path: &Path, flags: OpenFlags) -> Result<Request, Stays> {
        match self.policy.reason(path) {
            Reason::Excluded(glob) => return Err(Stays::Here(format!("excluded by {glob}"))),
            Reason::SelfOpened(rule) => return Err(Stays::Here(format!("of {}", rule.owner))),
            Reason::Included(_) | Reason::Unnamed => {}
        }
        if record::is_extension(path) {
            return Err(Stays::Here("extension module".into()));
        }
        let failed = |why: &str| Stays::Failed(format!("{} stays on this rank: {why}", path.display()));
        let text = path.to_str().ok_or_else(|| failed("its name is not UTF-8, and names travel as UTF-8"))?;
        record::library(text, flags).map(record::opened).map_err(|error| failed(&error.to_string()))
    }

    fn opened(&self, name: &Path, flags: OpenFlags, may_wait: bool) -> Verdict {
        let begun = Instant::now();
        lock(&self.told).insert(name.into());
        let path = &whole(name);
        let request = match self.request(path, flags) {
            Ok(request) => request,
            Err(Stays::Here(why)) => {
                self.note(path, "dlopen", why, false, begun, None);
                return Verdict::Settled;
            }
            Err(Stays::Failed(text)) => {
                let (verdict, said, error) = self.refused(path, text);
                self.note(path, "dlopen", said.into(), false, begun, error);
                return verdict;
            }
        };
        if !may_wait {
            self.session.shared().ask([Pending::here(request)]);
            self.note(path, "dlopen", "recorded".into(), false, begun, None);
            return Verdict::OnItsWay;
        }
        let known = super::asked::is_known(self.session.shared(), &request);
        let outcome = self.session.begin_native(request).and_then(|call| self.session.finish(call));
        let waited = !matches!(outcome, Err(CallError::Nested));
        let (verdict, said, error) = match outcome {
            Ok(outcome) => match outcome.own {
                Some(Own::Undone(undone)) => self.refused(path, undone.to_string()),
                Some(Own::Invalid(text)) => self.refused(path, text),
                _ => {
                    lock(&self.failed).remove(path);
                    (Verdict::Settled, if known { "known" } else { "committed" }, None)
                }
            },
            Err(CallError::Nested) => (Verdict::OnItsWay, "recorded", None),
            Err(error) if self.session.shared().refuse_ended().is_err() => self.abandoned(path, error.to_string()),
            Err(error) => self.refused(path, error.to_string()),
        };
        self.note(path, "dlopen", said.into(), waited, begun, error);
        verdict
    }

    fn refused(&self, path: &Path, text: String) -> (Verdict, &'static str, Option<String>) {
        let verdict = match self.run.strict {
            true => Verdict::Refused(text.clone()),
            // It may do next time.
            false => {
                self.tell(path, &text);
                Verdict::OnItsWay
            }
        };
        (verdict, "undone", Some(text))
    }

    /// A failure that the program does not notice is said; the same once more is no news.
    fn tell(&self, path: &Path, text: &str) {
        if lock(&self.failed).insert(path.into(), text.into()).as_deref() != Some(text) {
            complain(&format!("{text}{GOES_ON}"));
        }
    }

    /// The session has ended before its time, and why was said by the rank that has found out: the program is left alone from then on.
    fn abandoned(&self, path: &Path, text: String) -> (Verdict, &'static str, Option<String>) {
        let verdict = match self.run.strict {
            true => Verdict::Refused(text.clone()),
            false => {
                if !self.over.swap(true, Ordering::Relaxed) {
                    let (rank, path) = (self.session.rank(), path.display());
                    complain(&format!(
                        "rank {rank} goes on without the others: {path} stays its own, and what it opens from now on"
                    ));
                }
                Verdict::Settled
            }
        };
        (verdict, "undone", Some(text))
    }

    /// Roots of what is new: what they need comes with them.
    fn found(&self, new: &[PathBuf], own: &[PathBuf]) {
        let told = lock(&self.told).clone();
        let announced = std::mem::take(&mut *lock(&self.announced));
        for path in maps::roots(new, record::names) {
            if told.contains(&path) || own.contains(&path) {
                continue;
            }
            let named = |name: &Path| name == path || (name.components().count() == 1 && path.ends_with(name));
            let flags = announced.iter().find(|(name, _)| named(name)).map_or(OpenFlags::NOW, |(_, flags)| *flags);
            self.record(&whole(&path), flags, "link map");
            lock(&self.told).insert(path);
        }
    }

    /// What was opened without anybody waiting for the others.
    fn record(&self, path: &Path, flags: OpenFlags, seen: &'static str) {
        let (said, error) = match self.request(path, flags) {
            Ok(request) => {
                self.session.shared().ask([Pending::here(request)]);
                ("recorded".into(), None)
            }
            Err(Stays::Here(why)) => (why, None),
            Err(Stays::Failed(text)) => {
                self.tell(path, &text);
                ("undone".into(), Some(text))
            }
        };
        self.note(path, seen, said, false, Instant::now(), error);
    }

    /// What was opened since the library worker has looked.
    fn look_once_more(&self) {
        if !inside::is_inside() {
            super::jobs::tell_mapped();
        }
    }

    fn note(
        &self,
        path: &Path,
        seen: &'static str,
        outcome: String,
        waited: bool,
        begun: Instant,
        error: Option<String>,
    ) {
        // What libc, MPI and the system open for themselves is of no interest to anybody.
        if self.run.report.is_none() || matches!(self.policy.reason(path), Reason::SelfOpened(_)) {
            return;
        }
        let mut events = lock(&self.events);
        if events.len() < MOST_EVENTS {
            let (at, took) = ((begun - self.start).as_secs_f64(), begun.elapsed().as_secs_f64());
            let library = path.to_string_lossy().into_owned();
            events.push(Event { at, library, seen, outcome, waited, took, error });
        }
    }

    fn part(&self) -> String {
        let (rank, pid) = (self.session.rank(), std::process::id());
        let part = Part { rank, host: self.session.host_of(rank), pid, events: &lock(&self.events) };
        serde_json::to_string(&part).unwrap_or_default()
    }

    fn write(&self, file: &Path, parts: &[(u32, String)]) -> std::io::Result<()> {
        let own = (0, self.part());
        let mut parts: Vec<&(u32, String)> = std::iter::once(&own).chain(parts).collect();
        parts.sort_by_key(|(rank, _)| *rank);
        parts.dedup_by_key(|(rank, _)| *rank);
        let ranks: Vec<&str> = parts.iter().map(|(_, part)| part.as_str()).filter(|part| !part.is_empty()).collect();
        let rounds = serde_json::to_string(&service::history(self.session.shared())).unwrap_or_default();
        let (size, policy) = (self.session.size(), self.run.policy);
        let text = format!(
            "{{\"version\":1,\"size\":{size},\"policy\":\"{policy}\",\"rounds\":{rounds},\"ranks\":[{}]}}\n",
            ranks.join(",")
        );
        std::fs::write(file, text)
    }
}

impl Session {
    /// A call that waits for libraries only: the return of a dlopen is a safe point for nothing else.
    fn begin_native(&self, request: Request) -> Result<super::call::Call, CallError> {
        super::call::Call::begin_native(&self.shared, request)
    }
}
