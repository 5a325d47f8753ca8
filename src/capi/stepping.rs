//! Collective calls that their caller steps, because it imports modules itself; and the queue of an import worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::callbacks::callback_request;
use super::translate::{self, c_text, invalid, put, report, run, session_to_call, text};
use super::types::*;
use crate::code::Payload;
use crate::error::Phase;
use crate::importer::{self, ImportJob};
use crate::outcome::Failure;
use crate::request::Request;
use crate::session::call::{Call, Step};
use crate::session::{CallError, Session, record};

thread_local! {
    static LAST_NAME: RefCell<CString> = RefCell::default();
    static LENT: RefCell<Payload> = RefCell::default();
    static READ: RefCell<Payload> = RefCell::default();
}

/// A name that lives until the next dlcast call of this thread.
pub(super) fn last_name(name: &str) -> *const c_char {
    LAST_NAME.with(|last| {
        *last.borrow_mut() = c_text(name);
        last.borrow().as_ptr()
    })
}

/// A job's payload, which lives until the next job is given to this thread.
fn lend(payload: &Payload) -> (*const c_void, usize) {
    LENT.with(|lent| hold(lent, payload))
}

/// A payload that lives until this thread reads the next one.
pub(super) fn lend_read(payload: &Payload) -> (*const c_void, usize) {
    READ.with(|read| hold(read, payload))
}

fn hold(place: &RefCell<Payload>, payload: &Payload) -> (*const c_void, usize) {
    *place.borrow_mut() = payload.clone();
    (place.borrow().as_ptr().cast(), payload.len())
}

static HANDLES: AtomicI64 = AtomicI64::new(1);
static CALLS: LazyLock<Mutex<HashMap<i64, Call>>> = LazyLock::new(Mutex::default);

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
        let (session, sound) = session_to_call(session, timeout)?;
        // SAFETY: as this function asks.
        let name = || unsafe { text(name, "name") };
        let request = match verb {
            _ if sound.is_err() => sound.err().map(|error| Request::Invalid { message: error.to_string() }),
            DLCAST_VERB_SYNC => None,
            DLCAST_VERB_LOAD => {
                Some(record::or_invalid(name().and_then(|name| record::library(name, translate::flags(flags)?))))
            }
            DLCAST_VERB_IMPORT => Some(record::or_invalid(name().and_then(record::module))),
            DLCAST_VERB_UNLOAD => Some(record::or_invalid(name().and_then(record::unload))),
            // The caller knows what is wrong and raises it: the call itself is a sync that takes the bad request along.
            DLCAST_VERB_INVALID => {
                session.add(Request::Invalid { message: name()?.into() })?;
                None
            }
            other => return Err(invalid(format!("{other} is no verb"))),
        };
        // SAFETY: as this function asks.
        unsafe { begin(&session, request, call) }
    })
}

/// # Safety
/// `call` is null or points to a dlcast_call.
unsafe fn begin(
    session: &Session,
    request: Option<Request>,
    call: *mut dlcast_call,
) -> Result<dlcast_status, CallError> {
    if call.is_null() {
        return Err(invalid("call is a null pointer"));
    }
    let begun = session.begin(request, None)?;
    let handle = HANDLES.fetch_add(1, Ordering::Relaxed);
    // SAFETY: as this function asks.
    unsafe { put(call, handle, "call")? };
    CALLS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, begun);
    Ok(DLCAST_OK)
}

/// As dlcast_call_begin, for what dlcast_register_code does.
///
/// # Safety
/// `code` points to `code_length` bytes, `payload` to `length`; `call` points to a dlcast_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_call_begin_register(
    session: dlcast_session,
    code: *const c_void,
    code_length: usize,
    payload: *const c_void,
    length: usize,
    tag: u64,
    timeout: f64,
    call: *mut dlcast_call,
) -> dlcast_status {
    run(|| {
        let (session, sound) = session_to_call(session, timeout)?;
        // SAFETY: as this function asks.
        let request = sound.and_then(|()| unsafe { callback_request(code, code_length, payload, length, tag) });
        // SAFETY: as this function asks.
        unsafe { begin(&session, Some(record::or_invalid(request)), call) }
    })
}

