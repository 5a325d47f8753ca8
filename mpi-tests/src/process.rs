//! What a program sees of its own process with the system's means, not dlcast's: a test must not ask the accused.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// How often the constructor of a fixture ran in this process.
pub fn constructed(name: &str) -> u32 {
    std::env::var(format!("DLCAST_FIXTURE_{name}")).map_or(0, |count| count.parse().expect("a fixture wrote a number"))
}

/// The name of the host that this process is on.
///
/// # Panics
///
/// When the kernel does not say it.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux says its name").trim().to_owned()
}

/// The files in the link maps, as ld.so spells them.
pub fn mapped() -> Vec<PathBuf> {
    unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _size: usize, files: *mut c_void) -> c_int {
        // SAFETY: dl_iterate_phdr hands out a valid entry for the time of the call, and `files` as `mapped` gave it.
        let (name, files) = unsafe { ((*info).dlpi_name, &mut *files.cast::<Vec<PathBuf>>()) };
        if !name.is_null() {
            // SAFETY: the name of an entry is a C string that lives as long as the entry.
            let name = unsafe { CStr::from_ptr(name) };
            files.push(PathBuf::from(std::ffi::OsString::from_vec(name.to_bytes().to_vec())));
        }
        0
    }
    let mut files: Vec<PathBuf> = Vec::new();
    // SAFETY: `note` has the callback's type and uses its last argument as what it is.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut files).cast()) };
    files
}

/// How many of the link maps are of a file with this name, wherever it lies.
pub fn times_mapped(file_name: &str) -> usize {
    mapped().iter().filter(|path| path.file_name() == Some(OsStr::new(file_name))).count()
}

/// Whether a symbol is found by libraries that are opened from now on.
pub fn is_visible(symbol: &str) -> bool {
    let symbol = CString::new(symbol).expect("a symbol has no zero byte");
    // SAFETY: a NUL-terminated name; RTLD_DEFAULT is always valid.
    !unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) }.is_null()
}

/// Whether a library is open under this path or name.
pub fn is_open(path: &Path) -> bool {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path has no zero byte");
    // SAFETY: RTLD_NOLOAD opens nothing, so no initialiser runs; the handle it may return is closed at once.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY);
        !handle.is_null() && libc::dlclose(handle) == 0
    }
}

/// Opens a library as a program does that knows nothing of dlcast, for good.
///
/// # Panics
///
/// When it cannot be opened.
pub fn open_plainly(path: &Path) {
    open(path, libc::RTLD_NOW);
}

/// The same, with its symbols for all that is opened later.
///
/// # Panics
///
/// When it cannot be opened.
pub fn open_globally(path: &Path) {
    open(path, libc::RTLD_NOW | libc::RTLD_GLOBAL);
}

fn open(path: &Path, flags: c_int) {
    let text = CString::new(path.as_os_str().as_bytes()).expect("a path has no zero byte");
    // SAFETY: the fixtures' initialisers count and return.
    let handle = unsafe { libc::dlopen(text.as_ptr(), flags) };
    assert!(!handle.is_null(), "cannot open {}", path.display());
}

/// What an exported `void *(const char *)` says.
///
/// # Panics
///
/// When no library that is open to all has it.
pub fn function(getter: &str, argument: &CStr) -> *const c_void {
    let getter = CString::new(getter).expect("a symbol has no zero byte");
    // SAFETY: a NUL-terminated name; RTLD_DEFAULT is always valid.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, getter.as_ptr()) };
    assert!(!found.is_null(), "no {getter:?}");
    // SAFETY: the fixtures' getters have this type.
    let getter: extern "C" fn(*const c_char) -> *const c_void = unsafe { std::mem::transmute(found) };
    getter(argument.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_mapped_once_and_visible() {
        assert_eq!(times_mapped("libc.so.6"), 1);
        assert!(is_open(Path::new("libc.so.6")));
        assert!(is_visible("getpid"));
        assert!(!is_visible("dlcast_fixture_nowhere_to_be_found"));
    }
}
