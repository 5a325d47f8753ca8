//! A process as ld.so would fill it: which object asks for which name, in which order, and what it is given.
//!
//! Nothing is loaded, no code runs: what a constructor or the program itself opens later is told to it with
//! [`open`](Process::open). LD_PRELOAD, LD_AUDIT and filters (DT_FILTER) are not followed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::disk::{FileId, Unread};
use super::{Disk, Folder, Found, List, Rule, System, Trail, folders};
use crate::layers::elf::{Elf, ElfError, Kind};

/// More objects than a process ever has; a chain that never ends does at this point.
const MOST_OBJECTS: usize = 16_384;
/// More needs than a linker ever writes into one object; the rest is not followed.
const MOST_NEEDS: usize = 1024;

/// An object in the process.
#[derive(Debug, Clone)]
pub struct Object {
    /// As ld.so calls it: links are not resolved.
    pub path: PathBuf,
    /// What it says of itself.
    pub elf: Rc<Elf>,
    /// The object that needed it first; None for the program, and for what was opened.
    pub by: Option<usize>,
    rpath: Rc<Vec<Folder>>,
    runpath: Rc<Vec<Folder>>,
}

/// One name that one object needs, and what came of it.
#[derive(Debug, Clone)]
pub struct Need {
    /// The object that needs it.
    pub by: usize,
    /// Where it was sought.
    pub trail: Trail,
    /// What it was given.
    pub given: Result<usize, NotGiven>,
}

/// Why a name led to no object.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotGiven {
    /// Nothing served; the trail says why.
    #[error("not found")]
    NotFound,
    /// The file that was found cannot be loaded.
    #[error("{0}")]
    Unread(Rc<Unread>),
    /// There are too many.
    #[error("more objects than a process can have")]
    TooMany,
}

/// The objects that the system has brought along: found in its cache or folders, and what those found by paths of their own. What
/// they need in turn is the system's affair.
#[must_use]
pub fn of_system(needs: &[Need]) -> HashSet<usize> {
    let mut system = HashSet::new();
    for Need { by, trail, given } in needs {
        let (Some(found), Ok(given)) = (&trail.found, given) else { continue };
        let is_own_path = matches!(found.rule, Rule::Rpath(_) | Rule::Runpath(_) | Rule::Path);
        if matches!(found.rule, Rule::Cache | Rule::System) || (is_own_path && system.contains(by)) {
            system.insert(*given);
        }
    }
    system
}

/// What came of opening something.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Where it was sought.
    pub trail: Trail,
    /// Which object it is.
    pub given: Result<usize, NotGiven>,
    /// What it needs, and what that needs, breadth first, as ld.so goes; without what was loaded before.
    pub needs: Vec<Need>,
}

/// Where a name was sought, which object it is, and whether that is a new one.
type Mapped = (Trail, Result<usize, NotGiven>, bool);

/// A process that is filled in thought.
#[derive(Clone)]
pub struct Process<'a> {
    system: &'a System,
    disk: &'a Disk,
    library_path: Rc<Vec<Folder>>,
    objects: Vec<Object>,
    names: HashMap<OsString, usize>,
    files: HashMap<FileId, usize>,
    program: Option<usize>,
}

