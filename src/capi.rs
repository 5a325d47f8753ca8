//! The C ABI of `libdlcast.so`; `include/dlcast.h` is generated from this file.
//!
//! It translates: pointers into values, errors into status codes and texts. It decides nothing. Handles are numbers, so
//! that a stale one is an error and not a crash.

#![allow(non_camel_case_types)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::comm::mpi::UserComm;
use crate::config::{Mode, Timeout};
use crate::error::Phase;
use crate::importer::{self, ImportJob};
use crate::outcome::Failure;
use crate::request::{OpenFlags, Request};
use crate::session::attach;
use crate::session::call::{Call, Outcome, Own, Step};
use crate::session::record::{self, Recording};
use crate::session::{CallError, Ended, Options, Session};

/// What a call came to: one of the DLCAST_ codes below. Everything but DLCAST_OK and DLCAST_JOB leaves a text in
/// dlcast_last_error.
pub type dlcast_status = i32;
/// A session. Handles are never used twice in a process.
pub type dlcast_session = i64;
/// A collective call that its caller steps.
pub type dlcast_call = i64;
/// A block whose dlopens are being recorded.
pub type dlcast_recording = i64;

/// All went well.
pub const DLCAST_OK: i32 = 0;
/// A request of this call failed on some rank and is undone on all.
pub const DLCAST_UNDONE: i32 = 1;
/// The deadline passed in this call; the session is unusable from now on.
pub const DLCAST_TIMEOUT: i32 = 2;
/// The session became unusable earlier, or no session has this handle.
pub const DLCAST_BROKEN: i32 = 3;
/// A bad argument or setting. In a collective call this rank has taken part all the same, so that nobody waits for it.
pub const DLCAST_INVALID: i32 = 4;
/// MPI reported an error, has been finalised, or is another MPI; or another rank runs another dlcast.
pub const DLCAST_MPI: i32 = 5;
/// Called from inside a constructor or a module body that a call of the same session runs: recorded, not waited for.
pub const DLCAST_NESTED: i32 = 6;
/// dlcast_call_step, dlcast_import_next: there is a job to do.
pub const DLCAST_JOB: i32 = 100;

/// The communicator argument that means MPI_COMM_WORLD.
pub const DLCAST_COMM_WORLD: i32 = i32::MIN;

/// Mode: DLCAST_MODE in the environment, by default collective.
pub const DLCAST_DEFAULT_MODE: i32 = -1;
/// Mode: every rank makes the calls itself.
pub const DLCAST_COLLECTIVE: i32 = 0;
/// Mode: threads take part for ranks that do not call. Not in this version.
pub const DLCAST_SERVICE: i32 = 1;

/// A call without a request of its own.
pub const DLCAST_VERB_SYNC: i32 = 0;
/// name: a path or bare name.
pub const DLCAST_VERB_LOAD: i32 = 1;
/// name: a module.
pub const DLCAST_VERB_IMPORT: i32 = 2;
/// name: what is wrong with the arguments. The call takes part in the round, so that nobody waits for this rank, with a
/// request that fails.
pub const DLCAST_VERB_INVALID: i32 = 3;

/// Import the module.
pub const DLCAST_JOB_IMPORT: i32 = 1;
/// Every rank has imported it.
pub const DLCAST_JOB_COMMIT: i32 = 2;
/// Some rank could not: take it out again.
pub const DLCAST_JOB_UNDO: i32 = 3;

/// Work for a Python interpreter.
#[repr(C)]
pub struct dlcast_job {
    /// DLCAST_JOB_IMPORT, DLCAST_JOB_COMMIT or DLCAST_JOB_UNDO.
    pub kind: i32,
    /// The module's name in UTF-8; valid until the next dlcast call of this thread.
    pub name: *const c_char,
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
    static LAST_REPORT: RefCell<CString> = RefCell::default();
    static LAST_NAME: RefCell<CString> = RefCell::default();
}

static HANDLES: AtomicI64 = AtomicI64::new(1);
static CALLS: LazyLock<Mutex<HashMap<i64, Call>>> = LazyLock::new(Mutex::default);
static RECORDINGS: LazyLock<Mutex<HashMap<i64, Recording>>> = LazyLock::new(Mutex::default);

fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}

