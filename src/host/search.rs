//! Finds the file that plain `dlopen(name)` would open, called from the main program.
//!
//! It loads nothing: it asks the loader for its search path, looks into the folders as ld.so would, reads the head of a candidate,
//! and leaves the rest of a file's soundness to `layers::elf`. It does not follow a caller's own RUNPATH; who called is not known
//! when a request is carried to another rank.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::cache;

/// A name that plain `dlopen` would not find or not accept.
#[derive(Debug, thiserror::Error)]
#[error("library `{name}` not found{}; give its path, or add its folder to LD_LIBRARY_PATH", list(.tried))]
pub struct NotFound {
    /// What was sought.
    pub name: String,
    /// Where it was sought, in the order of the search. Where the last one says [`Reason::stops`], ld.so looks no further.
    pub tried: Vec<Tried>,
}

/// One place, and why it did not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The file; for the cache, the cache itself.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: Reason,
}

/// Why a place did not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No such file, or a link to nowhere.
    #[error("no such file")]
    Missing,
    /// A link that leads to no file; ld.so passes over it.
    #[error("a link to a file that does not exist")]
    Dangling,
    /// The file may not be read; ld.so passes over it.
    #[error("permission denied")]
    Denied,
    /// A library of another machine or of another word size; ld.so passes over it.
    #[error("made for another machine or word size")]
    Foreign,
    /// The cache does not hold the name.
    #[error("not in the cache")]
    NotCached,
    /// Not an ELF file (a linker script, say), or an empty one. ld.so stops here.
    #[error("not an ELF file; the search stops here, as it does in ld.so")]
    NotElf,
    /// The file cannot be read (a folder, say). ld.so stops here.
    #[error("cannot be read ({0}); the search stops here, as it does in ld.so")]
    Unreadable(ErrorKind),
}

impl Reason {
    /// Tells whether ld.so gives up at such a file instead of looking on.
    #[must_use]
    pub fn stops(&self) -> bool {
        matches!(self, Reason::NotElf | Reason::Unreadable(_))
    }
}

fn list(tried: &[Tried]) -> String {
    let lines = tried.iter().map(|t| format!("\n  {}: {}", t.path.display(), t.reason));
    lines.collect()
}

/// Finds what `dlopen(name)` called from the main program would open. A name with a `/` is a path and is not searched for.
///
/// The order is ld.so's (ld.so(8)): an object that is loaded already under that SONAME; the folders of RPATH, LD_LIBRARY_PATH and
/// RUNPATH as `dlinfo(RTLD_DI_SERINFO)` gives them for the main program; `/etc/ld.so.cache`; the system's own folders. In each
/// folder the glibc-hwcaps builds for this processor go first.
///
/// # Errors
///
/// [`NotFound`] with every place tried, when none serves or when one stops the search.
pub fn find(name: &str) -> Result<PathBuf, NotFound> {
    if !name.contains('/')
        && let Some(path) = loaded(name)
    {
        return Ok(path);
    }
    let mut search = Search { name, tried: Vec::new() };
    match search.run(&folders()) {
        Some(path) => Ok(path),
        None => Err(NotFound { name: name.to_string(), tried: search.tried }),
    }
}

/// A folder of the loader's search path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    /// One of the system's own, which come after the cache.
    default: bool,
}

struct Search<'a> {
    name: &'a str,
    tried: Vec<Tried>,
}

