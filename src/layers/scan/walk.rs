//! Goes through the folders of all layers, by several threads: on a network's file system each folder is a wait.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, open, openat, statat};

use super::candidate::{Candidate, is_for_all, is_library, is_main, is_of_interest};
use super::classify::classify;
use super::{Counts, Object, ScanError, Scanned};
use crate::layers::stack::Stack;

/// Where processors are few, waiting for a network still overlaps.
const FEWEST: usize = 2;
/// More threads than this do not make one file system faster.
const MOST: usize = 8;
/// What the kernel gives at once.
const BUFFER: usize = 1 << 15;

/// Folders farther down are opened by their whole path, so that those above them need not stay open.
const DEEPEST: usize = 64;

/// A folder that nobody has listed yet; relative to its layer.
struct Folder {
    layer: usize,
    path: PathBuf,
    /// The folder that it is in, while that is open: a short way for the kernel.
    parent: Option<Arc<OwnedFd>>,
}

/// What is the same for all threads.
struct Shared<'a> {
    stack: &'a Stack,
    /// The folders of the layers, as they are called and as they really are.
    layers: HashSet<&'a Path>,
    real: Vec<PathBuf>,
    queue: Queue,
}

/// What one thread has found.
struct Found {
    layers: Vec<(Vec<Object>, Counts)>,
    failed: Vec<(PathBuf, io::Error)>,
}

/// Lists and looks at everything, in no particular order.
pub fn walk(stack: &Stack) -> Result<Vec<Scanned>, ScanError> {
    let start = (0..stack.layers.len()).rev().map(|layer| Folder { layer, path: PathBuf::new(), parent: None });
    let shared = Shared {
        stack,
        layers: stack.layers.iter().map(|layer| layer.path.as_path()).collect(),
        real: stack.layers.iter().map(|layer| fs::canonicalize(&layer.path).unwrap_or_default()).collect(),
        queue: Queue::new(start.collect()),
    };
    let mut scanned: Vec<Scanned> = (0..stack.layers.len())
        .map(|layer| Scanned { layer, objects: Vec::new(), counts: Counts::default() })
        .collect();
    let mut failed = Vec::new();
    let threads = thread::available_parallelism().map_or(FEWEST, |count| count.get().clamp(FEWEST, MOST));
    thread::scope(|scope| {
        // Where no thread can be had, this one does it alone.
        let others = (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, || work(&shared)).ok());
        let others: Vec<_> = others.collect();
        let mut found = vec![work(&shared)];
        found.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic))));
        for found in found {
            for (layer, (objects, counts)) in scanned.iter_mut().zip(found.layers) {
                layer.objects.extend(objects);
                layer.counts += counts;
            }
            failed.extend(found.failed);
        }
    });
    // Of several the same one is told every time.
    match failed.into_iter().min_by(|one, other| one.0.cmp(&other.0)) {
        Some((path, source)) => Err(ScanError::Folder { path, source }),
        None => Ok(scanned),
    }
}

/// What one thread does.
fn work(shared: &Shared) -> Found {
    let layers = &shared.stack.layers;
    let mut found =
        Found { layers: layers.iter().map(|_| (Vec::new(), Counts::default())).collect(), failed: Vec::new() };
    let mut buffer = Vec::with_capacity(BUFFER);
    while let Some(task) = shared.queue.next() {
        let Folder { layer, path, .. } = &task.folder;
        let root = &layers[*layer].path;
        let (objects, counts) = &mut found.layers[*layer];
        match list(shared, &task.folder, &mut buffer) {
            Ok(None) => {}
            Ok(Some(listing)) => {
                counts.folders += 1;
                counts.listed += listing.files;
                let parent = (path.iter().count() < DEEPEST).then(|| listing.opened.clone());
                let folders = listing.folders.into_iter();
                task.add(folders.map(|path| Folder { layer: *layer, path, parent: parent.clone() }));
                let candidates = listing.candidates.into_iter();
                objects.extend(candidates.filter_map(|found| classify(root, &listing.opened, found, counts)));
            }
            Err(error) => found.failed.push((root.join(path), error)),
        }
    }
    found
}