fn say(text: &str) {
    LAST_ERROR.with(|last| *last.borrow_mut() = c_text(text));
}

fn leave_report(report: &Value) {
    LAST_REPORT.with(|last| *last.borrow_mut() = c_text(&report.to_string()));
}

fn fail(error: &CallError) -> dlcast_status {
    say(&error.to_string());
    let (status, report) = match error {
        CallError::Undone(undone) => (DLCAST_UNDONE, json!({ "undone": [undone] })),
        CallError::Deadline(missed) => (DLCAST_TIMEOUT, json!(missed)),
        CallError::Ended(Ended::Missed(missed)) => (DLCAST_BROKEN, json!(missed)),
        CallError::Ended(_) => (DLCAST_BROKEN, json!({})),
        CallError::Invalid(_) => (DLCAST_INVALID, json!({})),
        CallError::Nested => (DLCAST_NESTED, json!({})),
        CallError::Comm(_) | CallError::Wire(_) => (DLCAST_MPI, json!({})),
    };
    leave_report(&report);
    status
}

/// Runs the body of a C function: errors become a status, a panic does not cross into C.
fn run(body: impl FnOnce() -> Result<dlcast_status, CallError>) -> dlcast_status {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => fail(&error),
        Err(_) => {
            say("internal error in dlcast; see the panic message on stderr");
            DLCAST_INVALID
        }
    }
}

fn invalid(text: impl Into<String>) -> CallError {
    CallError::Invalid(text.into())
}

/// # Safety
/// `text` is null or a C string that lives during the call.
unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, CallError> {
    if text.is_null() {
        return Err(invalid(format!("{what} is a null pointer")));
    }
    // SAFETY: the C caller's word.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| invalid(format!("{what} is not UTF-8")))
}

/// # Safety
/// `place` is null or points to a writable `T`.
unsafe fn put<T>(place: *mut T, value: T, what: &str) -> Result<(), CallError> {
    if place.is_null() {
        return Err(invalid(format!("{what} is a null pointer")));
    }
    // SAFETY: the C caller's word.
    unsafe { place.write(value) };
    Ok(())
}

fn options(mode: i32, timeout: f64) -> Result<Options, CallError> {
    let mode = match mode {
        DLCAST_DEFAULT_MODE => None,
        DLCAST_COLLECTIVE => Some(Mode::Collective),
        DLCAST_SERVICE => Some(Mode::Service),
        other => return Err(invalid(format!("{other} is no mode"))),
    };
    Ok(Options { mode, timeout: Timeout::from_seconds(timeout).map_err(invalid)? })
}

fn session(handle: dlcast_session, timeout: f64) -> Result<Session, CallError> {
    Session::by_id(u64::try_from(handle).unwrap_or(0), options(DLCAST_DEFAULT_MODE, timeout)?)
}

fn flags(bits: i32) -> Result<OpenFlags, CallError> {
    OpenFlags::from_bits(bits).ok_or_else(|| {
        invalid(format!(
            "dlopen flags {bits:#x}: only RTLD_LAZY, RTLD_NOW, RTLD_GLOBAL, RTLD_NODELETE and RTLD_DEEPBIND make sense on all ranks"
        ))
    })
}

fn report(outcome: &Outcome) -> (dlcast_status, *mut c_void) {
    let mut value = json!(outcome.sync);
    let (status, own, handle) = match &outcome.own {
        None => (DLCAST_OK, Value::Null, std::ptr::null_mut()),
        Some(Own::Library(library)) => {
            let handle = library.raw_handle();
            let path = library.path().to_string_lossy();
            (DLCAST_OK, json!({ "outcome": "committed", "path": path, "handle": handle.addr() }), handle)
        }
        Some(Own::Module(name)) => (DLCAST_OK, json!({ "outcome": "committed", "name": name }), std::ptr::null_mut()),
        Some(Own::Invalid(message)) => {
            say(message);
            (DLCAST_INVALID, json!({ "outcome": "invalid", "error": message }), std::ptr::null_mut())
        }
        Some(Own::Undone(undone)) => {
            say(&undone.to_string());
            let own = json!({ "outcome": "undone", "index": outcome.sync.undone.iter().position(|request| request.undone == *undone) });
            (DLCAST_UNDONE, own, std::ptr::null_mut())
        }
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("own".into(), own);
    }
    leave_report(&value);
    (status, handle)
}

