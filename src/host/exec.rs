//! Becomes another program, which is to notice nothing.
//!
//! It does not use `std::process::Command`, which would reset SIGPIPE, and sort the environment.

use std::ffi::{CString, OsStr, OsString, c_char};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::ffi::OsStrExt;

/// Replaces this process by `program` with these arguments and this environment; searched for and started as execvp(3) does it,
/// so that a script without `#!` runs, too. Returns only if that fails, with the reason.
pub fn exec(program: &OsStr, arguments: &[OsString], environment: &[(OsString, OsString)]) -> Error {
    let strings = || -> Result<_> {
        let name = c_string(&[program.as_bytes()])?;
        let arguments = [program].into_iter().chain(arguments.iter().map(OsString::as_os_str));
        let arguments = arguments.map(|argument| c_string(&[argument.as_bytes()])).collect::<Result<Vec<_>>>()?;
        let entry = |(name, value): &(OsString, OsString)| c_string(&[name.as_bytes(), b"=", value.as_bytes()]);
        Ok((name, arguments, environment.iter().map(entry).collect::<Result<Vec<_>>>()?))
    };
    match strings() {
        Err(error) => error,
        Ok((name, arguments, environment)) => {
            let (arguments, environment) = (pointers(&arguments), pointers(&environment));
            // SAFETY: C strings, and lists of such with a null at their end, that live until the call returns, if it does.
            unsafe { libc::execvpe(name.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            Error::last_os_error()
        }
    }
}

fn c_string(parts: &[&[u8]]) -> Result<CString> {
    CString::new(parts.concat()).map_err(|_| Error::new(ErrorKind::InvalidInput, "a zero byte in an argument"))
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