/// What a folder has.
struct Listing {
    opened: Arc<OwnedFd>,
    /// How many files there are, candidates or not.
    files: u64,
    candidates: Vec<Candidate>,
    folders: Vec<PathBuf>,
}

/// Lists a folder. None where it is another environment.
fn list(shared: &Shared, folder: &Folder, buffer: &mut Vec<u8>) -> io::Result<Option<Listing>> {
    let whole = shared.stack.layers[folder.layer].path.join(&folder.path);
    let is_layer = folder.path.as_os_str().is_empty();
    if !is_layer && shared.layers.contains(whole.as_path()) {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match (&folder.parent, folder.path.file_name()) {
        (Some(parent), Some(name)) => openat(parent, name, flags, Mode::empty())?,
        _ => open(&whole, flags, Mode::empty())?,
    };
    let opened = Arc::new(opened);
    let mut entries = RawDir::new(&opened, buffer.spare_capacity_mut());
    let mut listing = Listing { opened: opened.clone(), files: 0, candidates: Vec::new(), folders: Vec::new() };
    let all = is_for_all(&folder.path);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let bytes = name.to_bytes();
        if matches!(bytes, b"." | b"..") {
            continue;
        }
        if !is_layer && matches!(bytes, b"pyvenv.cfg" | b"conda-meta") {
            return Ok(None);
        }
        let path = || folder.path.join(OsStr::from_bytes(bytes));
        match kind(&opened, name, entry.file_type())? {
            FileType::Directory if is_of_interest(&folder.path, bytes) => listing.folders.push(path()),
            FileType::Directory => {}
            FileType::Symlink if is_main(&path()) && leads_out(shared, folder.layer, &path()) => {
                listing.folders.push(path());
            }
            kind => {
                listing.files += 1;
                let named = is_library(bytes);
                if named || (all && matches!(kind, FileType::RegularFile | FileType::Symlink)) {
                    listing.candidates.push(Candidate { path: path(), named, kind });
                }
            }
        }
    }
    Ok(Some(listing))
}

/// Not every file system gives the kinds of files with their names.
fn kind(folder: &OwnedFd, name: &CStr, given: FileType) -> io::Result<FileType> {
    match given {
        FileType::Unknown => Ok(FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)),
        known => Ok(known),
    }
}

/// Whether a link to a folder leads to what the walk does not come to anyway. Often `lib64` is a link to `lib`.
fn leads_out(shared: &Shared, layer: usize, path: &Path) -> bool {
    let whole = shared.stack.layers[layer].path.join(path);
    let Some(real) = fs::canonicalize(&whole).ok().filter(|real| real.is_dir()) else {
        return false;
    };
    let twin = fs::canonicalize(shared.stack.layers[layer].path.join("lib")).ok();
    !real.starts_with(&shared.real[layer]) && (path != Path::new("lib64") || twin != Some(real))
}

/// The folders that are still to be listed.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    folders: Vec<Folder>,
    /// Those that are being listed: more may come of them.
    busy: usize,
    /// Threads that have nothing to do: only then is there somebody to wake.
    waiting: usize,
}

/// A folder that a thread is at.
struct Task<'a> {
    folder: Folder,
    queue: &'a Queue,
}

impl Queue {
    fn new(folders: Vec<Folder>) -> Queue {
        Queue { state: Mutex::new(State { folders, busy: 0, waiting: 0 }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next folder; none when there will be none.
    fn next(&self) -> Option<Task<'_>> {
        let mut state = self.lock();
        while state.folders.is_empty() && state.busy > 0 {
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let folder = state.folders.pop()?;
        state.busy += 1;
        Some(Task { folder, queue: self })
    }
}

impl Task<'_> {
    fn add(&self, folders: impl Iterator<Item = Folder>) {
        let mut state = self.queue.lock();
        state.folders.extend(folders);
        if state.waiting > 0 && !state.folders.is_empty() {
            self.queue.changed.notify_all();
        }
    }
}

/// A thread that panics counts as done, too: the others must not wait for it.
impl Drop for Task<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.busy -= 1;
        if state.busy == 0 && state.waiting > 0 {
            self.queue.changed.notify_all();
        }
    }
}