/// The version of the library, "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The MPI that the library was built with, "Open MPI 4.1.4".
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_mpi() -> *const c_char {
    static TEXT: LazyLock<CString> = LazyLock::new(|| c_text(crate::comm::mpi::world::built_with()));
    TEXT.as_ptr()
}

/// What went wrong in the last call of this thread that went wrong; valid until the next dlcast call of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}

/// What the last collective call of this thread did, as JSON: {"rounds", "committed": [{"kind", "name", "path",
/// "identity", "ranks"}], "undone": [{"kind", "name", "size", "error", "failures": [{"ranks", "hosts", "phase", "message",
/// "traceback"}], "ranks"}], "copies": [{"name", "rank", "host", "paths"}], "own": null or {"outcome", "path", "handle",
/// "index" (into "undone")}}. After DLCAST_TIMEOUT and a DLCAST_BROKEN that follows from it: {"missing": [{"rank", "host"}],
/// "behind", "phase", "what", "waited_ms"}. Valid until the next dlcast call of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_last_report() -> *const c_char {
    LAST_REPORT.with(|last| last.borrow().as_ptr())
}

/// The session of a communicator: the one that is cached on it, else a new one. Collective over the communicator the
/// first time, local afterwards. Initialises MPI where nobody has.
///
/// comm: as MPI_Comm_c2f gives it, or DLCAST_COMM_WORLD. timeout, here and below: seconds that may be spent waiting for
/// other ranks; negative: DLCAST_TIMEOUT in the environment, by default 120; INFINITY: no deadline.
///
/// # Safety
/// `session` points to a dlcast_session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_attach(
    comm: i32,
    mode: i32,
    timeout: f64,
    session: *mut dlcast_session,
) -> dlcast_status {
    run(|| {
        let options = options(mode, timeout)?;
        // A Fortran handle means something only once MPI is up.
        attach::prepare()?;
        let comm = if comm == DLCAST_COMM_WORLD { UserComm::world() } else { UserComm::from_fortran(comm) };
        let attached = Session::attach(comm, options)?;
        let handle = dlcast_session::try_from(attached.id()).map_err(|_| invalid("too many sessions"))?;
        // SAFETY: as this function asks.
        unsafe { put(session, handle, "session")? };
        Ok(DLCAST_OK)
    })
}

/// Rank and size of the session's communicator. Local.
///
/// # Safety
/// `rank` and `size` point to integers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_session_info(session: dlcast_session, rank: *mut i32, size: *mut i32) -> dlcast_status {
    run(|| {
        let session = self::session(session, -1.0)?;
        let number = |value: u32| i32::try_from(value).map_err(|_| invalid("too many ranks"));
        // SAFETY: as this function asks.
        unsafe {
            put(rank, number(session.rank())?, "rank")?;
            put(size, number(session.size())?, "size")?;
        }
        Ok(DLCAST_OK)
    })
}

/// Loads a library on every rank. Collective; ranks may name different libraries or make another collective call: all end
/// with the union. flags: as for dlopen; 0 means RTLD_NOW|RTLD_LOCAL. handle, if not null, receives a handle for dlsym
/// and dlclose.
///
/// # Safety
/// `path` is a C string; `handle` is null or points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_load_global(
    session: dlcast_session,
    path: *const c_char,
    flags: i32,
    timeout: f64,
    handle: *mut *mut c_void,
) -> dlcast_status {
    run(|| {
        let session = self::session(session, timeout)?;
        // SAFETY: as this function asks.
        let path = unsafe { text(path, "path") };
        let request = record::or_invalid(path.and_then(|path| record::library(path, self::flags(flags)?)));
        let (status, raw) = report(&session.finish(session.begin(Some(request), None)?)?);
        if !handle.is_null() {
            // SAFETY: as this function asks.
            unsafe { put(handle, raw, "handle")? };
        }
        Ok(status)
    })
}

/// Imports a Python module on every rank. Collective. The process needs a Python whose import worker runs
/// (dlcast.serve_imports() in Python), and the calling thread must not hold the GIL.
///
/// # Safety
/// `module` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_import_global(
    session: dlcast_session,
    module: *const c_char,
    timeout: f64,
) -> dlcast_status {
    run(|| {
        let session = self::session(session, timeout)?;
        // SAFETY: as this function asks.
        let request = record::or_invalid(unsafe { text(module, "module") }.and_then(record::module));
        Ok(report(&session.finish(session.begin(Some(request), None)?)?).0)
    })
}

