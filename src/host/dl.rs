//! The handles of this process; the only user of libloading.
//!
//! Handles are never closed: a constructor may have started threads, and unique symbols stay mapped anyway (measured:
//! dlclose after such a constructor crashes). Undone means parked: open RTLD_LOCAL, invisible, and taken up again by a
//! later request, without a second run of its constructors.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString, c_void};
use std::mem::ManuallyDrop;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};

use libloading::os::unix;

use super::identify::{Identifier, IdentifyError, Stamp};
use super::node::NodeCache;
use super::{InodeAt, Opener, inside, layered, search};
use crate::error::{Phase, complain};
use crate::identity::Identity;
use crate::outcome::Failure;
use crate::plan::{Item, Key, Library as Wanted, What};
use crate::request::OpenFlags;

/// A library that every rank has loaded, opened once more for this caller.
///
/// It stays loaded when this is dropped: dlcast keeps a handle of its own.
#[derive(Clone, Debug)]
pub struct Library {
    open: Arc<unix::Library>,
    path: PathBuf,
    identity: Identity,
}

impl Library {
    /// Looks up a symbol.
    ///
    /// # Safety
    /// As for `libloading::Library::get`: `T` must be the type of the function or variable of that name.
    ///
    /// # Errors
    /// What dlsym says, where the library has no such symbol.
    pub unsafe fn get<T>(&self, symbol: &str) -> Result<unix::Symbol<T>, libloading::Error> {
        // SAFETY: the type is the caller's word.
        unsafe { self.open.get(symbol.as_bytes()) }
    }

    /// The file on this rank.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is, on every rank.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A handle for dlsym and dlclose, owned by the caller; null if the loader refuses.
    pub fn raw_handle(&self) -> *mut c_void {
        reopen(&self.path, OpenFlags::LAZY).map_or(std::ptr::null_mut(), unix::Library::into_raw)
    }
}

/// A library that is open on this rank, whatever the others have. It stays open.
#[derive(Debug)]
pub struct LocalLibrary(ManuallyDrop<unix::Library>);

impl LocalLibrary {
    /// Looks up a symbol.
    ///
    /// # Safety
    /// As for [`Library::get`].
    ///
    /// # Errors
    /// What dlsym says, where the library has no such symbol.
    pub unsafe fn get<T>(&self, symbol: &str) -> Result<unix::Symbol<T>, libloading::Error> {
        // SAFETY: the type is the caller's word.
        unsafe { self.0.get(symbol.as_bytes()) }
    }

    /// The handle, which may be closed once: dlcast has not kept it.
    pub(crate) fn into_raw(self) -> *mut c_void {
        ManuallyDrop::into_inner(self.0).into_raw()
    }
}

/// Opens a library as the program itself would. For constructors: takes no lock but the loader's, which they hold, and so neither
/// looks at the file first nor knows of equal copies.
///
/// # Errors
/// What dlerror says.
pub fn open_here(path: &str, flags: OpenFlags) -> Result<LocalLibrary, String> {
    let meant = open_before(path)?;
    let path = meant.as_ref().map_or(OsStr::new(path), |meant| meant.as_os_str());
    // SAFETY: opening runs the library's constructors, which is what the caller asks for.
    let open = unsafe { unix::Library::open(Some(path), flags.bits()) };
    open.map(|open| LocalLibrary(ManuallyDrop::new(open))).map_err(|error| loader_text(&error))
}

/// Opens what the layers have and `name` needs, before somebody opens that: a path, or a bare name. Where a bare name means a file of a
/// layer, that is given. For constructors, as [`open_here`].
///
/// # Errors
/// Which library of which layer cannot be opened, and what dlerror says.
pub fn open_before(name: &str) -> Result<Option<PathBuf>, String> {
    let meant = means(name);
    open_first(meant.as_deref().map_or(OsStr::new(name), Path::as_os_str)).map(|()| meant)
}

