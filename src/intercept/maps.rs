//! Sees what is mapped: the shared objects of this process, and which newcomers came by themselves.
//!
//! It reads the loader's link maps and nothing else. It opens no library and no file, keeps no state, and does not judge: whether
//! an object counts is `policy`'s business, and what it needs is told by the caller.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr, OsString, c_char, c_int, c_void};
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A shared object that the loader has mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The name under which the loader opened it; relative if it was opened so.
    pub path: PathBuf,
    /// Its load base: what is added to an address of the file.
    pub base: usize,
}

/// Every shared object of the process, in the order of loading. The main program and the vdso, which have no library file, are not
/// among them.
///
/// Takes the loader's lock for as long as it lists (see `dl_iterate_phdr(3)`): it waits while another thread runs a constructor.
#[must_use]
pub fn mapped() -> Vec<Mapped> {
    let mut list: Vec<Mapped> = Vec::new();
    let mut is_program = true;
    each(|object| {
        // The program is always first; it has a name only if it was started by way of `ld.so PROGRAM`.
        if !is_program && !object.name.is_empty() && !object.is_vdso() {
            list.push(Mapped { path: PathBuf::from(OsStr::from_bytes(object.name.to_bytes())), base: object.base });
        }
        is_program = false;
        true
    });
    list
}

/// Looks again and again, and tells only of what came in between.
///
/// The loader counts what it maps and what it unmaps (`dlpi_adds`, `dlpi_subs`): the same counts twice mean no news, and as long as
/// nothing is unmapped, newcomers stand behind the last object that was seen. Only they are touched: on crowded cores every object
/// that is looked at comes from memory.
#[derive(Debug, Default)]
pub struct Watch {
    adds: u64,
    subs: u64,
    /// The loader's record of the last object that was seen; an address, for it may be gone.
    last: usize,
}

impl Watch {
    /// The objects that were mapped since the last look; after an unmapping, all that there are (then the flag is true).
    pub fn news(&mut self) -> (Vec<Mapped>, bool) {
        let (mut news, mut everything) = (Vec::new(), false);
        // Visited once: for the counts, and for the loader's lock, under which its list is walked.
        each(|object| {
            if (object.adds, object.subs) == (self.adds, self.subs) {
                return false;
            }
            everything = self.last != 0 && object.subs != self.subs;
            let mut next = if self.last == 0 || everything {
                // SAFETY: ld.so fills in _r_debug before the program starts; its list begins with the program.
                unsafe { _r_debug.map }
            } else {
                // SAFETY: nothing was unmapped since this record was seen, and the lock is held.
                unsafe { (*std::ptr::with_exposed_provenance::<LinkMap>(self.last)).next }
            };
            // SAFETY: a record of the list, or null, under the lock.
            while let Some(record) = unsafe { next.as_ref() } {
                news.extend(record.mapped());
                self.last = next.expose_provenance();
                next = record.next;
            }
            (self.adds, self.subs) = (object.adds, object.subs);
            false
        });
        (news, everything)
    }
}

/// The public head of ld.so's record of an object (`struct link_map` of `<link.h>`).
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const c_void,
    next: *const LinkMap,
    previous: *const LinkMap,
}

impl LinkMap {
    /// The shared object; none for the program, which is the first, and for the kernel's own.
    fn mapped(&self) -> Option<Mapped> {
        if self.previous.is_null() || self.name.is_null() || is_vdso(self.base) {
            return None;
        }
        // SAFETY: a C string that lives as long as the record, which the caller holds under the loader's lock.
        let name = unsafe { CStr::from_ptr(self.name) }.to_bytes();
        (!name.is_empty()).then(|| Mapped { path: PathBuf::from(OsStr::from_bytes(name)), base: self.base })
    }
}

/// `struct r_debug` of `<link.h>`, where debuggers find the list.
#[repr(C)]
struct Debug {
    version: c_int,
    map: *const LinkMap,
    /// A function of ld.so, where debuggers stop.
    stop: usize,
    state: c_int,
    loader: usize,
}

/// Where ld.so's code lies; none in a program that has no ld.so.
///
/// It lists as [`mapped`] does, but takes only the lock of the list (see `frames`' tests).
pub(super) fn loader_text() -> Option<Range<usize>> {
    // SAFETY: ld.so fills it in before the program starts, and never changes this field again.
    let stop = unsafe { _r_debug.stop };
    let mut text = None;
    each(|object| {
        let code = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0;
        let ranges = object.headers.iter().filter(code).map(|header| {
            let start = object.base.wrapping_add(header.p_vaddr as usize);
            start..start.wrapping_add(header.p_memsz as usize)
        });
        text = ranges.into_iter().find(|range| range.contains(&stop));
        text.is_none()
    });
    text
}

