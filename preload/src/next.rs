//! The definitions that stand behind the shim's own: what the program would have called without it.
//!
//! A profiling tool that was preloaded or linked comes first, as it would. Where the definition came with a dlopen that was not
//! RTLD_GLOBAL (mpi4py's wheel opens its libmpi itself), RTLD_NEXT does not lead there, but the scope of the caller does, and
//! else that of the first object which was loaded after the shim.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::objects::{self, LinkMap};

/// A definition that is looked for once.
pub struct Next {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Next {
    const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    /// libc is in every process that the shim can be in: these are found, without an allocation.
    #[inline(always)]
    fn get(&self) -> *mut c_void {
        let found = self.found.load(Ordering::Relaxed);
        if found.is_null() { self.find() } else { found }
    }

    #[cold]
    fn find(&self) -> *mut c_void {
        let mut found = ptr::null_mut();
        if self.name == c"dlerror" {
            // dlsym forgets the error that is to be told: this one is looked for by hand, where dladdr is.
            let libc = LinkMap::of(libc::dladdr as *const c_void);
            found = libc.and_then(|libc| libc.function(self.name)).unwrap_or(found);
        }
        if found.is_null() {
            // SAFETY: a C string; the result is an address or null.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        }
        if found.is_null() {
            crate::say::die_undefined(self.name);
        }
        self.found.store(found, Ordering::Relaxed);
        found
    }
}

static DLOPEN: Next = Next::new(c"dlopen");
static DLCLOSE: Next = Next::new(c"dlclose");
static DLERROR: Next = Next::new(c"dlerror");

/// The address of the next dlopen.
#[inline(always)]
pub fn dlopen_address() -> *const c_void {
    DLOPEN.get()
}

/// The next dlopen, called by the shim: its caller's search path is then the shim's.
///
/// # Safety
/// As dlopen: it runs the constructors of what it opens.
pub unsafe fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
    // SAFETY: dlopen's type.
    let dlopen: unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void = unsafe { transmute(DLOPEN.get()) };
    // SAFETY: promised by the caller.
    unsafe { dlopen(name, flags) }
}

/// The next dlclose.
///
/// # Safety
/// As dlclose: the handle is open, and is not used afterwards.
pub unsafe fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: dlclose's type.
    let dlclose: unsafe extern "C" fn(*mut c_void) -> c_int = unsafe { transmute(DLCLOSE.get()) };
    // SAFETY: promised by the caller.
    unsafe { dlclose(handle) }
}

/// The next dlerror; it forgets what it tells.
pub fn dlerror() -> *mut c_char {
    // SAFETY: dlerror's type; it takes nothing.
    unsafe {
        let dlerror: unsafe extern "C" fn() -> *mut c_char = transmute(DLERROR.get());
        dlerror()
    }
}

/// The next definition of an MPI function; null where there is none. `caller` is an address in the code that calls it, or null.
///
/// It may allocate, and leaves no error for the program's dlerror.
pub fn definition(name: &CStr, caller: *const c_void) -> *mut c_void {
    // SAFETY: a C string; the result is an address or null.
    let mut found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        let of_caller = LinkMap::of(caller).map(LinkMap::name);
        found = of_caller.map_or(ptr::null_mut(), |path| in_scope_of(path, name));
        if found.is_null()
            && let Some(later) = Later::list()
        {
            found = later.paths().map(|path| in_scope_of(path, name)).find(|found| !found.is_null()).unwrap_or(found);
        }
        dlerror();
    }
    found
}

/// The object of the shim itself.
pub fn own() -> Option<&'static LinkMap> {
    LinkMap::of((&raw const DLOPEN).cast())
}

/// Whether two addresses belong to one object.
pub fn is_same_object(one: *const c_void, other: *const c_void) -> bool {
    matches!((LinkMap::of(one), LinkMap::of(other)), (Some(one), Some(other)) if ptr::eq(one, other))
}

/// What an object or one of those it needs defines; the shim's own definitions do not count.
fn in_scope_of(path: &CStr, name: &CStr) -> *mut c_void {
    let path = if path.is_empty() { ptr::null() } else { path.as_ptr() };
    // SAFETY: opens nothing that is not there; the definition stays where it is, for the program holds the object.
    unsafe {
        let handle = dlopen(path, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if handle.is_null() {
            return ptr::null_mut();
        }
        let found = libc::dlsym(handle, name.as_ptr());
        dlclose(handle);
        let is_own = is_same_object(found, (&raw const DLOPEN).cast());
        if is_own { ptr::null_mut() } else { found }
    }
}

/// The paths of the objects that were loaded after the shim, one after the other, on the heap: a list of its own, because the loader's
/// may change under other threads.
struct Later {
    bytes: *mut u8,
    length: usize,
}

impl Later {
    fn list() -> Option<Self> {
        let own = own()?;
        let mut list = Self { bytes: ptr::null_mut(), length: 0 };
        let mut is_later = false;
        objects::each(|object| {
            if is_later && !object.name().is_empty() {
                list.push(object.name());
            }
            is_later |= own.is(object);
        });
        Some(list)
    }

    fn push(&mut self, path: &CStr) {
        let path = path.to_bytes_with_nul();
        // SAFETY: our own memory, as long as it has to be; without memory the path is left out.
        unsafe {
            let bytes = libc::realloc(self.bytes.cast(), self.length + path.len()).cast::<u8>();
            if !bytes.is_null() {
                bytes.add(self.length).copy_from_nonoverlapping(path.as_ptr(), path.len());
                self.bytes = bytes;
                self.length += path.len();
            }
        }
    }

    fn paths(&self) -> impl Iterator<Item = &CStr> {
        let mut at = 0;
        core::iter::from_fn(move || {
            if at >= self.length {
                return None;
            }
            // SAFETY: C strings one after the other, up to the length.
            let path = unsafe { CStr::from_ptr(self.bytes.add(at).cast()) };
            at += path.count_bytes() + 1;
            Some(path)
        })
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        // SAFETY: from realloc, or null, and ours alone.
        unsafe { libc::free(self.bytes.cast()) };
    }
}