/// A library of this process, committed or parked.
struct Held {
    open: Arc<unix::Library>,
    path: PathBuf,
    /// What was at its path when dlcast opened it; none where the program had done so before.
    stamp: Option<Stamp>,
    global: bool,
    /// The loader's record of it.
    map: usize,
}

/// A file, and its state when it was identified.
#[derive(Clone)]
struct Place {
    path: PathBuf,
    stamp: Stamp,
}

/// A file that the loader has mapped.
struct Mapped {
    base: usize,
    /// What lay at its path when it was noticed.
    stamp: Option<Stamp>,
    inode_at: InodeAt,
    /// Whether that is the file that is mapped: the kernel has been asked.
    checked: Option<bool>,
}

/// What this process has open, and knows of files. One a process, because the loader is.
#[derive(Default)]
pub struct Host {
    identifier: Identifier,
    /// Where a file of an identity was found on this rank.
    places: HashMap<Identity, Place>,
    held: HashMap<Identity, Held>,
    /// The main program, once somebody has asked what it is.
    program: Option<(Identity, PathBuf)>,
    /// Why what was looked for last was not found, by spelling.
    unfound: HashMap<String, Failure>,
    /// Names under which files are mapped, by whomever; and by size, because a copy has the same.
    mapped: HashMap<OsString, Mapped>,
    by_size: HashMap<u64, Vec<PathBuf>>,
    /// What dlcast has opened, and has not been told of as mapped.
    untold: Vec<(PathBuf, Stamp)>,
    /// Every file that was ever open, so that one that was not is known by a single look.
    files: HashSet<[u64; 2]>,
    /// Libraries that the program has opened, and closes when it likes.
    borrowed: HashSet<Identity>,
    /// Whether what the program opens is left to it.
    borrows: bool,
}

static HOST: LazyLock<Mutex<Host>> = LazyLock::new(Mutex::default);

/// The host of this process, with the node cache of the session that asks.
pub struct Opening<'a> {
    host: MutexGuard<'static, Host>,
    node: Option<&'a mut NodeCache>,
    /// For which item constructors run.
    pub item: Option<Key>,
}

/// Takes the host. Constructors run under this lock: nothing that they may call takes it.
pub fn host(node: Option<&mut NodeCache>) -> Opening<'_> {
    Opening { host: HOST.lock().unwrap_or_else(PoisonError::into_inner), node, item: None }
}