// SAFETY: as `<link.h>` declares it.
unsafe extern "C" {
    static _r_debug: Debug;
}

/// The file of a shared object that the loader knows under a relative name, which meant another file where the program was then;
/// as the kernel tells. None if no such object is mapped.
#[must_use]
pub fn real_path(name: &Path) -> Option<PathBuf> {
    let mut address = None;
    each(|object| {
        if object.name.to_bytes() == name.as_os_str().as_bytes() {
            let loaded = object.headers.iter().find(|header| header.p_type == libc::PT_LOAD);
            address = loaded.map(|header| object.base.wrapping_add(header.p_vaddr as usize));
        }
        address.is_none()
    });
    let (_, path) = area_at(address?)?;
    Some(PathBuf::from(OsStr::from_bytes(path.strip_suffix(b" (deleted)").unwrap_or(&path))))
}

/// Which inode is mapped at an address, as the kernel tells (`/proc/self/maps`): what lies at an object's path by now may be another
/// file. None where nothing is known. It reads the whole table: some 100 microseconds.
#[must_use]
pub fn inode_at(address: usize) -> Option<u64> {
    area_at(address).map(|(inode, _)| inode)
}

/// Inode and path of what is mapped at an address; none for memory without a file.
fn area_at(address: usize) -> Option<(u64, Vec<u8>)> {
    let table = std::fs::read("/proc/self/maps").ok()?;
    table.split(|byte| *byte == b'\n').find_map(|line| {
        let (range, inode) = area(&String::from_utf8_lossy(line))?;
        let path = line.iter().position(|byte| *byte == b'/')?;
        range.contains(&address).then(|| (inode, line[path..].to_vec()))
    })
}

/// `7f1200000000-7f1200001000 r--p 00000000 fe:01 1234   /lib/libx.so`: addresses and inode; none for memory without a file.
fn area(line: &str) -> Option<(Range<usize>, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    let inode = fields.nth(3)?.parse().ok()?;
    (inode != 0).then_some((range, inode))
}

/// The file that holds `address`: a shared object's path as the loader knows it, or the program's own.
///
/// None for an address that no file is mapped at: the heap, a stack, code made at run time. It is not `dladdr`, which answers
/// `argv[0]` for the program.
#[must_use]
pub fn file_of(address: usize) -> Option<PathBuf> {
    let mut name = None;
    each(|object| {
        if object.holds(address) {
            name = Some((object.name.to_bytes().to_vec(), object.is_vdso()));
        }
        name.is_none()
    });
    match name? {
        (_, true) => None,
        (name, _) if name.is_empty() => std::fs::read_link("/proc/self/exe").ok(),
        (name, _) => Some(PathBuf::from(OsString::from_vec(name))),
    }
}

/// Those of the `new` objects that came by themselves: no other new object needs them. In the order given.
///
/// `facts` gives an object's SONAME and its DT_NEEDED list. A need is met by SONAME or by file name, as ld.so does it. Objects that
/// need each other in a ring and that nothing else needs have one root: the first of them, which ld.so maps first because it was
/// asked for.
pub fn roots(new: &[PathBuf], mut facts: impl FnMut(&Path) -> (Option<OsString>, Vec<OsString>)) -> Vec<PathBuf> {
    let facts: Vec<_> = new.iter().map(|path| facts(path)).collect();
    let mut by_name: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (index, (path, (soname, _))) in new.iter().zip(&facts).enumerate() {
        let file = path.file_name().map(OsStrExt::as_bytes);
        let soname = soname.as_deref().map(OsStrExt::as_bytes);
        for name in soname.into_iter().chain(file.filter(|f| Some(*f) != soname)) {
            by_name.entry(name).or_default().push(index);
        }
    }
    let needs: Vec<Vec<usize>> = facts
        .iter()
        .map(|(_, needed)| {
            let hits = needed.iter().filter_map(|n| by_name.get(n.as_bytes()));
            hits.flatten().copied().collect()
        })
        .collect();

    let mut needed = vec![false; new.len()];
    for (index, list) in needs.iter().enumerate() {
        for &other in list.iter().filter(|&&other| other != index) {
            needed[other] = true;
        }
    }
    let mut is_root: Vec<bool> = needed.iter().map(|needed| !needed).collect();
    let mut covered = HashSet::new();
    for (index, _) in is_root.iter().enumerate().filter(|(_, root)| **root) {
        covered.extend(reach(index, &needs));
    }
    // What no root reaches hangs on a ring of objects that need each other.
    for index in 0..new.len() {
        if covered.contains(&index) {
            continue;
        }
        let root = head_of_ring(index, &needs, &covered);
        is_root[root] = true;
        covered.extend(reach(root, &needs));
    }
    let kept = new.iter().zip(is_root).filter(|(_, root)| *root);
    kept.map(|(path, _)| path.clone()).collect()
}