impl Search<'_> {
    fn run(&mut self, folders: &[Folder]) -> Option<PathBuf> {
        if self.name.contains('/') {
            return self.take(Path::new(self.name));
        }
        let (system, own): (Vec<_>, Vec<_>) = folders.iter().partition(|folder| folder.default);
        self.folders(&own).or_else(|| self.cache(Path::new("/etc/ld.so.cache"))).or_else(|| self.folders(&system))
    }

    fn folders(&mut self, folders: &[&Folder]) -> Option<PathBuf> {
        for folder in folders {
            let hwcaps = folder.path.join("glibc-hwcaps");
            if !self.stopped() && hwcaps.is_dir() {
                for level in hwcap_folders() {
                    let better = hwcaps.join(level).join(self.name);
                    // Folders that do not exist are not worth a line of the report.
                    if better.exists()
                        && let Some(path) = self.take(&better)
                    {
                        return Some(path);
                    }
                }
            }
            if let Some(path) = self.take(&folder.path.join(self.name)) {
                return Some(path);
            }
        }
        None
    }

    fn cache(&mut self, cache: &Path) -> Option<PathBuf> {
        if self.stopped() {
            return None;
        }
        let entry = cache::THIS_MACHINE.and_then(|flags| {
            let data = std::fs::read(cache).ok()?;
            cache::lookup(&data, self.name.as_bytes(), flags, hwcap_folders())
        });
        match entry {
            Some(path) => self.take(&path),
            None => {
                self.tried.push(Tried { path: cache.to_path_buf(), reason: Reason::NotCached });
                None
            }
        }
    }

    /// Gives `path` back if ld.so would take it.
    fn take(&mut self, path: &Path) -> Option<PathBuf> {
        if self.stopped() {
            return None;
        }
        match serves(path) {
            Ok(()) => Some(path.to_path_buf()),
            Err(reason) => {
                self.tried.push(Tried { path: path.to_path_buf(), reason });
                None
            }
        }
    }

    fn stopped(&self) -> bool {
        self.tried.last().is_some_and(|tried| tried.reason.stops())
    }
}

/// What ld.so's `open_verify` looks at before it decides between "pass over" and "stop".
fn serves(path: &Path) -> Result<(), Reason> {
    let mut head = [0; 20];
    // A FIFO would block the open; a search never waits.
    let kind = std::fs::metadata(path).map(|meta| meta.is_file() || meta.is_dir());
    let file = match kind {
        Ok(true) => File::open(path),
        Ok(false) => return Err(Reason::NotElf),
        Err(error) => Err(error),
    };
    let read = file.and_then(|mut file| file.read_exact(&mut head));
    match read.map_err(|error| error.kind()) {
        Ok(()) => {}
        Err(ErrorKind::NotFound) if path.is_symlink() => return Err(Reason::Dangling),
        Err(ErrorKind::NotFound | ErrorKind::NotADirectory) => return Err(Reason::Missing),
        Err(ErrorKind::PermissionDenied) => return Err(Reason::Denied),
        Err(ErrorKind::UnexpectedEof) => return Err(Reason::NotElf),
        Err(kind) => return Err(Reason::Unreadable(kind)),
    }
    if !head.starts_with(b"\x7fELF") {
        return Err(Reason::NotElf);
    }
    let own =
        [if cfg!(target_pointer_width = "64") { 2 } else { 1 }, if cfg!(target_endian = "little") { 1 } else { 2 }];
    let machine = u16::from_ne_bytes([head[18], head[19]]);
    if head[4..6] != own || MACHINE.is_some_and(|own| own != machine) {
        return Err(Reason::Foreign);
    }
    Ok(())
}

/// `e_machine` of this process's objects.
const MACHINE: Option<u16> = if cfg!(target_arch = "x86_64") {
    Some(62)
} else if cfg!(target_arch = "aarch64") {
    Some(183)
} else if cfg!(target_arch = "riscv64") {
    Some(243)
} else {
    None
};

/// The glibc-hwcaps folders for this processor, the best first (the x86-64 psABI's levels).
fn hwcap_folders() -> &'static [&'static str] {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let v2 = has!("sse4.2") && has!("popcnt") && has!("ssse3") && has!("cmpxchg16b");
        let v3 = v2 && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma");
        let v3 = v3 && has!("lzcnt") && has!("movbe");
        let v4 = v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd");
        let v4 = v4 && has!("avx512dq") && has!("avx512vl");
        const LEVELS: &[&str] = &["x86-64-v4", "x86-64-v3", "x86-64-v2"];
        &LEVELS[3 - usize::from(v2) - usize::from(v3) - usize::from(v4)..]
    }
    #[cfg(not(target_arch = "x86_64"))]
    &[]
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
fn folders() -> Vec<Folder> {
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
fn mark_defaults(folders: &mut [Folder]) {
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
fn loaded(soname: &str) -> Option<PathBuf> {
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
        // The main program's name is empty and the vdso's has no folder: no files.
        if name.to_bytes().contains(&b'/') {
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

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