/// The host, if no constructor is running under it.
pub fn try_host() -> Option<Opening<'static>> {
    match HOST.try_lock() {
        Ok(host) => Some(Opening { host, node: None, item: None }),
        Err(TryLockError::Poisoned(host)) => Some(Opening { host: host.into_inner(), node: None, item: None }),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Opening<'_> {
    /// The identity of what `spelling` means on this rank, if that was found out before and the file is still the same.
    pub fn known(&self, spelling: &str) -> Option<Identity> {
        let path = match spelling.contains('/') {
            true => PathBuf::from(spelling),
            false => find(spelling).ok()?,
        };
        self.host.identifier.known(&path)
    }

    fn identify(&mut self, path: &Path) -> Result<Identity, IdentifyError> {
        self.host.identifier.identify(path, self.node.as_deref_mut())
    }

    /// The identity of the file that `spelling` means on this rank.
    fn locate(&mut self, spelling: &str) -> Result<(Place, Identity), Failure> {
        let path = match spelling.contains('/') {
            true => PathBuf::from(spelling),
            false => find(spelling).map_err(|missing| Failure::new(Phase::Resolve, missing.to_string()))?,
        };
        match self.host.identifier.identify_file(&path, self.node.as_deref_mut()) {
            Ok((identity, stamp)) => Ok((Place { path, stamp }, identity)),
            Err(error) => Err(Failure::new(Phase::Resolve, error.to_string())),
        }
    }

    /// Mapped files that could be this library by their size, and are.
    fn mapped_copies(&mut self, identity: &Identity) -> Vec<PathBuf> {
        let alike = self.host.by_size.get(&identity.size).cloned().unwrap_or_default();
        let alike: Vec<PathBuf> = alike.into_iter().filter(|path| self.is_as_mapped(path)).collect();
        alike.into_iter().filter(|path| self.identify(path).is_ok_and(|found| found == *identity)).collect()
    }

    /// The loader compares names before it looks at files, and would answer a file that was put in an older one's place with
    /// the older one. Under a name that it does not know, it looks.
    fn detour(&self, path: PathBuf) -> PathBuf {
        // Compared as text, as the loader does: to `Path`, /x/./y is /x/y.
        let is_known = |name: &OsStr| {
            self.host.mapped.contains_key(name) || self.host.untold.iter().any(|(path, _)| path.as_os_str() == name)
        };
        let (Some(folder), Some(file)) = (path.parent(), path.file_name()) else { return path };
        let mut open_as = path.clone().into_os_string();
        let mut folder = folder.as_os_str().to_os_string();
        while is_known(&open_as) {
            folder.push("/.");
            open_as = folder.clone();
            open_as.push("/");
            open_as.push(file);
        }
        open_as.into()
    }

    /// The loader would answer a file that was rewritten in place with the older content that it has open.
    fn rewritten(&self, place: &Place) -> Option<String> {
        let now = &place.stamp;
        if !self.host.files.contains(&now.file()) {
            return None;
        }
        let held = self.host.held.values().filter_map(|held| held.stamp.as_ref());
        let mut older = held.chain(self.host.mapped.values().filter_map(|mapped| mapped.stamp.as_ref()));
        let rewritten = older.any(|older| older.is_same_file(now) && !older.is_same_content(now));
        let path = place.path.display();
        let text = "was rewritten in place while this process had it open; write a new file and rename it instead";
        rewritten.then(|| format!("{path}: {text}"))
    }

    /// What lies at a path now may have been put there after another file was mapped from it.
    fn is_as_mapped(&mut self, path: &Path) -> bool {
        let Some(mapped) = self.host.mapped.get_mut(path.as_os_str()) else { return true };
        let Ok(meta) = std::fs::metadata(path) else { return false };
        mapped.stamp.is_some_and(|stamp| stamp.is_same_content(&Stamp::of(&meta)))
            && *mapped
                .checked
                .get_or_insert_with(|| (mapped.inode_at)(mapped.base).is_none_or(|inode| inode == meta.ino()))
    }

    /// Why `spelling` meant nothing when it was looked for; where it was not, it is now.
    fn why_unfound(&mut self, spelling: &str) -> Result<(), Failure> {
        match self.host.unfound.get(spelling) {
            Some(failure) => Err(failure.clone()),
            None => self.locate(spelling).map(|_found| ()),
        }
    }

    /// The library for a caller, after commit.
    pub fn library(&self, identity: &Identity) -> Option<Library> {
        let held = self.host.held.get(identity)?;
        Some(Library { open: held.open.clone(), path: held.path.clone(), identity: identity.clone() })
    }

    /// Whether that is the main program: it needs no opening. Only asked for what code was said to be in.
    fn is_program(&self, identity: &Identity) -> bool {
        self.host.program.as_ref().is_some_and(|(program, _)| program == identity)
    }

    /// All that was loaded from a path, whatever lies there by now.
    pub fn held_at(&self, path: &Path) -> Vec<Identity> {
        let real = std::fs::canonicalize(path).ok();
        let is_there =
            |held: &Held| held.path == path || (real.is_some() && std::fs::canonicalize(&held.path).ok() == real);
        self.host.held.iter().filter(|(_, held)| is_there(held)).map(|(identity, _)| identity.clone()).collect()
    }

    /// What the program opens by itself is left to it from now on: its own dlclose means what it meant. But plugins are
    /// kept, because their tasks are.
    pub fn borrow(&mut self) {
        self.host.borrows = true;
    }

    pub(super) fn is_borrowed(&mut self, identity: &Identity) -> bool {
        if !self.host.borrowed.contains(identity) {
            return false;
        }
        let copies = self.mapped_copies(identity);
        !copies.is_empty() && !copies.iter().any(|path| super::table::is_plugin(path))
    }

    /// Whether it was told of as mapped, there.
    pub fn has_noted(&self, path: &Path, base: usize) -> bool {
        self.host.mapped.get(path.as_os_str()).is_some_and(|mapped| mapped.base == base)
    }

    /// Whether this process has it, by dlcast or by itself.
    pub fn is_open(&mut self, identity: &Identity) -> bool {
        self.host.held.contains_key(identity) || self.is_program(identity) || !self.mapped_copies(identity).is_empty()
    }

    /// What the main program is, and its file.
    pub(super) fn identify_program(&mut self) -> Result<(Identity, PathBuf), IdentifyError> {
        if let Some(known) = &self.host.program {
            return Ok(known.clone());
        }
        let program = self.host.identifier.identify_program(self.node.as_deref_mut())?;
        self.host.program = Some(program.clone());
        Ok(program)
    }

    /// Why a file that is mapped has no identity.
    pub fn why_no_identity(&mut self, spelling: &str) -> String {
        self.why_unfound(spelling).err().map_or_else(|| spelling.to_string(), |failure| failure.message)
    }

    /// A handle of an object that is open in this process, by dlcast, by the program, or as the program. No constructor
    /// runs; the handle is never closed.
    fn held_open(&mut self, identity: &Identity) -> Result<Arc<unix::Library>, String> {
        if let Some(held) = self.host.held.get(identity) {
            return Ok(held.open.clone());
        }
        if let Some(path) = self.mapped_copies(identity).into_iter().next() {
            let open =
                reopen(&path, OpenFlags::LAZY).ok_or_else(|| format!("{}: was closed meanwhile", path.display()))?;
            return Ok(Arc::new(open));
        }
        match self.program() {
            Ok((program, _)) if program == *identity => Ok(Arc::new(unix::Library::this())),
            _ => Err(format!("{identity} is not open in this process")),
        }
    }

    /// See [`Self::held_open`]; raw, for dlinfo.
    pub(super) fn open_handle(&mut self, identity: &Identity) -> Result<*mut c_void, String> {
        let open = self.held_open(identity)?;
        if let Some(held) = self.host.held.get(identity) {
            return reopen(&held.path, OpenFlags::LAZY)
                .map(unix::Library::into_raw)
                .ok_or_else(|| format!("{}: was closed meanwhile", held.path.display()));
        }
        Arc::try_unwrap(open).map(unix::Library::into_raw).map_err(|_| format!("{identity}: its handle is in use"))
    }

    /// Whether a library that dlcast has opened may export a symbol itself: false for certain.
    pub(super) fn may_export(&self, identity: &Identity, symbol: &[u8]) -> bool {
        let held = self.host.held.get(identity);
        held.is_none_or(|held| super::code::may_export(held.map, symbol))
    }

    /// Where the library is that dlcast has opened.
    pub fn held_path(&self, identity: &Identity) -> Option<&Path> {
        self.host.held.get(identity).map(|held| held.path.as_path())
    }

    /// The address of a symbol, of the object itself or of what it needs.
    pub(super) fn symbol(&mut self, identity: &Identity, symbol: &str) -> Result<usize, String> {
        let open = self.held_open(identity)?;
        // SAFETY: only the address is taken; nothing is called or read through it here.
        let found = unsafe { open.get::<*const c_void>(symbol.as_bytes()) };
        let address = found.map(|found| (*found).expose_provenance()).map_err(|error| loader_text(&error));
        // The program's own handles stay as they are; this one is kept for ever.
        std::mem::forget(open);
        address
    }

    /// Files read and hashed by this process so far.
    pub fn files_hashed(&self) -> u64 {
        self.host.identifier.hashed
    }
}