impl<'a> Process<'a> {
    /// A process without a program: with the loader in it, whose path is `loader`.
    #[must_use]
    pub fn empty(system: &'a System, disk: &'a Disk, loader: Option<&str>) -> Process<'a> {
        let mut process = Process {
            system,
            disk,
            library_path: Rc::default(),
            objects: Vec::new(),
            names: HashMap::new(),
            files: HashMap::new(),
            program: None,
        };
        if let Some(loader) = loader
            && let Ok(elf) = disk.object(Path::new(loader))
        {
            process.add(loader.as_ref(), Path::new(loader), elf, None);
        }
        process
    }

    /// Sets LD_LIBRARY_PATH.
    pub fn set_library_path(&mut self, folders: Vec<Folder>) {
        self.library_path = Rc::new(folders);
    }

    /// The folders that LD_LIBRARY_PATH stands for in a process of `program`.
    #[must_use]
    pub fn library_path(program: &Path, value: impl AsRef<OsStr>, system: &System) -> Vec<Folder> {
        folders::of_variable(value.as_ref(), &origin_of_program(program), system)
    }

    /// Starts a program: what it needs is loaded. What is opened later is found by way of its RPATH, too.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn start(&mut self, program: &Path) -> Result<Vec<Need>, Rc<Unread>> {
        let elf = self.disk.object(program)?;
        let index = self.add("".as_ref(), program, elf, None);
        self.program = Some(index);
        if is_privileged(program) {
            self.library_path = Rc::default();
        }
        // The kernel knows the program by its real file, an object is known by the path that led to it.
        let origin = origin_of_program(program);
        let object = &mut self.objects[index];
        (object.rpath, object.runpath) = paths(&object.elf, &origin, self.system);
        Ok(self.follow(index))
    }

    /// Opens `name` as dlopen does when it is called from the object `caller`, the program by default.
    pub fn open(&mut self, name: impl AsRef<OsStr>, caller: Option<usize>) -> Opened {
        let mapped = self.map(name.as_ref(), caller.or(self.program), false);
        self.opened(mapped)
    }

    /// Opens a file as dlopen does when it is called from the program.
    pub fn open_file(&mut self, path: &Path) -> Opened {
        self.open(path, None)
    }

    fn opened(&mut self, (trail, given, is_new): Mapped) -> Opened {
        let needs = match (&given, is_new) {
            (Ok(index), true) => self.follow(*index),
            _ => Vec::new(),
        };
        Opened { trail, given, needs }
    }

    /// Takes an object in as it is, whether it can be found or not, and what it needs.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn take(&mut self, path: &Path) -> Result<(usize, Vec<Need>), Rc<Unread>> {
        let elf = self.disk.object(path)?;
        if let Some(known) = self.disk.id(path).and_then(|id| self.files.get(&id)) {
            return Ok((*known, Vec::new()));
        }
        let index = self.add("".as_ref(), path, elf, None);
        Ok((index, self.follow(index)))
    }

    /// An object.
    #[must_use]
    pub fn object(&self, index: usize) -> &Object {
        &self.objects[index]
    }

    /// All objects, in the order of loading.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// What ld.so is here.
    #[must_use]
    pub fn system(&self) -> &'a System {
        self.system
    }

    /// What is on the disk.
    #[must_use]
    pub fn disk(&self) -> &'a Disk {
        self.disk
    }

    /// The program, if one was started.
    #[must_use]
    pub fn program(&self) -> Option<&Object> {
        self.program.map(|index| &self.objects[index])
    }

    /// The same, by its number.
    #[must_use]
    pub fn program_index(&self) -> Option<usize> {
        self.program
    }

    /// What `$ORIGIN` stands for in an object.
    #[must_use]
    pub fn origin(&self, index: usize) -> PathBuf {
        match self.program == Some(index) {
            true => origin_of_program(&self.objects[index].path),
            false => origin(&self.objects[index].path),
        }
    }

    /// The folders that RPATH or RUNPATH of an object would give if it lay at `path`.
    #[must_use]
    pub fn folders_at(&self, index: usize, path: &Path) -> Vec<PathBuf> {
        let (rpath, runpath) = paths(&self.objects[index].elf, &origin(path), self.system);
        rpath.iter().chain(runpath.iter()).map(|folder| folder.path.clone()).collect()
    }

    /// Which object a name means, if one is loaded under it.
    #[must_use]
    pub fn loaded(&self, name: &OsStr) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Loads what an object needs, breadth first.
    fn follow(&mut self, index: usize) -> Vec<Need> {
        let mut needs = Vec::new();
        let mut queue = VecDeque::from([index]);
        while let Some(by) = queue.pop_front() {
            let elf = self.objects[by].elf.clone();
            for name in elf.needed.iter().take(MOST_NEEDS) {
                let (trail, given, is_new) = self.map(name, Some(by), true);
                if let (Ok(index), true) = (&given, is_new) {
                    queue.push_back(*index);
                }
                needs.push(Need { by, trail, given });
            }
        }
        needs
    }

    /// What ld.so makes of a name. `needed`: it stands in `asker`, which counts as what led to the object; otherwise `asker` called
    /// dlopen, and counts for the search alone.
    fn map(&mut self, name: &OsStr, asker: Option<usize>, needed: bool) -> Mapped {
        if let Some(index) = self.names.get(name) {
            let found = Found { rule: Rule::Loaded, path: self.objects[*index].path.clone() };
            return (Trail { name: name.into(), tried: Vec::new(), found: Some(found) }, Ok(*index), false);
        }
        let trail = self.search(name, asker);
        self.load(trail, name, asker.filter(|_| needed))
    }

    /// Loads what a search has found, and remembers it by `name`; `by` led to it.
    fn load(&mut self, trail: Trail, name: &OsStr, by: Option<usize>) -> Mapped {
        let Some(found) = &trail.found else { return (trail, Err(NotGiven::NotFound), false) };
        let id = self.disk.id(&found.path);
        if let Some(known) = id.and_then(|id| self.files.get(&id).copied()) {
            self.names.insert(name.into(), known);
            return (trail, Ok(known), false);
        }
        let elf = match self.disk.object(&found.path) {
            Ok(elf) if elf.kind == Kind::SharedObject => elf,
            Ok(_) => return (trail, Err(NotGiven::Unread(Rc::new(ElfError::Executable.into()))), false),
            Err(error) => return (trail, Err(NotGiven::Unread(error)), false),
        };
        if self.objects.len() >= MOST_OBJECTS {
            return (trail, Err(NotGiven::TooMany), false);
        }
        let path = found.path.clone();
        let index = self.add(name, &path, elf, by);
        (trail, Ok(index), true)
    }

    fn search(&self, name: &OsStr, asker: Option<usize>) -> Trail {
        let no_default = asker.is_some_and(|asker| self.objects[asker].elf.no_default);
        if name.as_bytes().contains(&b'/') {
            let origin = asker.map(|asker| self.origin(asker)).unwrap_or_default();
            // Where a token stands for nothing, ld.so searches for the empty name and finds nothing either.
            let path = folders::expand(name, &origin, self.system).unwrap_or_default();
            return super::at(name, Path::new(&path), self.disk);
        }
        super::search(name, &self.lists(asker), no_default, self.system, self.disk)
    }

    /// The folders that go before the cache when an object asks.
    #[must_use]
    pub fn lists(&self, asker: Option<usize>) -> Vec<List> {
        let mut lists = Vec::new();
        let mut add = |rule, folders: &Rc<Vec<Folder>>| {
            if !folders.is_empty() {
                lists.push(List { rule, folders: folders.to_vec() });
            }
        };
        let of = |index: usize| &self.objects[index];
        // RUNPATH turns every RPATH off, also those of the objects above.
        if asker.is_none_or(|asker| of(asker).elf.runpath.is_empty()) {
            let mut chain: Vec<usize> = std::iter::successors(asker, |index| of(*index).by).collect();
            chain.extend(self.program.filter(|program| !chain.contains(program)));
            for index in chain {
                add(Rule::Rpath(of(index).path.clone()), &of(index).rpath);
            }
        }
        add(Rule::LibraryPath, &self.library_path);
        if let Some(asker) = asker {
            add(Rule::Runpath(of(asker).path.clone()), &of(asker).runpath);
        }
        lists
    }

    fn add(&mut self, name: &OsStr, path: &Path, elf: Rc<Elf>, by: Option<usize>) -> usize {
        let index = self.objects.len();
        let (rpath, runpath) = paths(&elf, &origin(path), self.system);
        for name in [Some(name), Some(path.as_os_str()), elf.soname.as_deref()].into_iter().flatten() {
            // The first that was loaded under a name keeps it.
            if !name.is_empty() {
                self.names.entry(name.into()).or_insert(index);
            }
        }
        if let Some(id) = self.disk.id(path) {
            self.files.entry(id).or_insert(index);
        }
        self.objects.push(Object { path: path.into(), elf, by, rpath, runpath });
        index
    }
}

