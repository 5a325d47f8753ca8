//! Where a rank was placed, as the launcher told this process through PMIx: for ranks that never said so themselves.
//!
//! Open MPI's ranks are started over PMIx (4 and 5, also by Slurm's srun), whose library is then mapped; MPICH's Hydra has
//! no names to give. It looks only into what this process was told at its start: it asks no server and no other rank. It
//! links against nothing: a process without PMIx, or with one that an MPI hides in its own file, has no answer.
//!
//! By hand, because the crates that bind PMIx link against it, which would forbid every other MPI.

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// The bounds of PMIx's names and keys, with the zero at the end; the same from version 2 on, as all that follows.
const NAME: usize = 256;
const KEY: usize = 512;
/// `PMIX_HOSTNAME` and `PMIX_OPTIONAL`: the host of a process; look no further than this process.
const HOST: &CStr = c"pmix.hname";
const OPTIONAL: &CStr = c"pmix.optional";
/// `PMIX_BOOL`, `PMIX_STRING`, `PMIX_SUCCESS`.
const BOOL: u16 = 1;
const STRING: u16 = 3;
const SUCCESS: c_int = 0;
/// Versions whose headers have these layouts.
const VERSIONS: std::ops::RangeInclusive<u32> = 3..=6;
/// PMIx answers from its own thread: should that one be gone, nobody waits for it.
const PATIENCE: Duration = Duration::from_millis(200);

/// `pmix_proc_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Proc {
    namespace: [c_char; NAME],
    rank: u32,
}

/// `pmix_value_t`; of its union, what is read or written here, and the size of the largest.
#[repr(C)]
#[derive(Clone, Copy)]
struct Value {
    kind: u16,
    data: Data,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Data {
    flag: bool,
    string: *const c_char,
    _largest: [usize; 3],
}

/// `pmix_info_t`.
#[repr(C)]
struct Info {
    key: [c_char; KEY],
    flags: u32,
    value: Value,
}

type Get = unsafe extern "C" fn(*const Proc, *const c_char, *const Info, usize, *mut *mut Value) -> c_int;
type Version = unsafe extern "C" fn() -> *const c_char;

/// The PMIx of this process, and the job that this process belongs to.
#[derive(Clone, Copy)]
pub struct Pmix {
    get: Get,
    namespace: [c_char; NAME],
}

impl Pmix {
    /// Looks for its library among the files that are mapped; `namespace` is what the launcher calls the job.
    ///
    /// Takes the loader's lock: not to be called where nobody may wait.
    pub fn find<'a>(mapped: impl IntoIterator<Item = &'a Path>, namespace: Option<String>) -> Option<Pmix> {
        let namespace = chars(CString::new(namespace?).ok()?.as_c_str())?;
        let file = mapped.into_iter().find(|path| is_pmix(path))?;
        let file = CString::new(file.as_os_str().as_bytes()).ok()?;
        // SAFETY: a C string; RTLD_NOLOAD opens nothing that is not open, so that no initialiser runs. The handle is never
        // closed: the functions stay.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
        if handle.is_null() {
            return None;
        }
        // SAFETY: the handle is open, and the name is a C string.
        let version = unsafe { libc::dlsym(handle, c"PMIx_Get_version".as_ptr()) };
        // SAFETY: as above.
        let get = unsafe { libc::dlsym(handle, c"PMIx_Get".as_ptr()) };
        if version.is_null() || get.is_null() {
            return None;
        }
        // SAFETY: `const char *PMIx_Get_version(void)` of the PMIx standard, in every version.
        let version = unsafe { std::mem::transmute::<*mut libc::c_void, Version>(version) };
        // SAFETY: it may be called at any time, and returns a constant of the library.
        let version = unsafe { version() };
        if version.is_null() {
            return None;
        }
        // SAFETY: as said, a C string that stays.
        let version = unsafe { CStr::from_ptr(version) }.to_string_lossy();
        if !major(&version).is_some_and(|major| VERSIONS.contains(&major)) {
            return None;
        }
        // SAFETY: `PMIx_Get` of the PMIx standard (version 4.1, section 7.1.1), with the layouts that were just checked.
        let get = unsafe { std::mem::transmute::<*mut libc::c_void, Get>(get) };
        Some(Pmix { get, namespace })
    }

