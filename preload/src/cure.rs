//! How the shim has to call dlopen so that it finds what the caller's own call would find.
//!
//! The loader looks a bare name up with the caller's search path, and takes the place of the call for the caller. Opened from here,
//! a library comes by the shim's search path: the same one, unless the caller has a RUNPATH or an RPATH. With a RUNPATH, its folders
//! are looked through here. An RPATH of a library also serves what is opened by that library: no call from here can do the same.
//! Whatever is not certain is left to the caller's own call. Nothing is opened here but candidates, to read their ELF headers.

use core::ffi::{CStr, c_char, c_uint, c_void};
use core::ptr;

use crate::next;
use crate::objects::LinkMap;
use crate::path::Path;

/// Who has to open it, and as what.
pub enum Route {
    /// Only the caller's own call will do.
    OfCaller,
    /// The shim, by the name as it stands.
    AsNamed,
    /// The shim, by this path.
    At(Path),
}

/// Flags of an entry (`<link.h>`): it is of an RPATH (glibc says RUNPATH for both), or one of the system's folders.
const LA_SER_RUNPATH: c_uint = 0x04;
const LA_SER_DEFAULT: c_uint = 0x40;

/// Below a folder of the search path, the loader looks into these first, if the processor is so.
#[cfg(target_arch = "x86_64")]
const VARIANTS: &[&CStr] = &[c"glibc-hwcaps", c"tls", c"x86_64", c"haswell", c"avx512_1", c"xeon_phi"];
#[cfg(target_arch = "aarch64")]
const VARIANTS: &[&CStr] = &[c"glibc-hwcaps", c"tls", c"aarch64", c"atomics"];

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = libc::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = libc::EM_AARCH64;

/// How to open `name` for a call at `caller`.
///
/// # Safety
/// `name` is a C string; `caller` an address of code that is mapped.
pub unsafe fn route(name: *const c_char, caller: *const c_void) -> Route {
    // SAFETY: promised by the caller.
    let name = unsafe { CStr::from_ptr(name) };
    let found = || {
        let (caller, own) = (LinkMap::of(caller)?, next::own()?);
        if name.to_bytes().contains(&b'$') || !caller.is_in_base_namespace() {
            return None;
        }
        let (theirs, ours) = (Search::of(caller)?, Search::of(own)?);
        if theirs.is_same(&ours) {
            return Some(Route::AsNamed);
        }
        if !caller.has_runpath() {
            return None;
        }
        if name.to_bytes().contains(&b'/') {
            return Some(Route::AsNamed);
        }
        bare(name, &theirs, &ours)
    };
    found().unwrap_or(Route::OfCaller)
}

