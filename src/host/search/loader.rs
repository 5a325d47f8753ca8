//! What the loader tells of itself: its search path for the main program, and what it has loaded under a SONAME.
//!
//! It only asks; nothing is loaded and no file is looked at.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A folder of the loader's search path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// One of the system's own, which come after the cache.
    pub default: bool,
}

/// Marks a folder of the system's own in what dlinfo gives (`<link.h>`). glibc 2.36 leaves all flags 0.
const LA_SER_DEFAULT: c_uint = 0x40;

/// `Dl_serpath` of `<dlfcn.h>`.
#[repr(C)]
struct SerPath {
    name: *const c_char,
    flags: c_uint,
}

/// `Dl_serinfo` of `<dlfcn.h>`: `count` folders follow it.
#[repr(C)]
struct SerInfo {
    size: usize,
    count: c_uint,
    first: [SerPath; 0],
}

/// The main program's search path as the loader has it; empty if the loader would not say.
pub fn folders() -> Vec<Folder> {
    // SAFETY: opening nothing gives the main program, whose constructors have run.
    let main = unsafe { libc::dlopen(std::ptr::null(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if main.is_null() {
        return Vec::new();
    }
    let list = folders_of(main);
    // SAFETY: `main` was opened above and is closed once; the main program stays.
    unsafe { libc::dlclose(main) };
    list
}

fn folders_of(object: *mut c_void) -> Vec<Folder> {
    let mut head = SerInfo { size: 0, count: 0, first: [] };
    // SAFETY: this request fills in the two fields of `head` and no more; the caller holds `object` open.
    let got = unsafe { libc::dlinfo(object, libc::RTLD_DI_SERINFOSIZE, (&raw mut head).cast()) };
    if got != 0 || head.size < size_of::<SerInfo>() {
        return Vec::new();
    }
    // Words, because the record holds pointers.
    let mut buffer = vec![0usize; head.size.div_ceil(size_of::<usize>())];
    let info: *mut SerInfo = buffer.as_mut_ptr().cast();
    // SAFETY: `buffer` has the size that the loader asked for, and is aligned for pointers. The loader wants its own two fields
    // back, so the same request is made on it first (dlinfo(3)).
    let got = unsafe {
        libc::dlinfo(object, libc::RTLD_DI_SERINFOSIZE, info.cast())
            | libc::dlinfo(object, libc::RTLD_DI_SERINFO, info.cast())
    };
    if got != 0 {
        return Vec::new();
    }
    // SAFETY: dlinfo wrote `count` records behind the head, inside `buffer`, each with a C string inside `buffer`.
    let paths = unsafe {
        let first: *const SerPath = (&raw const (*info).first).cast();
        std::slice::from_raw_parts(first, (*info).count as usize)
    };
    let folder = |path: &SerPath| Folder {
        // SAFETY: see above; the string is copied before `buffer` goes.
        path: PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(path.name) }.to_bytes())),
        default: path.flags & LA_SER_DEFAULT != 0,
    };
    let mut folders: Vec<Folder> = paths.iter().map(folder).collect();
    mark_defaults(&mut folders);
    folders
}

/// Marks the system's own folders where the loader does not: they are the last of the path, each once, and have these names in
/// every distribution that has a cache.
pub fn mark_defaults(folders: &mut [Folder]) {
    let mut seen = Vec::new();
    for folder in folders.iter_mut().rev() {
        let Some(path) = folder.path.to_str() else {
            return;
        };
        let rest = path.strip_prefix("/usr").unwrap_or(path);
        let multiarch = rest.strip_prefix("/lib/").is_some_and(|rest| rest.ends_with("-linux-gnu"));
        if !(multiarch || matches!(rest, "/lib" | "/lib64")) || seen.contains(&path) {
            return;
        }
        folder.default = true;
        seen.push(path);
    }
}

/// The path of the object that is loaded with `soname` as its SONAME, the first loaded first.
///
/// ld.so would also take a name under which an object was searched for before; the folders lead to that file anyway.
pub fn loaded(soname: &str) -> Option<PathBuf> {
    struct Sought<'a> {
        soname: &'a [u8],
        path: Option<PathBuf>,
    }
    unsafe extern "C" fn step(info: *mut libc::dl_phdr_info, _: usize, sought: *mut c_void) -> c_int {
        // SAFETY: dl_iterate_phdr hands over a valid record, and `sought` is what `loaded` gave it.
        let (info, sought) = unsafe { (&*info, &mut *sought.cast::<Sought<'_>>()) };
        if info.dlpi_name.is_null() {
            return 0;
        }
        // SAFETY: the loader keeps the name while the object is mapped, which its lock assures during this call.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        // SAFETY: getauxval only looks into the table that the kernel gave the process.
        let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
        // The main program has no name, and the kernel's own object no file.
        if !name.is_empty() && info.dlpi_addr != vdso {
            // SAFETY: `info` describes an object that stays mapped during this call.
            let its = unsafe { soname_of(info) };
            if its.is_some_and(|its| its.to_bytes() == sought.soname) {
                sought.path = Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())));
                return 1;
            }
        }
        0
    }
    let mut sought = Sought { soname: soname.as_bytes(), path: None };
    // SAFETY: `step` matches the pointer to `sought`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(step), (&raw mut sought).cast()) };
    sought.path
}

/// The SONAME of a mapped object, read from its dynamic table.
///
/// # Safety
///
/// The object that `info` describes must stay mapped for `'a`.
unsafe fn soname_of<'a>(info: &libc::dl_phdr_info) -> Option<&'a CStr> {
    const DT_NULL: u64 = 0;
    const DT_STRTAB: u64 = 5;
    const DT_SONAME: u64 = 14;
    let base = info.dlpi_addr as usize;
    // SAFETY: the loader gives that many program headers, readable while the object is mapped (caller).
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let dynamic = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC)?;
    let mut entry = base.wrapping_add(dynamic.p_vaddr as usize) as *const [u64; 2];
    let (mut strings, mut soname) = (None, None);
    loop {
        // SAFETY: the loader itself walked this table up to its DT_NULL when it mapped the object (caller).
        let [tag, value] = unsafe { entry.read() };
        match tag {
            DT_NULL => break,
            DT_STRTAB => strings = Some(value as usize),
            DT_SONAME => soname = Some(value as usize),
            _ => {}
        }
        entry = entry.wrapping_add(1);
    }
    // glibc adds the base to the address in place, except in tables that are read-only.
    let strings = strings.map(|at| if at < base { at + base } else { at })?;
    // SAFETY: a string of the object's own table, which the loader reads in the same way (caller).
    Some(unsafe { CStr::from_ptr((strings + soname?) as *const c_char) })
}