impl Opener for Opening<'_> {
    fn find(&mut self, spelling: &str, flags: OpenFlags, opened: bool) -> Wanted {
        let flags = flags.settled();
        let mut wanted = Wanted { identity: None, spellings: vec![spelling.into()], path: None, flags };
        let mut found = self.locate(spelling);
        if let Ok((place, _)) = &found
            && opened
            && !self.is_as_mapped(&place.path)
        {
            let path = place.path.display();
            let text = format!("{path}: was replaced after this process had opened it; open it when it is complete");
            found = Err(Failure::new(Phase::Resolve, text));
        }
        match found {
            Ok((place, identity)) => {
                self.host.unfound.remove(spelling);
                if let Some(text) = place.path.to_str() {
                    wanted.path = Some(text.into());
                    wanted.identity = Some(identity.clone());
                    if opened && self.host.borrows {
                        self.host.borrowed.insert(identity.clone());
                    }
                    // The newest: what lay at an older place may be something else by now.
                    self.host.places.insert(identity, place);
                }
            }
            Err(failure) => {
                self.host.unfound.insert(spelling.into(), failure);
            }
        }
        wanted
    }

    fn copies(&mut self, library: &Wanted) -> Vec<String> {
        let Some(identity) = &library.identity else { return Vec::new() };
        let copies = self.mapped_copies(identity);
        match copies.len() {
            0 | 1 => Vec::new(),
            _ => copies.iter().map(|path| path.display().to_string()).collect(),
        }
    }

    fn stage(&mut self, item: &Item) -> Result<(), Failure> {
        let callback = match &item.what {
            What::Callback(callback) => callback.library(),
            _ => None,
        };
        let library = match (&item.what, &callback) {
            (What::Library(library), _) | (_, Some(library)) => library,
            _ => return Ok(()),
        };
        let Some(identity) = &library.identity else {
            // Where this rank could load it, no rank that asked for it can.
            return library.spellings.first().map_or(Ok(()), |spelling| self.why_unfound(spelling));
        };
        if self.host.held.contains_key(identity) {
            return Ok(());
        }
        if !self.mapped_copies(identity).is_empty() {
            return Ok(());
        }
        if callback.is_some() && self.program().is_ok_and(|(program, _)| program == *identity) {
            return Ok(());
        }
        let known = self.host.places.get(identity).and_then(|place| place.path.to_str()).map(String::from);
        let mut tried: Vec<String> = Vec::new();
        let mut failures: Vec<Failure> = Vec::new();
        for spelling in known.into_iter().chain(library.path.clone()).chain(library.spellings.clone()) {
            if tried.contains(&spelling) {
                continue;
            }
            match self.locate(&spelling) {
                Ok((place, found)) if found == *identity => {
                    self.host.places.insert(identity.clone(), place);
                    return Ok(());
                }
                Ok((place, found)) => {
                    let message = format!(
                        "{} is {found} here, but {} asked for {identity}: give all ranks the same file",
                        place.path.display(),
                        item.holders
                    );
                    failures.insert(0, Failure::new(Phase::Stage, message));
                }
                Err(failure) => failures.push(failure),
            }
            tried.push(spelling);
        }
        // Another content says more than a missing alternative.
        let mut failures = failures.into_iter();
        let first = failures.next();
        Err(first.unwrap_or_else(|| Failure::new(Phase::Stage, format!("no path to {identity} was given"))))
    }

    fn open(&mut self, library: &Wanted) -> Result<(), Failure> {
        let Some(identity) = &library.identity else {
            // It was not found when it was recorded; if it is there by now, other ranks do not know what it is.
            let spelling = library.spellings.first().map_or("", String::as_str);
            return match self.why_unfound(spelling) {
                Err(failure) => Err(failure),
                Ok(()) => Err(Failure::new(Phase::Resolve, format!("{spelling}: appeared only now; ask for it again"))),
            };
        };
        if self.host.held.contains_key(identity) || self.is_program(identity) || self.is_borrowed(identity) {
            return Ok(());
        }
        // Equal sets are not staged: what the program has open already is looked for here.
        let (path, stamp) = match (self.mapped_copies(identity).into_iter().next(), self.host.places.get(identity)) {
            (Some(path), _) => (path, None),
            (None, Some(place)) => match self.rewritten(place) {
                Some(older) => return Err(Failure::new(Phase::Open, older)),
                None => (self.detour(place.path.clone()), Some(place.stamp)),
            },
            (None, None) => return Err(Failure::new(Phase::Open, format!("no file of {identity} was found"))),
        };
        let flags = library.flags - OpenFlags::GLOBAL;
        let opened = inside::constructor(self.item, || {
            open_first(path.as_os_str())?;
            // SAFETY: opening runs the library's constructors, which is what the ranks have asked for; the file was
            // checked as ELF and is the one that all ranks agreed on.
            unsafe { unix::Library::open(Some(&path), flags.bits()) }.map_err(|error| loader_text(&error))
        });
        match opened {
            Ok(Ok(open)) => {
                let forbidden = inside::take_forbidden();
                if let Some(stamp) = stamp {
                    self.host.untold.push((path.clone(), stamp));
                    self.host.files.insert(stamp.file());
                }
                let handle = open.into_raw();
                let map = super::code::map_of(handle);
                // SAFETY: the handle that was just taken out.
                let open = Arc::new(unsafe { unix::Library::from_raw(handle) });
                let held = Held { open, path, stamp, global: false, map };
                self.host.held.insert(identity.clone(), held);
                forbidden.map_or(Ok(()), |calls| Err(Failure::new(Phase::Open, format!("its constructor {calls}"))))
            }
            Ok(Err(text)) => Err(Failure::new(Phase::Open, text)),
            Err(_panic) => Err(Failure::new(Phase::Open, format!("{}: a constructor panicked", path.display()))),
        }
    }

    fn commit(&mut self, library: &Wanted) -> Result<(), Failure> {
        let held = library.identity.as_ref().and_then(|identity| self.host.held.get_mut(identity));
        match held {
            Some(held) if library.flags.contains(OpenFlags::GLOBAL) && !held.global => {
                match reopen(&held.path, OpenFlags::LAZY | OpenFlags::GLOBAL) {
                    Some(promoted) => {
                        // The same object once more: closing it later would only count down.
                        std::mem::forget(promoted);
                        held.global = true;
                        Ok(())
                    }
                    None => Err(Failure::new(Phase::Commit, format!("{}: not promoted", held.path.display()))),
                }
            }
            _ => Ok(()),
        }
    }

    fn note_mapped(&mut self, files: Vec<(PathBuf, usize)>, everything: bool, inode_at: InodeAt) -> Vec<PathBuf> {
        let mut owned = Vec::new();
        if everything {
            let still = |name: &OsString, base| files.iter().any(|(path, at)| path.as_os_str() == name && *at == base);
            let host = &mut *self.host;
            host.mapped.retain(|name, mapped| still(name, mapped.base));
            host.by_size.values_mut().for_each(|paths| paths.retain(|path| host.mapped.contains_key(path.as_os_str())));
        }
        for (path, base) in files {
            if self.host.mapped.contains_key(path.as_os_str()) {
                continue;
            }
            let own = self.host.untold.iter().position(|(own, _)| own.as_os_str() == path.as_os_str());
            if own.is_none() && layered::has_opened(&path) {
                owned.push(path.clone());
            }
            let (stamp, checked) = match own.map(|own| self.host.untold.swap_remove(own).1) {
                // What dlcast has opened itself needs no second look.
                Some(stamp) => {
                    owned.push(path.clone());
                    (Some(stamp), Some(true))
                }
                None => (std::fs::metadata(&path).map(|meta| Stamp::of(&meta)).ok(), None),
            };
            if let Some(stamp) = &stamp {
                self.host.files.insert(stamp.file());
                self.host.by_size.entry(stamp.size()).or_default().push(path.clone());
            }
            let mapped = Mapped { base, stamp, inode_at, checked };
            self.host.mapped.insert(path.into_os_string(), mapped);
        }
        owned
    }
}