/// A bare name, for a caller with a RUNPATH. The loader first compares it with the names of what is loaded.
fn bare(name: &CStr, theirs: &Search, ours: &Search) -> Option<Route> {
    // SAFETY: opens nothing that is not there. It may also find what the shim's search path leads to.
    let loaded = unsafe { next::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if loaded.is_null() {
        return match theirs.first(name)? {
            Some(hit) => Some(Route::At(hit.path)),
            // The system's folders are left, and the loader's cache, unless an RPATH of the program's comes before them.
            None => (!ours.has_rpath()).then_some(Route::AsNamed),
        };
    }
    // SAFETY: open until it is closed below.
    let route = unsafe {
        LinkMap::behind(loaded).and_then(|map| {
            if map.soname() == Some(name) {
                return Some(Route::AsNamed);
            }
            // By another name, or by a search that may not be the caller's.
            match theirs.first(name)? {
                Some(hit) => (identity(map.name())? == hit.identity).then_some(Route::AsNamed),
                None => (!ours.has_rpath()).then_some(Route::AsNamed),
            }
        })
    };
    // SAFETY: opened above.
    unsafe { next::dlclose(loaded) };
    route
}

/// What the loader opens first.
struct Hit {
    path: Path,
    identity: (u64, u64),
}

/// What stands at a path of the search.
enum Candidate {
    /// Nothing, or a file for another machine: the search goes on.
    Missing,
    /// A library.
    Library((u64, u64)),
    /// Anything else: the loader knows what to say.
    Odd,
}

/// The search path of an object: `Dl_serinfo` with its entries, on the heap.
struct Search(*mut Header);

#[repr(C)]
struct Header {
    size: usize,
    count: c_uint,
}

#[repr(C)]
struct Entry {
    folder: *const c_char,
    flags: c_uint,
}

impl Search {
    fn of(map: &LinkMap) -> Option<Self> {
        let mut header = Header { size: 0, count: 0 };
        // SAFETY: a record serves as handle; the loader writes as much as it said before, and nobody else has the memory.
        unsafe {
            if libc::dlinfo(map.handle(), libc::RTLD_DI_SERINFOSIZE, (&raw mut header).cast()) != 0 {
                return None;
            }
            let search = Self(libc::malloc(header.size.max(size_of::<Header>())).cast());
            if search.0.is_null() {
                return None;
            }
            search.0.write(header);
            (libc::dlinfo(map.handle(), libc::RTLD_DI_SERINFO, search.0.cast()) == 0).then_some(search)
        }
    }

    /// The folders in order, with their flags.
    fn entries(&self) -> impl Iterator<Item = (&CStr, c_uint)> {
        // SAFETY: the loader has filled in as many entries as it says, behind the header, with names that lie behind them.
        unsafe {
            let first = self.0.add(1).cast::<Entry>();
            (0..(*self.0).count as usize).map(move |at| {
                let entry = &*first.add(at);
                (CStr::from_ptr(entry.folder), entry.flags)
            })
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.entries().eq(other.entries())
    }

    /// Whether an RPATH belongs to it; asked of the shim's own, which has no RUNPATH.
    fn has_rpath(&self) -> bool {
        self.entries().any(|(_, flags)| flags & LA_SER_RUNPATH != 0)
    }

    /// The first hit before the system's folders; none at all where it is not certain what the loader would do.
    fn first(&self, name: &CStr) -> Option<Option<Hit>> {
        for (folder, flags) in self.entries() {
            if flags & LA_SER_DEFAULT != 0 {
                continue;
            }
            if folder.to_bytes().first() != Some(&b'/') {
                return None;
            }
            for variant in VARIANTS {
                if exists(&Path::join(folder.to_bytes(), variant.to_bytes())?) {
                    return None;
                }
            }
            let path = Path::join(folder.to_bytes(), name.to_bytes())?;
            match candidate(&path) {
                Candidate::Missing => {}
                Candidate::Library(identity) => return Some(Some(Hit { path, identity })),
                Candidate::Odd => return None,
            }
        }
        Some(None)
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        // SAFETY: from malloc, or null.
        unsafe { libc::free(self.0.cast()) };
    }
}

fn exists(path: &Path) -> bool {
    // SAFETY: a C string.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
}

/// Device and inode of a file.
fn identity(path: &CStr) -> Option<(u64, u64)> {
    // SAFETY: plain data, filled in where the answer is 0.
    unsafe {
        let mut status: libc::stat = core::mem::zeroed();
        (libc::stat(path.as_ptr(), &raw mut status) == 0).then_some((status.st_dev, status.st_ino))
    }
}

fn candidate(path: &Path) -> Candidate {
    const HEADER: usize = size_of::<libc::Elf64_Ehdr>();
    // SAFETY: the descriptor is ours; as much is read as there is room for.
    let (read, header, identity) = unsafe {
        let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return match *libc::__errno_location() {
                libc::ENOENT | libc::EACCES | libc::ENOTDIR => Candidate::Missing,
                _ => Candidate::Odd,
            };
        }
        let mut header = [0_u8; HEADER];
        let mut status: libc::stat = core::mem::zeroed();
        let read = libc::read(file, header.as_mut_ptr().cast(), HEADER);
        let told = libc::fstat(file, &raw mut status);
        libc::close(file);
        (if told == 0 { read } else { -1 }, header, (status.st_dev, status.st_ino))
    };
    if usize::try_from(read) != Ok(HEADER) || !header.starts_with(b"\x7fELF") {
        return Candidate::Odd;
    }
    // SAFETY: as many bytes as the header has, and all bytes are values.
    let header: libc::Elf64_Ehdr = unsafe { ptr::read_unaligned(header.as_ptr().cast()) };
    if header.e_ident[libc::EI_CLASS] != libc::ELFCLASS64 || header.e_machine != MACHINE {
        return Candidate::Missing;
    }
    Candidate::Library(identity)
}