/// Goes on until there is an import to do (DLCAST_JOB), or to the end: any other status, after which the handle is gone.
/// Blocks while other ranks are waited for.
///
/// # Safety
/// `job` points to a dlcast_job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_call_step(call: dlcast_call, job: *mut dlcast_job) -> dlcast_status {
    // SAFETY: as this function asks.
    run(|| unsafe { step(call, None, job) })
}

/// As dlcast_call_step. In service mode it comes back with DLCAST_PENDING when `seconds` have passed without an answer; the
/// request is under way, and the handle stays good. (In collective mode a round is not left in the middle.)
///
/// # Safety
/// `job` points to a dlcast_job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_call_step_within(
    call: dlcast_call,
    seconds: f64,
    job: *mut dlcast_job,
) -> dlcast_status {
    run(|| {
        let patience = Duration::try_from_secs_f64(seconds).map_err(|_| invalid("seconds is no number of seconds"))?;
        // SAFETY: as this function asks.
        unsafe { step(call, Some(patience), job) }
    })
}

/// # Safety
/// `job` is null or points to a dlcast_job.
unsafe fn step(
    call: dlcast_call,
    patience: Option<Duration>,
    job: *mut dlcast_job,
) -> Result<dlcast_status, CallError> {
    let calls = || CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = calls().remove(&call);
    let mut taken = taken.ok_or_else(|| invalid("no call has this handle"))?;
    let step = match patience {
        None => Some(taken.step()),
        Some(patience) => taken.step_within(patience),
    };
    match step {
        Some(Step::Done(outcome)) => Ok(report(&(*outcome)?).0),
        Some(Step::Job(work)) => {
            let session = taken.session();
            calls().insert(call, taken);
            // SAFETY: as this function asks.
            unsafe { put(job, c_job(&work, session), "job")? };
            Ok(DLCAST_JOB)
        }
        None => {
            calls().insert(call, taken);
            Ok(DLCAST_PENDING)
        }
    }
}

/// In service mode: nobody waits for this call any more. Its request stays, and the handle is gone. A call in collective mode
/// has to be stepped to its end: left in the middle it makes the session unusable.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_call_drop(call: dlcast_call) -> dlcast_status {
    run(|| {
        let taken = CALLS.lock().unwrap_or_else(PoisonError::into_inner).remove(&call);
        taken.map(|_| DLCAST_OK).ok_or_else(|| invalid("no call has this handle"))
    })
}

fn c_job(job: &ImportJob, session: u64) -> dlcast_job {
    let nothing = Payload::default();
    let (kind, payload, tag) = match job {
        ImportJob::Import(_) => (DLCAST_JOB_IMPORT, &nothing, 0),
        ImportJob::Commit(_) => (DLCAST_JOB_COMMIT, &nothing, 0),
        ImportJob::Undo(_) => (DLCAST_JOB_UNDO, &nothing, 0),
        ImportJob::Revoke(_) => (DLCAST_JOB_REVOKE, &nothing, 0),
        ImportJob::Call { payload, tag, .. } => (DLCAST_JOB_CALL, payload, *tag),
    };
    let (address, length) = lend(payload);
    let session = dlcast_session::try_from(session).unwrap_or_default();
    dlcast_job { kind, name: last_name(job.name()), payload: address, length, tag, session }
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
            Some((work, session)) => {
                // SAFETY: as this function asks.
                unsafe { put(job, c_job(&work, session), "job") }.map(|()| DLCAST_JOB)
            }
            None => Ok(DLCAST_OK),
        }
    })
}

/// An import worker says that it serves (on: 1), or that it retires (0), after which dlcast_import_next comes back at once with
/// DLCAST_OK where it waits. Between the two it is not taken for gone, however long it waits for the GIL. Say it before
/// dlcast_attach in service mode: imports may be asked for as soon as the session is there.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_import_serve(on: i32) -> dlcast_status {
    run(|| {
        importer::enlist(on != 0);
        Ok(DLCAST_OK)
    })
}

/// Whether anybody still waits for the job that this thread has from dlcast_import_next: 1 or 0. In service mode a job that
/// takes longer than the session's deadline is given up.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_import_wanted() -> i32 {
    i32::from(importer::is_wanted())
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