/// Agrees on all that any rank has recorded, and does it. Collective. What failed is in dlcast_last_report, and no error
/// of this call.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_sync(session: dlcast_session, timeout: f64) -> dlcast_status {
    run(|| {
        let session = self::session(session, timeout)?;
        Ok(report(&session.finish(session.begin(None, None)?)?).0)
    })
}

/// Records a library for the next round. Local: nothing is opened, nothing waited for.
///
/// # Safety
/// `path` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_record_library(
    session: dlcast_session,
    path: *const c_char,
    flags: i32,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let path = unsafe { text(path, "path")? };
        self::session(session, -1.0)?.record_library(path, self::flags(flags)?)?;
        Ok(DLCAST_OK)
    })
}

/// Records a Python module for the next round. Local.
///
/// # Safety
/// `module` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_record_module(session: dlcast_session, module: *const c_char) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let module = unsafe { text(module, "module")? };
        self::session(session, -1.0)?.record_module(module)?;
        Ok(DLCAST_OK)
    })
}

/// Begins to observe which libraries are opened, by whomever: the difference of the link maps. Local.
///
/// # Safety
/// `recording` points to a dlcast_recording.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_recording_begin(
    session: dlcast_session,
    recording: *mut dlcast_recording,
) -> dlcast_status {
    run(|| {
        let begun = Recording::begin(&self::session(session, -1.0)?);
        let handle = HANDLES.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as this function asks.
        unsafe { put(recording, handle, "recording")? };
        RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, begun);
        Ok(DLCAST_OK)
    })
}

fn with_recording(
    handle: dlcast_recording,
    body: impl FnOnce(&mut Recording) -> Result<(), CallError>,
) -> dlcast_status {
    run(|| {
        let mut recordings = RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner);
        let recording = recordings.get_mut(&handle).ok_or_else(|| invalid("no recording has this handle"))?;
        body(recording).map(|()| DLCAST_OK)
    })
}

/// An explicit dlopen whose flags are known.
///
/// # Safety
/// `path` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_recording_opened(
    recording: dlcast_recording,
    path: *const c_char,
    flags: i32,
) -> dlcast_status {
    // SAFETY: as this function asks.
    with_recording(recording, |recording| recording.opened(unsafe { text(path, "path")? }, self::flags(flags)?))
}

/// What is opened from here to the matching dlcast_recording_cover_end belongs to a module request.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_recording_cover_begin(recording: dlcast_recording) -> dlcast_status {
    with_recording(recording, |recording| {
        recording.cover_begin();
        Ok(())
    })
}

/// Ends what dlcast_recording_cover_begin began.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_recording_cover_end(recording: dlcast_recording) -> dlcast_status {
    with_recording(recording, |recording| {
        recording.cover_end();
        Ok(())
    })
}

/// A module that was imported while recording.
///
/// # Safety
/// `module` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_recording_module(recording: dlcast_recording, module: *const c_char) -> dlcast_status {
    // SAFETY: as this function asks.
    with_recording(recording, |recording| recording.module(unsafe { text(module, "module")? }))
}

/// Ends a recording. keep 1: what was seen is recorded for the next round; 0: forgotten.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_recording_end(recording: dlcast_recording, keep: i32) -> dlcast_status {
    run(|| {
        let ended = RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner).remove(&recording);
        let ended = ended.ok_or_else(|| invalid("no recording has this handle"))?;
        if keep != 0 {
            ended.end()?;
        }
        Ok(DLCAST_OK)
    })
}

