//! Callbacks, tasks, and code that other ranks can find.

use std::ffi::{c_char, c_void};

use super::translate::{self, invalid, put, report, run, session_to_call, text};
use super::types::*;
use crate::code::{CodeRef, Payload};
use crate::registry::Task;
use crate::request::Request;
use crate::session::{CallError, record};
use crate::task::TaskId;
use crate::wire;

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
    wire::decode(bytes, u32::MAX).map_err(|error| invalid(format!("this is no code reference: {error}")))
}

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

fn of(function: *const c_void, signature: &str) -> Result<CodeRef, CallError> {
    CodeRef::of(function, signature).map_err(|error| invalid(error.to_string()))
}

/// Runs a callback (dlcast_callback of dlcast_plugin.h) once in every process, with the payload, and returns when all have
/// run it. Collective, as dlcast_load_global. The function is one of a library or of the main program, exported or not; a
/// rank that has not its library loads it first. It must not throw (C++: dlcast::guard). The payload is copied.
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
        let request = record::or_invalid(request);
        Ok(report(&session.finish(session.begin(Some(request), None)?)?).0)
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
        let request = record::or_invalid(request);
        Ok(report(&session.finish(session.begin(Some(request), None)?)?).0)
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
        let request = record::or_invalid(path.and_then(record::unload));
        Ok(report(&session.finish(session.begin(Some(request), None)?)?).0)
    })
}

fn give(task: &Task, plugin: &str) -> dlcast_task {
    // The plugin's own C strings: a NUL stands behind each.
    dlcast_task {
        id: task.id.bits(),
        plugin: super::stepping::last_name(plugin),
        name: task.entry.name.as_ptr().cast(),
        signature: task.entry.signature.as_ptr().cast(),
        function: task.entry.function.as_ptr(),
    }
}

/// Finds a task by the names of plugin and task. Local.
///
/// # Safety
/// `plugin` and `name` are C strings; `task` points to a dlcast_task.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_task_find(
    session: dlcast_session,
    plugin: *const c_char,
    name: *const c_char,
    task: *mut dlcast_task,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let (plugin, name) = unsafe { (text(plugin, "plugin")?, text(name, "name")?) };
        let session = translate::session(session, -1.0)?;
        let found = session.tasks().find(plugin, name).map_err(|error| invalid(error.to_string()))?;
        // SAFETY: as this function asks.
        unsafe { put(task, give(&found, plugin), "task")? };
        Ok(DLCAST_OK)
    })
}

/// Finds a task by its id, which is the same on every rank. Local. A stale id is DLCAST_INVALID.
///
/// # Safety
/// `task` points to a dlcast_task.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_task_get(session: dlcast_session, id: u64, task: *mut dlcast_task) -> dlcast_status {
    run(|| {
        let session = translate::session(session, -1.0)?;
        let tasks = session.tasks();
        let found = tasks.get(TaskId::from_bits(id)).map_err(|error| invalid(error.to_string()))?;
        let plugin = tasks.plugins().find(|(number, ..)| *number == found.id.plugin()).map_or("", |(_, name, ..)| name);
        // SAFETY: as this function asks.
        unsafe { put(task, give(&found, plugin), "task")? };
        Ok(DLCAST_OK)
    })
}

/// Leaves the loaded plugins in dlcast_last_report: {"plugins": [{"number", "name", "version", "tasks"}]}. Local.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_plugins(session: dlcast_session) -> dlcast_status {
    run(|| {
        let session = translate::session(session, -1.0)?;
        let tasks = session.tasks();
        let plugins = tasks.plugins().map(|(number, name, version, tasks)| {
            serde_json::json!({ "number": number, "name": name, "version": version, "tasks": tasks })
        });
        translate::leave_report(&serde_json::json!({ "plugins": plugins.collect::<Vec<_>>() }));
        Ok(DLCAST_OK)
    })
}

/// # Safety
/// `out` is null or has room for `*length` bytes; `length` points to a number.
unsafe fn give_code(code: &CodeRef, out: *mut c_void, length: *mut usize) -> Result<dlcast_status, CallError> {
    let encoded = wire::encode(code);
    if length.is_null() {
        return Err(invalid("code_length is a null pointer"));
    }
    // SAFETY: as this function asks.
    let room = unsafe { length.replace(encoded.len()) };
    if out.is_null() {
        return Ok(DLCAST_OK);
    }
    if room < encoded.len() {
        return Err(invalid(format!("the code reference has {} bytes, and there is room for {room}", encoded.len())));
    }
    // SAFETY: as this function asks, and there is room.
    unsafe { std::ptr::copy_nonoverlapping(encoded.as_ptr(), out.cast::<u8>(), encoded.len()) };
    Ok(DLCAST_OK)
}

