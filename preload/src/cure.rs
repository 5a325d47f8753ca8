//! How the shim has to call dlopen so that it finds what the caller's own call would find.
//!
//! The loader looks a bare name up with the caller's search path, and takes the place of the call for the caller; that is all it
//! needs the caller for, but for `$ORIGIN` and its like. So the caller's folders, which come before those that serve every
//! object, are looked through here. Whatever is not certain is left to the caller's own call. Nothing is opened here but candidates,
//! to read their ELF headers.
//!
//! The flags of the search path's entries would tell which folders are the system's, but glibc leaves them zero.

use core::ffi::{CStr, c_char, c_uint, c_void};
use core::ptr;

use crate::next;
use crate::objects::{self, LinkMap};
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

impl Route {
    /// What to open, as far as it is known, where `name` was asked for.
    pub fn path(&self, name: *const c_char) -> *const c_char {
        match self {
            Self::OfCaller | Self::AsNamed => name,
            Self::At(path) => path.as_ptr(),
        }
    }
}

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
        let caller = LinkMap::of(caller)?;
        if !caller.is_in_base_namespace() {
            return None;
        }
        if name.to_bytes().contains(&b'$') {
            return below_origin(name, caller).map(Route::At);
        }
        if name.to_bytes().contains(&b'/') {
            return Some(Route::AsNamed);
        }
        let (theirs, ours) = (Search::of(caller)?, Search::of(next::own()?)?);
        bare(name, &theirs, &ours)
    };
    found().unwrap_or(Route::OfCaller)
}

/// `$ORIGIN/...`, put together as the loader does it for this caller. Other tokens, or one in another place, are left to the loader.
fn below_origin(name: &CStr, caller: &LinkMap) -> Option<Path> {
    let is_below = |token: &[u8]| name.to_bytes().strip_prefix(token);
    let rest = is_below(b"$ORIGIN/").or_else(|| is_below(b"${ORIGIN}/"))?;
    if rest.contains(&b'$') {
        return None;
    }
    let own = caller.name().to_bytes();
    if !own.is_empty() {
        // A path that was relative is relative to where the program was then.
        return (own.first() == Some(&b'/')).then(|| Path::join(folder_of(own), rest))?;
    }
    let mut program = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: as much is written as there is room for.
    let length = unsafe { libc::readlink(c"/proc/self/exe".as_ptr(), program.as_mut_ptr().cast(), program.len()) };
    let program = program.get(..usize::try_from(length).ok()?).filter(|program| program.first() == Some(&b'/'))?;
    Path::join(folder_of(program), rest)
}

fn folder_of(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path.get(..slash.max(1)).unwrap_or(path)
}

/// A bare name. The loader first compares it with the names of what is loaded, then it looks into the caller's folders, then
/// into those that are the same for every object (and into its cache, which stands before the last of them).
fn bare(name: &CStr, theirs: &Search, ours: &Search) -> Option<Route> {
    let common = theirs.common(ours);
    let (before, before_ours) = (theirs.count() - common, ours.count() - common);
    if before == 0 && before_ours == 0 {
        return Some(Route::AsNamed);
    }
    // The names themselves cannot be asked for: a dlopen with RTLD_NOLOAD would search, and add this name to what it finds.
    let mut has_soname = false;
    let mut namesakes = [None; 4];
    let mut count = 0;
    objects::each(|object| {
        has_soname |= object.soname() == Some(name);
        if file_name(object.name()) == name.to_bytes() {
            if let Some(slot) = namesakes.get_mut(count) {
                *slot = identity(object.name());
            }
            count += 1;
        }
    });
    if has_soname {
        return Some(Route::AsNamed);
    }
    let Some(hit) = theirs.first(before, name)? else {
        // The shim comes to the same, unless its own folders have one.
        return (common > 0 && ours.first(before_ours, name)?.is_none()).then_some(Route::AsNamed);
    };
    // Another file of that name may have been opened by the name alone, and then it is meant.
    let is_only = namesakes.get(..count)?.iter().all(|namesake| *namesake == Some(hit.identity));
    is_only.then_some(Route::At(hit.path))
}

fn file_name(path: &CStr) -> &[u8] {
    path.to_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
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
    /// Zero.
    _flags: c_uint,
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

    /// The folders in order, without those that stand twice at the beginning: an RPATH of the program serves what is loaded for
    /// the program, and then once more whatever is in the process.
    fn folders(&self) -> impl DoubleEndedIterator<Item = &CStr> + ExactSizeIterator {
        // SAFETY: the loader has filled in the header, and as many entries behind it as it says.
        let count = unsafe { (*self.0).count as usize };
        let at = |at: usize| {
            // SAFETY: an entry; its name lies behind the entries.
            unsafe { CStr::from_ptr((*self.0.add(1).cast::<Entry>().add(at)).folder) }
        };
        let is_twice = |block: usize| (0..block).all(|folder| at(folder) == at(block + folder));
        let first = (1..=count / 2).find(|block| is_twice(*block)).unwrap_or(0);
        (first..count).map(at)
    }

    fn count(&self) -> usize {
        self.folders().len()
    }

    /// How many folders at the end are the same.
    fn common(&self, other: &Self) -> usize {
        self.folders().rev().zip(other.folders().rev()).take_while(|(one, other)| one == other).count()
    }

    /// The first hit in the first `count` folders; none at all where it is not certain what the loader would do.
    fn first(&self, count: usize, name: &CStr) -> Option<Option<Hit>> {
        for folder in self.folders().take(count) {
            for variant in VARIANTS {
                if exists(&Path::join(folder.to_bytes(), variant.to_bytes())?) {
                    return None;
                }
            }
            let path = Path::join(folder.to_bytes(), name.to_bytes())?;
            match candidate(&path) {
                Candidate::Missing => {}
                // An empty entry of LD_LIBRARY_PATH looks like `.`, and makes another path of it: the loader says which.
                Candidate::Library(_) if folder.to_bytes().first() != Some(&b'/') => return None,
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