/// The first object of the ring that everything which leads to `start` comes from.
fn head_of_ring(start: usize, needs: &[Vec<usize>], covered: &HashSet<usize>) -> usize {
    let mut head = start;
    let mut below = reach(head, needs);
    // One pass is enough: an object passed over reaches neither the head of then nor, by way of it, a later one.
    for other in (0..needs.len()).filter(|other| !covered.contains(other)) {
        if !below.contains(&other) {
            let its = reach(other, needs);
            if its.contains(&head) {
                head = other;
                below = its;
            }
        }
    }
    let mut ring = below.iter().copied().filter(|&other| reach(other, needs).contains(&head));
    ring.by_ref().min().unwrap_or(head)
}

/// Everything that `start` needs, directly or not, itself included.
fn reach(start: usize, needs: &[Vec<usize>]) -> HashSet<usize> {
    let mut seen = HashSet::from([start]);
    let mut open = vec![start];
    while let Some(index) = open.pop() {
        open.extend(needs[index].iter().filter(|&&other| seen.insert(other)));
    }
    seen
}

/// What the loader tells about one object.
struct Object<'a> {
    name: &'a CStr,
    base: usize,
    headers: &'a [libc::Elf64_Phdr],
    adds: u64,
    subs: u64,
}

impl Object<'_> {
    fn is_vdso(&self) -> bool {
        is_vdso(self.base)
    }

    fn holds(&self, address: usize) -> bool {
        let mut loads = self.headers.iter().filter(|h| h.p_type == libc::PT_LOAD);
        let offset = address.wrapping_sub(self.base) as u64;
        loads.any(|load| offset.wrapping_sub(load.p_vaddr) < load.p_memsz)
    }
}

/// The kernel's own object, which has a name but no file.
fn is_vdso(base: usize) -> bool {
    // SAFETY: getauxval only looks into the table that the kernel gave the process.
    let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    base != 0 && base as libc::c_ulong == vdso
}

