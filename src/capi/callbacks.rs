//! Callbacks: code that every process runs once; and taking a plugin's tasks away.

use std::ffi::{c_char, c_void};

use super::translate::{self, bytes, carry_out, code, invalid, run, session_to_call, text};
use super::types::*;
use crate::code::CodeRef;
use crate::request::Request;
use crate::session::{CallError, record};

/// # Safety
/// `code` points to `code_length` bytes, `payload` to `length`.
pub(super) unsafe fn callback_request(
    code_bytes: *const c_void,
    code_length: usize,
    payload: *const c_void,
    length: usize,
    tag: u64,
) -> Result<Request, CallError> {
    // SAFETY: as this function asks.
    let (code_bytes, payload) =
        unsafe { (bytes(code_bytes, code_length, "code")?, bytes(payload, length, "payload")?) };
    record::callback(code(code_bytes)?, payload, tag)
}

pub(super) fn of(function: *const c_void, signature: &str) -> Result<CodeRef, CallError> {
    if function.is_null() {
        return Err(invalid("the function pointer is null"));
    }
    CodeRef::of(function, signature).map_err(|error| invalid(error.to_string()))
}

/// Runs a callback (dlcast_callback of dlcast_plugin.h) once in every process, with the payload, and returns when all have
/// run it. Collective, as dlcast_load_global. The function is one of a library or of the main program, exported or not; a
/// rank that has not its library loads it first. It must not throw: in C++ give dlcast::callback_guard<&f>::call. The
/// payload is copied, and has at most 64 MiB.
///
/// At most once in a process for the same function, tag and payload. What it asks for in turn has been done when this
/// returns. DLCAST_UNDONE where it fails on any rank, with its message.
///
/// # Safety
/// `function` is a callback; `payload` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_register_global(
    session: dlcast_session,
    function: dlcast_global_callback,
    payload: *const c_void,
    length: usize,
    tag: u64,
    timeout: f64,
) -> dlcast_status {
    run(|| {
        let (session, sound) = session_to_call(session, timeout)?;
        let address = function.map_or(std::ptr::null(), |function| function as *const c_void);
        let request = sound.and_then(|()| {
            // SAFETY: as this function asks.
            let payload = unsafe { bytes(payload, length, "payload")? };
            record::callback(of(address, "")?, payload, tag)
        });
        carry_out(&session, request)
    })
}

/// As dlcast_register_global, for code that is a code reference (dlcast_code_of and so on). An empty payload means the
/// code's own.
///
/// # Safety
/// `code` points to `code_length` bytes, `payload` to `length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_register_code(
    session: dlcast_session,
    code: *const c_void,
    code_length: usize,
    payload: *const c_void,
    length: usize,
    tag: u64,
    timeout: f64,
) -> dlcast_status {
    run(|| {
        let (session, sound) = session_to_call(session, timeout)?;
        // SAFETY: as this function asks.
        let request = sound.and_then(|()| unsafe { callback_request(code, code_length, payload, length, tag) });
        carry_out(&session, request)
    })
}

/// Records code that every process is to run once, in the next round. Local; see dlcast_register_code.
///
/// # Safety
/// `code` points to `code_length` bytes, `payload` to `length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_record_code(
    session: dlcast_session,
    code: *const c_void,
    code_length: usize,
    payload: *const c_void,
    length: usize,
    tag: u64,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let request = unsafe { callback_request(code, code_length, payload, length, tag)? };
        translate::session(session, -1.0)?.add(request)?;
        Ok(DLCAST_OK)
    })
}

/// Takes a plugin's tasks away on every rank: their ids are stale from now on. The library stays mapped. Collective.
///
/// # Safety
/// `path` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_unload_global(
    session: dlcast_session,
    path: *const c_char,
    timeout: f64,
) -> dlcast_status {
    run(|| {
        let (session, sound) = session_to_call(session, timeout)?;
        // SAFETY: as this function asks.
        let path = sound.and_then(|()| unsafe { text(path, "path") });
        carry_out(&session, path.and_then(record::unload))
    })
}