    /// The host of a rank of MPI_COMM_WORLD, by the launcher's name for it. It does not wait for anybody else.
    pub fn host_of(&self, rank: u32) -> Option<String> {
        let (answer, answered) = mpsc::sync_channel(1);
        let pmix = *self;
        // On a thread that can be left behind.
        let asking = std::thread::Builder::new().name("dlcast-pmix".into()).spawn(move || {
            // Who asked may have gone.
            let _sent = answer.send(pmix.ask(rank));
        });
        asking.ok()?;
        answered.recv_timeout(PATIENCE).ok()?
    }

    fn ask(&self, rank: u32) -> Option<String> {
        let of = Proc { namespace: self.namespace, rank };
        let mut data = Data { _largest: [0; 3] };
        data.flag = true;
        let optional = Info { key: chars(OPTIONAL)?, flags: 0, value: Value { kind: BOOL, data } };
        // Some versions take the key as an array of the full length.
        let key: [c_char; KEY] = chars(HOST)?;
        let mut found = MaybeUninit::<*mut Value>::new(std::ptr::null_mut());
        // SAFETY: all pointers are to locals with the layouts that `find` checked; PMIx keeps none of them beyond the call,
        // takes calls from any thread, and refuses them by a code before its initialisation and after its end.
        let code = unsafe { (self.get)(&of, key.as_ptr(), &optional, 1, found.as_mut_ptr()) };
        // SAFETY: it was initialised, and PMIx may have written it.
        let found = unsafe { found.assume_init() };
        if code != SUCCESS || found.is_null() {
            return None;
        }
        // SAFETY: with success PMIx gives a value of its own making, which is the caller's. (It is not freed: PMIx 4 has no
        // function for that, and it is asked once in the life of a session.)
        let value = unsafe { &*found };
        if value.kind != STRING {
            return None;
        }
        // SAFETY: the kind says which member of the union was written.
        let host = unsafe { value.data.string };
        if host.is_null() {
            return None;
        }
        // SAFETY: PMIx's strings end with a zero.
        let host = unsafe { CStr::from_ptr(host) }.to_string_lossy().into_owned();
        (!host.is_empty()).then_some(host)
    }
}

/// `text` in an array of PMIx's size; none if it is too long.
fn chars<const SIZE: usize>(text: &CStr) -> Option<[c_char; SIZE]> {
    let bytes = text.to_bytes_with_nul();
    let mut array = [0; SIZE];
    let place = array.get_mut(..bytes.len())?;
    place.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from as c_char);
    Some(array)
}

fn is_pmix(path: &Path) -> bool {
    path.file_name().map(OsStr::as_bytes).is_some_and(|name| name.starts_with(b"libpmix.so"))
}

/// The first number of "OpenPMIx 4.2.2 (...)", or of version 3's "3.2.5".
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))?;
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_found_in_what_pmix_says_of_itself() {
        for (text, expected) in [
            ("3.2.5rc1", Some(3)),
            ("OpenPMIx 4.2.2 (PMIx Standard: 4.1, Stable ABI: 4.1, Provisional ABI: 4.1)", Some(4)),
            ("OpenPMIx 5.0.11rc1, repo rev: gitabc", Some(5)),
            ("OpenPMIx", None),
            ("", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }

    #[test]
    fn the_layouts_are_those_of_pmix_on_64_bits() {
        assert_eq!(std::mem::size_of::<Proc>(), 260);
        assert_eq!(std::mem::size_of::<Value>(), 32);
        assert_eq!(std::mem::size_of::<Info>(), 552);
        assert_eq!(std::mem::offset_of!(Value, data), 8);
        assert_eq!(std::mem::offset_of!(Info, value), 520);
    }

    #[test]
    fn a_process_without_pmix_has_no_answer() {
        let name = || Some("job".to_string());
        assert!(Pmix::find([], name()).is_none());
        assert!(Pmix::find([Path::new("/nowhere/libpmix.so.2")], name()).is_none(), "mapped by nobody");
        assert!(Pmix::find([Path::new("libc.so.6")], name()).is_none());
        assert!(Pmix::find([Path::new("/nowhere/libpmix.so.2")], Some("j".repeat(300))).is_none());
    }
}