/// Calls `visit` for each object in the order of loading, the main program first, until it answers false. `visit` must neither
/// panic nor load: it runs under the loader's lock.
fn each<F: FnMut(&Object<'_>) -> bool>(mut visit: F) {
    unsafe extern "C" fn step<F: FnMut(&Object<'_>) -> bool>(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        visit: *mut c_void,
    ) -> c_int {
        // SAFETY: dl_iterate_phdr hands over a valid record for the length of this call, and `visit` is what `each` gave it.
        let (info, visit) = unsafe { (&*info, &mut *visit.cast::<F>()) };
        let name = if info.dlpi_name.is_null() {
            c""
        } else {
            // SAFETY: ld.so keeps the name as a C string for as long as the object is mapped, which the lock assures.
            unsafe { CStr::from_ptr(info.dlpi_name) }
        };
        let headers = if info.dlpi_phdr.is_null() {
            &[]
        } else {
            // SAFETY: ld.so keeps that many program headers readable for as long as the object is mapped.
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) }
        };
        let object =
            Object { name, base: info.dlpi_addr as usize, headers, adds: info.dlpi_adds, subs: info.dlpi_subs };
        c_int::from(!visit(&object))
    }
    // SAFETY: `step::<F>` matches the pointer to `visit`, which outlives the call.
    unsafe {
        libc::dl_iterate_phdr(Some(step::<F>), (&raw mut visit).cast());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Facts = (&'static str, Option<&'static str>, &'static [&'static str]);

    fn roots_of(objects: &[Facts]) -> Vec<String> {
        let new: Vec<PathBuf> = objects.iter().map(|(path, _, _)| path.into()).collect();
        let found = roots(&new, |path| {
            let (_, soname, needed) = objects.iter().find(|o| Path::new(o.0) == path).unwrap();
            let needed = needed.iter().map(OsString::from).collect();
            (soname.map(OsString::from), needed)
        });
        found.iter().map(|p| p.display().to_string()).collect()
    }

    #[test]
    fn what_another_newcomer_needs_is_no_root() {
        let objects: &[Facts] = &[
            ("/l/a.so", Some("liba.so.1"), &["libb.so.1", "libc.so.6"]),
            ("/l/b.so", Some("libb.so.1"), &["libc.so"]),
            ("/l/libc.so", None, &[]),
            ("/l/d.so", None, &["libb.so.1"]),
        ];
        assert_eq!(roots_of(objects), ["/l/a.so", "/l/d.so"]);
    }

    #[test]
    fn a_private_copy_is_needed_by_its_file_name() {
        let objects: &[Facts] =
            &[("/l/a.so", None, &["libz.e05c5b49.so.1"]), ("/l/libz.e05c5b49.so.1", Some("libz.so.1"), &[])];
        assert_eq!(roots_of(objects), ["/l/a.so"]);
    }

    #[test]
    fn a_ring_has_one_root_and_it_is_the_first() {
        let ring: &[Facts] = &[("/a", None, &["b"]), ("/b", None, &["c"]), ("/c", None, &["a"])];
        assert_eq!(roots_of(ring), ["/a"]);
    }

    #[test]
    fn what_hangs_on_a_ring_is_no_root_even_if_it_comes_first() {
        let objects: &[Facts] = &[
            ("/leaf", None, &[]),
            ("/low1", None, &["low2", "leaf"]),
            ("/low2", None, &["low1"]),
            ("/top2", None, &["top1", "low1"]),
            ("/top1", None, &["top2"]),
        ];
        assert_eq!(roots_of(objects), ["/top2"]);
    }

    #[test]
    fn an_object_that_needs_itself_is_a_root() {
        assert_eq!(roots_of(&[("/a", Some("a"), &["a"])]), ["/a"]);
    }

    #[test]
    fn every_newcomer_is_reached_from_the_roots() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..500 {
            let count = random.usize(1..12);
            let needs: Vec<Vec<usize>> =
                (0..count).map(|_| (0..random.usize(0..3)).map(|_| random.usize(0..count)).collect()).collect();
            let new: Vec<PathBuf> = (0..count).map(|i| format!("/l/{i}").into()).collect();
            let index = |path: &Path| -> usize { path.to_str().unwrap()[3..].parse().unwrap() };
            let found = roots(&new, |path| {
                let needed = needs[index(path)].iter().map(|need| need.to_string().into()).collect();
                (None, needed)
            });
            let found: Vec<usize> = found.iter().map(|path| index(path)).collect();
            let mut covered = HashSet::new();
            for &root in &found {
                covered.extend(reach(root, &needs));
            }
            assert_eq!(covered.len(), count);
            for &root in &found {
                let others = found.iter().filter(|&&other| other != root);
                assert!(others.into_iter().all(|&other| !reach(other, &needs).contains(&root)));
            }
        }
    }

    #[test]
    fn libc_is_mapped_and_the_program_is_not() {
        let list = mapped();
        assert!(list.iter().any(|m| m.path.to_string_lossy().contains("libc.so")));
        let program = std::fs::read_link("/proc/self/exe").unwrap();
        assert!(list.iter().all(|m| m.path != program && m.path.is_file()));
    }

    #[test]
    fn a_watch_tells_each_newcomer_once() {
        let mut watch = Watch::default();
        let (all, _) = watch.news();
        assert!(all.iter().any(|new| new.path.to_string_lossy().contains("libc.so")));
        let name = c"libBrokenLocale.so.1";
        // SAFETY: it has no constructor that could do harm.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY) };
        assert!(!handle.is_null());
        assert!(watch.news().0.iter().any(|new| new.path.ends_with("libBrokenLocale.so.1")));
        assert!(watch.news().0.iter().all(|new| !new.path.ends_with("libBrokenLocale.so.1")));
        assert!(mapped().iter().any(|m| m.path.ends_with("libBrokenLocale.so.1")));
    }

    #[test]
    fn a_mapped_file_is_known_by_its_inode() {
        use std::os::unix::fs::MetadataExt;
        let libc = mapped().into_iter().find(|object| object.path.to_string_lossy().contains("libc.so")).unwrap();
        let inode = std::fs::metadata(&libc.path).unwrap().ino();
        assert_eq!(inode_at(libc.base), Some(inode));
        assert_eq!(inode_at(0), None);
    }

    #[test]
    fn an_address_belongs_to_its_file() {
        let program = std::fs::read_link("/proc/self/exe").unwrap();
        assert_eq!(file_of(mapped as *const () as usize), Some(program));
        let libc = file_of(libc::getpid as *const () as usize).unwrap();
        assert!(libc.to_string_lossy().contains("libc.so"), "{}", libc.display());
        let heap = Box::new(1u8);
        assert_eq!(file_of(&raw const *heap as usize), None);
    }
}
