//! The objects of the process as the loader knows them: whose an address is, where an object lies, what it says of itself.
//!
//! It keeps nothing and opens nothing. Everything here may take the loader's lock.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The public head of the loader's record of an object (`struct link_map` of `<link.h>`); glibc's handles point to it.
#[repr(C)]
pub struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const Dynamic,
    next: *const LinkMap,
    previous: *const LinkMap,
}

/// An entry of an object's dynamic section (`ElfW(Dyn)`).
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

const DT_NULL: i64 = 0;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_SONAME: i64 = 14;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
const RTLD_DL_LINKMAP: c_int = 2;

impl LinkMap {
    /// The record of the object that holds an address.
    pub fn of(address: *const c_void) -> Option<&'static Self> {
        // SAFETY: Dl_info is plain data, to be filled.
        let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
        let mut map: *mut c_void = ptr::null_mut();
        // SAFETY: both are written if the answer is not 0. The record lives as long as its object, whose code called us or which is
        // held by a handle.
        unsafe {
            let found = libc::dladdr1(address, &raw mut info, &raw mut map, RTLD_DL_LINKMAP) != 0;
            if found { map.cast::<Self>().as_ref() } else { None }
        }
    }

    /// The record behind a handle of dlopen.
    ///
    /// # Safety
    /// The handle is open, and stays open while the record is used.
    pub unsafe fn behind<'a>(handle: *mut c_void) -> Option<&'a Self> {
        let mut map: *mut c_void = ptr::null_mut();
        // SAFETY: an open handle; the pointer is written if the answer is 0.
        unsafe {
            let found = libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) == 0;
            if found { map.cast::<Self>().as_ref() } else { None }
        }
    }

    /// The handle that dlinfo takes.
    pub fn handle(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// The path under which it was opened; empty for the program.
    pub fn name(&self) -> &CStr {
        if self.name.is_null() {
            return c"";
        }
        // SAFETY: the loader keeps a C string as long as the record.
        unsafe { CStr::from_ptr(self.name) }
    }

    /// Whether it is among the objects that the program was started with, where the shim is, and not in a dlmopen's world.
    pub fn is_in_base_namespace(&self) -> bool {
        let mut namespace: libc::c_long = -1;
        // SAFETY: a record serves as handle; a long is written.
        let told = unsafe { libc::dlinfo(self.handle(), libc::RTLD_DI_LMID, (&raw mut namespace).cast()) } == 0;
        told && namespace == libc::LM_ID_BASE
    }

    /// Its DT_SONAME.
    pub fn soname(&self) -> Option<&CStr> {
        // SAFETY: the object's own section, mapped as long as the object.
        unsafe { soname(self.base, self.dynamic) }
    }

    /// A function that it defines, found without the loader. It has a GNU hash table: this is for libc.
    pub fn function(&self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: the object's own section and tables, mapped as long as the object, laid out as ELF and GNU say.
        unsafe {
            let table = |tag| entry(self.dynamic, tag).map(ptr::with_exposed_provenance::<u32>);
            let (hashes, names) = (table(DT_GNU_HASH)?, table(DT_STRTAB)?.cast::<c_char>());
            let symbols = table(DT_SYMTAB)?.cast::<libc::Elf64_Sym>();
            let [buckets, first, blooms] = [0, 1, 2].map(|at| *hashes.add(at) as usize);
            let bucket = hashes.add(4 + 2 * blooms);
            let chain = bucket.add(buckets);
            let hash = name
                .to_bytes()
                .iter()
                .fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)));
            let mut at = *bucket.add(hash as usize % buckets) as usize;
            while at >= first {
                let (symbol, link) = (&*symbols.add(at), *chain.add(at - first));
                let is_same = link | 1 == hash | 1 && CStr::from_ptr(names.add(symbol.st_name as usize)) == name;
                if is_same && symbol.st_shndx != 0 {
                    return Some(ptr::with_exposed_provenance_mut(self.base + symbol.st_value as usize));
                }
                // The last of its bucket is marked.
                at = if link & 1 == 0 { at + 1 } else { 0 };
            }
        }
        None
    }

    /// Whether an object of a visit is this one.
    pub fn is(&self, object: &Object<'_>) -> bool {
        self.base == object.0.dlpi_addr as usize
    }
}

