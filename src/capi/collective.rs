//! Sessions and collective calls.

use std::ffi::{CString, c_char, c_void};
use std::sync::LazyLock;

use super::translate::{
    self, LAST_ERROR, LAST_REPORT, c_text, carry_out, fail, invalid, options, put, report, run, say, session_to_call,
    text,
};
use super::types::*;
use crate::comm::mpi::UserComm;
use crate::config::Mode;
use crate::request::{OpenFlags, Request};
use crate::session::{CallError, Session, attach, record};

/// The version of the library, "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The MPI that the library was built with, "Open MPI 4.1.4".
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_mpi() -> *const c_char {
    static TEXT: LazyLock<CString> = LazyLock::new(|| c_text(crate::vendor::BUILT_WITH));
    TEXT.as_ptr()
}

/// What went wrong in the last call of this thread that went wrong; valid until the next dlcast call of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}

/// What the last collective call of this thread did, as JSON: {"rounds", "committed": [{"kind", "name", "path",
/// "identity", "ranks"}], "undone": [{"kind", "name", "size", "error", "failures": [{"ranks", "hosts", "phase", "message",
/// "traceback"}], "ranks"}], "copies": [{"name", "rank", "host", "paths"}], "skipped": [{"kind", "name", "ranks", "hosts"}]
/// (in service mode: these ranks have no Python to do it with), "own": null or {"outcome", "path", "handle", "index" (into
/// "undone")}}. After DLCAST_TIMEOUT and a DLCAST_BROKEN that follows from it: {"missing": [{"rank", "host"}],
/// "behind", "phase", "what", "waited_ms"}. Valid until the next dlcast call of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_last_report() -> *const c_char {
    LAST_REPORT.with(|last| last.borrow().as_ptr())
}

/// The session of a communicator: the one that is cached on it, else a new one. Collective over the communicator the
/// first time, local afterwards. Initialises MPI where nobody has. DLCAST_INVALID where it would have to wait inside a
/// constructor or callback.
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
        let session = translate::session(session, -1.0)?;
        let number = |value: u32| i32::try_from(value).map_err(|_| invalid("too many ranks"));
        // SAFETY: as this function asks.
        unsafe {
            put(rank, number(session.rank())?, "rank")?;
            put(size, number(session.size())?, "size")?;
        }
        Ok(DLCAST_OK)
    })
}

/// The mode of the session: DLCAST_COLLECTIVE or DLCAST_SERVICE. Local.
///
/// # Safety
/// `mode` points to an integer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_session_mode(session: dlcast_session, mode: *mut i32) -> dlcast_status {
    run(|| {
        let has = match translate::session(session, -1.0)?.mode() {
            Mode::Collective => DLCAST_COLLECTIVE,
            Mode::Service => DLCAST_SERVICE,
        };
        // SAFETY: as this function asks.
        unsafe { put(mode, has, "mode")? };
        Ok(DLCAST_OK)
    })
}

/// This rank says goodbye to all sessions in service mode: it makes no more calls, and serves on until every rank has said
/// goodbye, or one does not answer. MPI_Finalize does the same; a program whose import worker ends before that
/// calls this first. Does nothing where there is no such session.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_leave() -> dlcast_status {
    run(|| {
        attach::leave();
        Ok(DLCAST_OK)
    })
}

/// Loads a library on every rank. Collective; ranks may name different libraries or make another collective call: all end
/// with the union. flags: as for dlopen; 0 means RTLD_NOW|RTLD_LOCAL. handle, if not null, receives a handle for dlsym
/// and dlclose. With DLCAST_NESTED the library is open on this rank alone so far, and handle is good; where it cannot be
/// opened here, handle is null, dlcast_last_error says why, and the round will fail it on all ranks.
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
        let (session, sound) = session_to_call(session, timeout)?;
        // SAFETY: as this function asks.
        let path = sound.and_then(|()| unsafe { text(path, "path") });
        let wanted = path.and_then(|path| Ok((path, translate::flags(flags)?)));
        let request = wanted.as_ref().map_err(Clone::clone).and_then(|(path, flags)| record::library(path, *flags));
        let (status, raw) = match (session.begin(Some(record::or_invalid(request)), None), wanted) {
            (Ok(call), _) => report(&session.finish(call)?),
            (Err(CallError::Nested), Ok((path, flags))) => opened_here(&session, path, flags),
            (Err(error), _) => return Err(error),
        };
        if !handle.is_null() {
            // SAFETY: as this function asks.
            unsafe { put(handle, raw, "handle")? };
        }
        Ok(status)
    })
}

/// What a load that must not wait comes to: the library, open on this rank.
fn opened_here(session: &Session, path: &str, flags: OpenFlags) -> (dlcast_status, *mut c_void) {
    let status = fail(&CallError::Nested);
    // One handle stays dlcast's, so that the caller's dlclose unloads nothing before the round.
    match session.open_here(path, flags).and_then(|_kept| session.open_here(path, flags)) {
        Ok(library) => (status, library.into_raw()),
        Err(error) => {
            say(&format!("{}, which will fail it: {error}", CallError::Nested));
            (status, std::ptr::null_mut())
        }
    }
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
        let (session, sound) = session_to_call(session, timeout)?;
        // SAFETY: as this function asks.
        let module = sound.and_then(|()| unsafe { text(module, "module") });
        carry_out(&session, module.and_then(record::module))
    })
}

/// Turns a session to service mode: from now on every verb is one-sided, called by any rank, any thread, at any time; threads of
/// the other ranks take part. Collective; as DLCAST_SERVICE at dlcast_attach. DLCAST_MPI where MPI provides less than
/// MPI_THREAD_MULTIPLE: the session stays in collective mode.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_serve(session: dlcast_session, timeout: f64) -> dlcast_status {
    run(|| {
        translate::session(session, timeout)?.serve()?;
        Ok(DLCAST_OK)
    })
}

/// Agrees on all that any rank has recorded, and does it. Collective; in service mode it waits for what this rank has
/// recorded, and for no other rank to call it. What failed is in dlcast_last_report, and no error of this call.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_sync(session: dlcast_session, timeout: f64) -> dlcast_status {
    run(|| {
        let (session, sound) = session_to_call(session, timeout)?;
        let request = sound.err().map(|error| Request::Invalid { message: error.to_string() });
        Ok(report(&session.finish(session.begin(request, None)?)?).0)
    })
}