/// Names a function of this process, exported or not, so that any rank can find it: dlcast_code_resolve. Local. The bytes
/// can be sent through any channel; the payload travels along. signature: any text, compared where it is resolved; may be
/// null.
///
/// code may be null; code_length: the room there is, and in return the bytes that the reference has.
///
/// # Safety
/// The pointers point to what their names say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_code_of(
    function: *const c_void,
    signature: *const c_char,
    payload: *const c_void,
    length: usize,
    code: *mut c_void,
    code_length: *mut usize,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        unsafe {
            let payload = Payload::from(bytes(payload, length, "payload")?);
            give_code(&of(function, text_or_empty(signature, "signature")?)?.with_payload(payload), code, code_length)
        }
    })
}

/// As dlcast_code_of, for a function by the library (a path or a bare name) and the symbol that it exports. symbol null:
/// the library alone, which registers itself.
///
/// # Safety
/// The pointers point to what their names say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_code_symbol(
    library: *const c_char,
    symbol: *const c_char,
    signature: *const c_char,
    payload: *const c_void,
    length: usize,
    code: *mut c_void,
    code_length: *mut usize,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        unsafe {
            let payload = Payload::from(bytes(payload, length, "payload")?);
            let library = text(library, "library")?;
            let named = match symbol.is_null() {
                true => CodeRef::library(library),
                false => CodeRef::symbol(library, text(symbol, "symbol")?, text_or_empty(signature, "signature")?),
            };
            let named = named.map_err(|error| invalid(error.to_string()))?;
            give_code(&named.with_payload(payload), code, code_length)
        }
    })
}

/// As dlcast_code_of, for a Python function by its module and __qualname__. Python resolves it, no other.
///
/// # Safety
/// The pointers point to what their names say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_code_python(
    module: *const c_char,
    qualname: *const c_char,
    signature: *const c_char,
    payload: *const c_void,
    length: usize,
    code: *mut c_void,
    code_length: *mut usize,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        unsafe {
            let payload = Payload::from(bytes(payload, length, "payload")?);
            let mut named = CodeRef::python(text(module, "module")?, text(qualname, "qualname")?);
            named.signature = text_or_empty(signature, "signature")?.into();
            give_code(&named.with_payload(payload), code, code_length)
        }
    })
}

/// # Safety
/// As for [`text`].
unsafe fn text_or_empty<'a>(pointer: *const c_char, what: &str) -> Result<&'a str, CallError> {
    // SAFETY: as this function asks.
    if pointer.is_null() { Ok("") } else { unsafe { text(pointer, what) } }
}

/// Finds the code of a reference in this process. A library that is missing is opened here, and recorded: the next round
/// brings it to every rank. Local. signature, if not null, must be that of the reference. function receives null for a
/// library alone; another identity of the library, here, is DLCAST_INVALID and names this rank.
///
/// # Safety
/// The pointers point to what their names say; `function` to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_code_resolve(
    session: dlcast_session,
    code: *const c_void,
    code_length: usize,
    signature: *const c_char,
    function: *mut *const c_void,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let (code, signature) = unsafe {
            let signature = if signature.is_null() { None } else { Some(text(signature, "signature")?) };
            (self::code(bytes(code, code_length, "code")?)?, signature)
        };
        let session = translate::session(session, -1.0)?;
        let found = session.resolve(&code, signature).map_err(|error| invalid(error.to_string()))?;
        let address = found.function.map_or(std::ptr::null(), |function| function.as_ptr());
        // SAFETY: as this function asks.
        unsafe { put(function, address, "function")? };
        Ok(DLCAST_OK)
    })
}

/// Leaves what a code reference says in dlcast_last_report: {"code": for people, "kind": "symbol", "offset", "library" or
/// "python", "library", "module", "qualname", "signature"}; and lends its payload, until the next call of this function by
/// this thread. Local.
///
/// # Safety
/// `code` points to `code_length` bytes; `payload` and `length` to a pointer and a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_code_read(
    code: *const c_void,
    code_length: usize,
    payload: *mut *const c_void,
    length: *mut usize,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let code = self::code(unsafe { bytes(code, code_length, "code")? })?;
        let home = code.home().map(|home| home.identity.to_string());
        let (kind, module, qualname) = match &code.place {
            crate::code::CodePlace::Symbol { .. } => ("symbol", None, None),
            crate::code::CodePlace::Offset { .. } => ("offset", None, None),
            crate::code::CodePlace::Library(_) => ("library", None, None),
            crate::code::CodePlace::Python { module, qualname } => ("python", Some(module), Some(qualname)),
        };
        let said = serde_json::json!({ "code": code.to_string(), "kind": kind, "library": home, "module": module,
            "qualname": qualname, "signature": code.signature });
        translate::leave_report(&said);
        let (address, count) = super::stepping::lend_read(&code.payload);
        // SAFETY: as this function asks.
        unsafe {
            put(payload, address, "payload")?;
            put(length, count, "length")?;
        }
        Ok(DLCAST_OK)
    })
}