/// An entry of a dynamic section.
///
/// # Safety
/// The section stays mapped.
unsafe fn entry(dynamic: *const Dynamic, tag: i64) -> Option<usize> {
    let mut entry = dynamic;
    // SAFETY: the section ends with DT_NULL.
    while let Some(this) = unsafe { entry.as_ref() } {
        match this.tag {
            DT_NULL => break,
            found if found == tag => return Some(this.value),
            // SAFETY: not the last one.
            _ => entry = unsafe { entry.add(1) },
        }
    }
    None
}

/// The DT_SONAME in a dynamic section.
///
/// # Safety
/// It is the section of the object at this base, which stays mapped.
unsafe fn soname<'a>(base: usize, dynamic: *const Dynamic) -> Option<&'a CStr> {
    // SAFETY: promised by the caller.
    let (table, offset) = unsafe { (entry(dynamic, DT_STRTAB)?, entry(dynamic, DT_SONAME)?) };
    // The loader has relocated the address, except where the section is read-only (the vdso).
    let table = if table < base { table + base } else { table };
    // SAFETY: the object's own string table.
    Some(unsafe { CStr::from_ptr(ptr::with_exposed_provenance(table + offset)) })
}

/// An object during a visit of all.
pub struct Object<'a>(&'a libc::dl_phdr_info);

impl Object<'_> {
    /// The path under which it was opened; empty for the program.
    pub fn name(&self) -> &CStr {
        if self.0.dlpi_name.is_null() {
            return c"";
        }
        // SAFETY: the loader keeps a C string as long as the record.
        unsafe { CStr::from_ptr(self.0.dlpi_name) }
    }

    /// Its DT_SONAME.
    pub fn soname(&self) -> Option<&CStr> {
        let base = self.0.dlpi_addr as usize;
        let section = self.segments().find(|segment| segment.p_type == libc::PT_DYNAMIC)?;
        // SAFETY: the object's own section.
        unsafe { soname(base, ptr::with_exposed_provenance(base + section.p_vaddr as usize)) }
    }

    /// From its first address to its last.
    fn range(&self) -> (usize, usize) {
        let loaded = self.segments().filter(|segment| segment.p_type == libc::PT_LOAD);
        loaded.fold((usize::MAX, 0), |(low, high), segment| {
            let start = self.0.dlpi_addr as usize + segment.p_vaddr as usize;
            (low.min(start), high.max(start + segment.p_memsz as usize))
        })
    }

    fn segments(&self) -> impl Iterator<Item = &libc::Elf64_Phdr> {
        // SAFETY: as many program headers as the loader says.
        (0..usize::from(self.0.dlpi_phnum)).map(|at| unsafe { &*self.0.dlpi_phdr.add(at) })
    }
}

/// Visits all objects, in the order of loading. The loader's list stays as it is meanwhile: nothing may be opened or closed.
pub fn each(mut visit: impl FnMut(&Object<'_>)) {
    unsafe extern "C" fn call<F: FnMut(&Object<'_>)>(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader's description of an object, and the visitor, both during this call.
        let (info, visit) = unsafe { (&*info, &mut *data.cast::<F>()) };
        visit(&Object(info));
        0
    }
    fn with<F: FnMut(&Object<'_>)>(visit: &mut F) {
        // SAFETY: the callback gets what it is given here, during this call.
        unsafe { libc::dl_iterate_phdr(Some(call::<F>), ptr::from_mut(visit).cast()) };
    }
    with(&mut visit);
}

/// Where an object or a function lies; empty until it is found.
pub struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
}

impl Range {
    /// Holds nothing.
    pub const fn nowhere() -> Self {
        Self { start: AtomicUsize::new(0), end: AtomicUsize::new(0) }
    }

    /// Whether an address lies in it.
    #[inline(always)]
    pub fn holds(&self, address: usize) -> bool {
        (self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed)).contains(&address)
    }

    /// Whether nothing was found yet.
    pub fn is_empty(&self) -> bool {
        self.end.load(Ordering::Relaxed) == 0
    }

    /// Becomes these addresses.
    pub fn set(&self, start: usize, end: usize) {
        self.start.store(start, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
    }

    /// Becomes the object that holds an address; stays as it was where there is none.
    pub fn set_to_object_of(&self, address: *const c_void) {
        each(|object| {
            let (start, end) = object.range();
            if (start..end).contains(&address.addr()) {
                self.set(start, end);
            }
        });
    }
}

/// The load base of ld.so; 0 for a program that was started by way of `ld.so PROGRAM`.
pub fn loader_base() -> usize {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_BASE) as usize }
}
