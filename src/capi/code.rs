//! Code that other ranks can find: references made, read and resolved. All of it is local.

use std::ffi::{c_char, c_void};

use super::translate::{self, bytes, invalid, put, run, text};
use super::types::*;
use crate::code::{CodePlace, CodeRef, MOST_PAYLOAD, Payload};
use crate::session::CallError;
use crate::wire;

/// A copy of what is to travel with code.
///
/// # Safety
/// As for [`bytes`].
unsafe fn payload_of(payload: *const c_void, length: usize) -> Result<Payload, CallError> {
    if length > MOST_PAYLOAD {
        let text = format!("a payload of {length} bytes: at most {MOST_PAYLOAD} travel; send the name of a file");
        return Err(invalid(text));
    }
    // SAFETY: as this function asks.
    Ok(Payload::from(unsafe { bytes(payload, length, "payload")? }))
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
/// can be sent through any channel; the payload, of at most 64 MiB, travels along. signature: any text, compared where it
/// is resolved; may be null.
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
            let payload = payload_of(payload, length)?;
            give_code(
                &super::callbacks::of(function, text_or_empty(signature, "signature")?)?.with_payload(payload),
                code,
                code_length,
            )
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
            let payload = payload_of(payload, length)?;
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
            let payload = payload_of(payload, length)?;
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
            (translate::code(bytes(code, code_length, "code")?)?, signature)
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
        let code = translate::code(unsafe { bytes(code, code_length, "code")? })?;
        let home = code.home().map(|home| home.identity.to_string());
        let (kind, module, qualname) = match &code.place {
            CodePlace::Symbol { .. } => ("symbol", None, None),
            CodePlace::Offset { .. } => ("offset", None, None),
            CodePlace::Library(_) => ("library", None, None),
            CodePlace::Python { module, qualname } => ("python", Some(module), Some(qualname)),
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

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::capi::collective::dlcast_last_error;

    fn said() -> String {
        // SAFETY: a C string that lives until the next call of this thread.
        unsafe { std::ffi::CStr::from_ptr(dlcast_last_error()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn a_payload_above_the_limit_is_refused_by_the_limit() {
        let payload = vec![0_u8; MOST_PAYLOAD + 1];
        let mut room = 0;
        // SAFETY: the C strings are literals, the payload has as many bytes as are named, and no code is asked for.
        let mut named = |length| unsafe {
            let (payload, nowhere) = (payload.as_ptr().cast(), ptr::null_mut());
            let function = said as *const () as *const c_void;
            [
                dlcast_code_of(function, ptr::null(), payload, length, nowhere, &raw mut room),
                dlcast_code_symbol(
                    c"/none.so".as_ptr(),
                    ptr::null(),
                    ptr::null(),
                    payload,
                    length,
                    nowhere,
                    &raw mut room,
                ),
                dlcast_code_python(c"m".as_ptr(), c"f".as_ptr(), ptr::null(), payload, length, nowhere, &raw mut room),
            ]
        };
        assert_eq!(named(payload.len()), [DLCAST_INVALID; 3]);
        assert_eq!(said(), "a payload of 67108865 bytes: at most 67108864 travel; send the name of a file");
        // The library is not there; what is as large as can be is named.
        assert_eq!(named(MOST_PAYLOAD), [DLCAST_OK, DLCAST_INVALID, DLCAST_OK]);
    }

    #[test]
    fn a_null_function_is_said_to_be_one() {
        let mut room = 0;
        // SAFETY: everything that may be null is, but the number.
        let status =
            unsafe { dlcast_code_of(ptr::null(), ptr::null(), ptr::null(), 0, ptr::null_mut(), &raw mut room) };
        assert_eq!((status, said().as_str()), (DLCAST_INVALID, "the function pointer is null"));
    }
}
