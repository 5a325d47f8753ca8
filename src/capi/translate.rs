//! Between C and Rust: pointers into values, errors into status codes, texts and reports.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_void};

use serde_json::{Value, json};

use super::types::*;
use crate::code::CodeRef;
use crate::config::{Mode, Timeout};
use crate::request::{OpenFlags, Request};
use crate::session::call::{Outcome, Own};
use crate::session::{CallError, Ended, Options, Session, record};
use crate::wire::WireError;

thread_local! {
    pub(super) static LAST_ERROR: RefCell<CString> = RefCell::default();
    pub(super) static LAST_REPORT: RefCell<CString> = RefCell::default();
}

pub(super) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}

pub(super) fn say(text: &str) {
    LAST_ERROR.with(|last| *last.borrow_mut() = c_text(text));
}

pub(super) fn leave_report(report: &Value) {
    LAST_REPORT.with(|last| *last.borrow_mut() = c_text(&report.to_string()));
}

pub(super) fn fail(error: &CallError) -> dlcast_status {
    say(&error.to_string());
    let (status, report) = match error {
        CallError::Undone(undone) => (DLCAST_UNDONE, json!({ "undone": [undone] })),
        CallError::Deadline(missed) => (DLCAST_TIMEOUT, json!(missed)),
        CallError::Ended(Ended::Missed(missed)) => (DLCAST_BROKEN, json!(missed)),
        CallError::Ended(_) => (DLCAST_BROKEN, json!({})),
        CallError::Invalid(_) | CallError::Wire(WireError::TooLarge(_)) => (DLCAST_INVALID, json!({})),
        CallError::Nested => (DLCAST_NESTED, json!({})),
        CallError::Busy => (DLCAST_BUSY, json!({})),
        CallError::Comm(_) | CallError::Wire(_) => (DLCAST_MPI, json!({})),
    };
    leave_report(&report);
    status
}

/// Runs the body of a C function: errors become a status, a panic does not cross into C.
pub(super) fn run(body: impl FnOnce() -> Result<dlcast_status, CallError>) -> dlcast_status {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => fail(&error),
        Err(_) => {
            say("internal error in dlcast; see the panic message on stderr");
            DLCAST_INVALID
        }
    }
}

pub(super) fn invalid(text: impl Into<String>) -> CallError {
    CallError::Invalid(text.into())
}

/// # Safety
/// `text` is null or a C string that lives during the call.
pub(super) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, CallError> {
    if text.is_null() {
        return Err(invalid(format!("{what} is a null pointer")));
    }
    // SAFETY: the C caller's word.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| invalid(format!("{what} is not UTF-8")))
}

/// # Safety
/// `place` is null or points to a writable `T`.
pub(super) unsafe fn put<T>(place: *mut T, value: T, what: &str) -> Result<(), CallError> {
    if place.is_null() {
        return Err(invalid(format!("{what} is a null pointer")));
    }
    // SAFETY: the C caller's word.
    unsafe { place.write(value) };
    Ok(())
}

pub(super) fn options(mode: i32, timeout: f64) -> Result<Options, CallError> {
    let mode = match mode {
        DLCAST_DEFAULT_MODE => None,
        DLCAST_COLLECTIVE => Some(Mode::Collective),
        DLCAST_SERVICE => Some(Mode::Service),
        other => return Err(invalid(format!("{other} is no mode"))),
    };
    Ok(Options { mode, timeout: Timeout::from_seconds(timeout).map_err(invalid)? })
}

/// The session for a collective call; a timeout that is none must not keep this rank from the round that the others are in.
pub(super) fn session_to_call(
    handle: dlcast_session,
    timeout: f64,
) -> Result<(Session, Result<(), CallError>), CallError> {
    match Timeout::from_seconds(timeout) {
        Ok(_) => Ok((session(handle, timeout)?, Ok(()))),
        Err(wrong) => Ok((session(handle, -1.0)?, Err(invalid(wrong)))),
    }
}

pub(super) fn session(handle: dlcast_session, timeout: f64) -> Result<Session, CallError> {
    Session::by_id(u64::try_from(handle).unwrap_or(0), options(DLCAST_DEFAULT_MODE, timeout)?)
}

pub(super) fn flags(bits: i32) -> Result<OpenFlags, CallError> {
    OpenFlags::from_bits(bits).ok_or_else(|| {
        invalid(format!(
            "dlopen flags {bits:#x}: only RTLD_LAZY, RTLD_NOW, RTLD_GLOBAL, RTLD_NODELETE and RTLD_DEEPBIND make sense on all ranks"
        ))
    })
}

/// A collective call to its end. A bad request takes part in the round as one that fails, so that nobody waits for this rank.
pub(super) fn carry_out(session: &Session, request: Result<Request, CallError>) -> Result<dlcast_status, CallError> {
    let call = session.begin(Some(record::or_invalid(request)), None)?;
    Ok(report(&session.finish(call)?).0)
}

pub(super) fn report(outcome: &Outcome) -> (dlcast_status, *mut c_void) {
    let sync = outcome.sync();
    let mut value = json!(sync);
    let (status, own, handle) = match &outcome.own {
        None => (DLCAST_OK, Value::Null, std::ptr::null_mut()),
        Some(Own::Library(library)) => {
            let handle = library.raw_handle();
            let path = library.path().to_string_lossy();
            (DLCAST_OK, json!({ "outcome": "committed", "path": path, "handle": handle.addr() }), handle)
        }
        Some(Own::Called | Own::Unloaded) => (DLCAST_OK, json!({ "outcome": "committed" }), std::ptr::null_mut()),
        Some(Own::Module(name)) => (DLCAST_OK, json!({ "outcome": "committed", "name": name }), std::ptr::null_mut()),
        Some(Own::Invalid(message)) => {
            say(message);
            (DLCAST_INVALID, json!({ "outcome": "invalid", "error": message }), std::ptr::null_mut())
        }
        Some(Own::Undone(undone)) => {
            say(&undone.to_string());
            let own = json!({ "outcome": "undone", "index": sync.undone.iter().position(|request| request.undone == *undone) });
            (DLCAST_UNDONE, own, std::ptr::null_mut())
        }
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("own".into(), own);
    }
    leave_report(&value);
    (status, handle)
}

/// # Safety
/// `bytes` is null or points to `length` bytes that live during the call.
pub(super) unsafe fn bytes<'a>(bytes: *const c_void, length: usize, what: &str) -> Result<&'a [u8], CallError> {
    match (bytes.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(invalid(format!("{what} is a null pointer"))),
        // SAFETY: the C caller's word.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) }),
    }
}

/// Reads a code reference that came from C, or from another rank.
pub(super) fn code(bytes: &[u8]) -> Result<CodeRef, CallError> {
    crate::wire::decode(bytes, u32::MAX).map_err(|error| invalid(format!("this is no code reference: {error}")))
}