/// Whether an object that is mapped under this path exports a symbol, itself and not by what it needs.
pub(super) fn own_symbol(path: &Path, symbol: &[u8]) -> bool {
    let Some(open) = reopen(path, OpenFlags::LAZY) else { return false };
    // SAFETY: only the address is taken; nothing is called or read through it here.
    let address = unsafe { open.get::<*const c_void>(symbol) }.map(|found| (*found).expose_provenance());
    let holder = address.ok().and_then(super::code::object_at).and_then(|object| object.path);
    // Closed again when this returns: a handle that stayed would outlive the program's dlclose.
    holder.is_some_and(|holder| holder == path)
}

/// Opens an MPI for [`super::probe`], as a program that is linked with it would have it: visible to what it opens itself.
pub(super) fn open_mpi(path: &Path) -> Result<unix::Library, String> {
    // SAFETY: the initialisers of an MPI library, in a process that was started to run them.
    unsafe { unix::Library::open(Some(path), libc::RTLD_NOW | libc::RTLD_GLOBAL) }.map_err(|error| loader_text(&error))
}

/// Opens dlcast's own engine for [`super::probe`], as the shim does.
pub(super) fn open_beside_mpi(path: &Path) -> Result<unix::Library, String> {
    // SAFETY: the engine's initialisers, in a process that was started to run them.
    unsafe { unix::Library::open(Some(path), libc::RTLD_NOW | libc::RTLD_LOCAL) }.map_err(|error| loader_text(&error))
}