/// The folders of RPATH and RUNPATH; an RPATH beside a RUNPATH counts for nothing.
fn paths(elf: &Elf, origin: &Path, system: &System) -> (Rc<Vec<Folder>>, Rc<Vec<Folder>>) {
    let runpath = folders::of_object(&elf.runpath, origin, system);
    let rpath = match elf.runpath.is_empty() {
        true => folders::of_object(&elf.rpath, origin, system),
        false => Vec::new(),
    };
    (Rc::new(rpath), Rc::new(runpath))
}

/// Tells whether the program would have another user's or group's rights: then ld.so does not believe LD_LIBRARY_PATH.
fn is_privileged(program: &Path) -> bool {
    const SET_USER: u32 = 0o4000;
    const SET_GROUP: u32 = 0o2000;
    // The owner of a process's folder is the user that it acts for.
    let (Ok(file), Ok(own)) = (std::fs::metadata(program), std::fs::metadata("/proc/self")) else { return false };
    (file.mode() & SET_USER != 0 && file.uid() != own.uid())
        || (file.mode() & SET_GROUP != 0 && file.gid() != own.gid())
}

/// The folder of an object, links not resolved: one that is opened by way of a link is at home beside the link.
fn origin(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn origin_of_program(program: &Path) -> PathBuf {
    origin(&std::fs::canonicalize(program).unwrap_or_else(|_| program.to_path_buf()))
}
