//! Takes the shim out of LD_PRELOAD, so that children are as without it; other entries and variables stay as they are.
//!
//! It works in place, on the strings the process has: setenv is among the functions that programs replace by their own.

use core::ffi::{CStr, c_char};

use crate::next;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// The value of a variable.
pub fn value(name: &CStr) -> Option<&'static CStr> {
    let entry = find(name.to_bytes())?;
    // SAFETY: an entry of the environment, with the name and `=` in front of the value.
    Some(unsafe { CStr::from_ptr((*entry).add(name.count_bytes() + 1)) })
}

/// Takes out what is ours, wherever it stands. With the last entry goes the variable.
pub fn leave() {
    let Some(entry) = find(b"LD_PRELOAD") else {
        return;
    };
    let told = value(c"DLCAST_PRELOAD").map(CStr::to_bytes);
    let own = next::own().map(|map| map.name().to_bytes());
    // SAFETY: the value of an entry of the environment, which this process may write to; nobody else is told of it now.
    let list = unsafe {
        let value = (*entry).add("LD_PRELOAD=".len()).cast::<u8>();
        core::slice::from_raw_parts_mut(value, libc::strlen(value.cast()) + 1)
    };
    let length = without(list, |name| Some(name) == told || Some(name) == own);
    if let Some(end) = list.get_mut(length) {
        *end = 0;
    }
    if length == 0 {
        remove(entry);
    }
}

/// Takes the entries of a list (separated by colons or spaces, with a nul at the end) that are `ours` out of it, each with the
/// separator before it, or for the first with the one after it. The new length, without the nul.
fn without(list: &mut [u8], ours: impl Fn(&[u8]) -> bool) -> usize {
    let end = list.len() - 1;
    let (mut read, mut written) = (0, 0);
    while read <= end {
        let rest = list.get(read..end).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b':' | b' ')).unwrap_or(rest.len());
        if !ours(rest.get(..length).unwrap_or_default()) {
            if written > 0 && read > 0 {
                // The separator that stood before this entry.
                list.copy_within(read - 1..read, written);
                written += 1;
            }
            list.copy_within(read..read + length, written);
            written += length;
        }
        read += length + 1;
    }
    written
}

/// Where the entry `NAME=...` stands.
fn find(name: &[u8]) -> Option<*mut *mut c_char> {
    // SAFETY: the environment is a list of C strings with a null at its end, or null.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = (*entry).cast::<u8>();
            if libc::strncmp(text.cast(), name.as_ptr().cast(), name.len()) == 0 && *text.add(name.len()) == b'=' {
                return Some(entry);
            }
            entry = entry.add(1);
        }
    }
    None
}

/// Closes the gap.
fn remove(entry: *mut *mut c_char) {
    // SAFETY: an entry of the environment; the null at its end is moved last.
    unsafe {
        let mut at = entry;
        while !(*at).is_null() {
            *at = *at.add(1);
            at = at.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without;

    fn left(list: &str) -> String {
        let mut bytes = [list.as_bytes(), b"\0"].concat();
        let length = without(&mut bytes, |name| name == b"/d/shim.so");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn our_entry_goes_and_the_others_stay_as_they_are() {
        assert_eq!(left("/d/shim.so"), "");
        assert_eq!(left("/a.so:/d/shim.so"), "/a.so");
        assert_eq!(left("/d/shim.so:/a.so"), "/a.so");
        assert_eq!(left("/a.so:/d/shim.so /b.so"), "/a.so /b.so");
        assert_eq!(left("/a.so  /b.so:/d/shim.so"), "/a.so  /b.so");
        assert_eq!(left("/a.so:/other/shim.so"), "/a.so:/other/shim.so");
        assert_eq!(left("/d/shim.so:/d/shim.so"), "");
        assert_eq!(left(""), "");
    }
}