/// The file that a bare name means: what is loaded under it, what the layers have, or else what ld.so finds.
fn find(name: &str) -> Result<PathBuf, search::NotFound> {
    means(name).map_or_else(|| search::find(name), Ok)
}

/// The file of a layer that a bare name means.
fn means(name: &str) -> Option<PathBuf> {
    let means = if name.contains('/') { None } else { layered::means(name) };
    means.filter(|_| search::loaded(name).is_none())
}

/// Opens what the layers have and this object needs.
fn open_first(asker: &OsStr) -> Result<(), String> {
    // Plans are JSON, and name nothing else.
    let Some(asker) = asker.to_str() else { return Ok(()) };
    for library in layered::before(asker) {
        let file = library.file.display();
        // Another thread may look at the link maps meanwhile: it is dlcast's own from here on.
        let mark = layered::Mark::on(&library.file);
        match library.soname.as_deref().and_then(search::loaded) {
            // What is loaded under a name is what everything gets that needs it.
            Some(loaded) if crate::layers::same(&loaded, &library.file).unwrap_or(false) => {}
            Some(loaded) => complain(&format!(
                "{asker}: needs {file} of layer `{}`, but gets {}, which was open before under the same name: activate the layers earlier",
                library.layer,
                loaded.display()
            )),
            None => {
                // SAFETY: opening runs the library's constructors, which the loader would run if it found the library by itself.
                let open = unsafe { unix::Library::open(Some(&library.file), libc::RTLD_NOW | libc::RTLD_LOCAL) };
                let open = open.map_err(|error| {
                    let text = loader_text(&error);
                    format!("{asker}: needs {file} of layer `{}`, which cannot be opened: {text}", library.layer)
                })?;
                // Never closed, as all handles.
                std::mem::forget(open);
            }
        }
        mark.keep();
    }
    Ok(())
}

/// A further handle of a library that is open: no constructor runs.
fn reopen(path: &Path, flags: OpenFlags) -> Option<unix::Library> {
    // SAFETY: RTLD_NOLOAD loads nothing; it finds the object that is open, or fails.
    unsafe { unix::Library::open(Some(path), flags.bits() | libc::RTLD_NOLOAD) }.ok()
}

/// The loader's own words, without libloading's.
fn loader_text(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