/// Begins a collective call that the caller steps, because it does its imports itself. verb: DLCAST_VERB_SYNC and so on;
/// name: as the verb says, null for DLCAST_VERB_SYNC. Nothing is sent yet.
///
/// # Safety
/// `name` is null or a C string; `call` points to a dlcast_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_call_begin(
    session: dlcast_session,
    verb: i32,
    name: *const c_char,
    flags: i32,
    timeout: f64,
    call: *mut dlcast_call,
) -> dlcast_status {
    run(|| {
        let session = self::session(session, timeout)?;
        // SAFETY: as this function asks.
        let name = || unsafe { text(name, "name") };
        let request = match verb {
            DLCAST_VERB_SYNC => None,
            DLCAST_VERB_LOAD => {
                Some(record::or_invalid(name().and_then(|name| record::library(name, self::flags(flags)?))))
            }
            DLCAST_VERB_IMPORT => Some(record::or_invalid(name().and_then(record::module))),
            // The caller knows what is wrong and raises it: the call itself is a sync that takes the bad request along.
            DLCAST_VERB_INVALID => {
                session.add(Request::Invalid { message: name()?.into() })?;
                None
            }
            other => return Err(invalid(format!("{other} is no verb"))),
        };
        if call.is_null() {
            return Err(invalid("call is a null pointer"));
        }
        let begun = session.begin(request, None)?;
        let handle = HANDLES.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as this function asks.
        unsafe { put(call, handle, "call")? };
        CALLS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, begun);
        Ok(DLCAST_OK)
    })
}

/// Goes on until there is an import to do (DLCAST_JOB), or to the end: any other status, after which the handle is gone.
/// Blocks while other ranks are waited for.
///
/// # Safety
/// `job` points to a dlcast_job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_call_step(call: dlcast_call, job: *mut dlcast_job) -> dlcast_status {
    run(|| {
        let taken = CALLS.lock().unwrap_or_else(PoisonError::into_inner).remove(&call);
        let mut taken = taken.ok_or_else(|| invalid("no call has this handle"))?;
        match taken.step() {
            Step::Done(outcome) => Ok(report(&(*outcome)?).0),
            Step::Job(work) => {
                CALLS.lock().unwrap_or_else(PoisonError::into_inner).insert(call, taken);
                // SAFETY: as this function asks.
                unsafe { put(job, c_job(&work), "job")? };
                Ok(DLCAST_JOB)
            }
        }
    })
}

fn c_job(job: &ImportJob) -> dlcast_job {
    let kind = match job {
        ImportJob::Import(_) => DLCAST_JOB_IMPORT,
        ImportJob::Commit(_) => DLCAST_JOB_COMMIT,
        ImportJob::Undo(_) => DLCAST_JOB_UNDO,
    };
    let name = LAST_NAME.with(|last| {
        *last.borrow_mut() = c_text(job.name());
        last.borrow().as_ptr()
    });
    dlcast_job { kind, name }
}

/// # Safety
/// Both are null or C strings.
unsafe fn import_answer(message: *const c_char, traceback: *const c_char) -> Result<(), Failure> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the C caller's word.
    let lossy = |text: *const c_char| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    let traceback = (!traceback.is_null()).then(|| lossy(traceback));
    Err(Failure { phase: Phase::Import, ..Failure::import(lossy(message), traceback) })
}

/// Answers the job that dlcast_call_step gave. message: null for success, else what went wrong; traceback may be null.
///
/// # Safety
/// Both are null or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_call_answer(
    call: dlcast_call,
    message: *const c_char,
    traceback: *const c_char,
) -> dlcast_status {
    run(|| {
        let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
        let call = calls.get_mut(&call).ok_or_else(|| invalid("no call has this handle"))?;
        // SAFETY: as this function asks.
        call.answer(unsafe { import_answer(message, traceback) });
        Ok(DLCAST_OK)
    })
}

/// For a thread that Python made: the next import that a native caller of this process asks for (DLCAST_JOB), or DLCAST_OK
/// when timeout seconds passed without one.
///
/// # Safety
/// `job` points to a dlcast_job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_import_next(timeout: f64, job: *mut dlcast_job) -> dlcast_status {
    run(|| {
        let patience = Duration::try_from_secs_f64(timeout).map_err(|_| invalid("timeout is no number of seconds"))?;
        match importer::next(patience) {
            // SAFETY: as this function asks.
            Some(work) => unsafe { put(job, c_job(&work), "job") }.map(|()| DLCAST_JOB),
            None => Ok(DLCAST_OK),
        }
    })
}

/// Answers the job that dlcast_import_next gave; see dlcast_call_answer.
///
/// # Safety
/// Both are null or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_import_answer(message: *const c_char, traceback: *const c_char) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        importer::answer(unsafe { import_answer(message, traceback) });
        Ok(DLCAST_OK)
    })
}
