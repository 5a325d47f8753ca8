//! The shim's few sentences on stderr, in one write each. It formats nothing.

use core::ffi::CStr;

/// `dlcast: ` and the parts, as one line.
pub fn say(parts: &[&CStr]) {
    line(c"dlcast: ", parts);
}

/// Ends the process as ld.so does when the program calls a function that nobody defines: without the shim it would have come to this.
pub fn die_undefined(symbol: &CStr) -> ! {
    // SAFETY: glibc's own name of the program, set before any code of ours runs.
    let program = unsafe { CStr::from_ptr(program_invocation_name) };
    line(program, &[c": symbol lookup error: undefined symbol: ", symbol]);
    // SAFETY: ends the process; 127 is ld.so's status.
    unsafe { libc::_exit(127) }
}

fn line(first: &CStr, rest: &[&CStr]) {
    let mut list = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; 8];
    let mut count = 0;
    for part in [first].iter().chain(rest).chain(&[c"\n"]) {
        if let Some(slot) = list.get_mut(count) {
            *slot = libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.count_bytes() };
            count += 1;
        }
    }
    // SAFETY: `count` parts, each a live string of its length; nothing can be done where stderr is closed.
    unsafe { libc::writev(libc::STDERR_FILENO, list.as_ptr(), count as i32) };
}

unsafe extern "C" {
    static program_invocation_name: *const core::ffi::c_char;
}
