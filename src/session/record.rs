//! Requests made where nothing may wait: kept on this rank, without I/O, until a round takes them along.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pending::Pending;
use super::{CallError, Session, Shared, jobs, safe_point};
use crate::code::{CodeRef, MOST_PAYLOAD};
use crate::config;
use crate::host::table;
use crate::intercept::{maps, policy};
use crate::layers::elf;
use crate::request::{OpenFlags, Request};

/// A request for a library. Relative paths are meant from here and now.
pub(crate) fn library(path: &str, flags: OpenFlags) -> Result<Request, CallError> {
    if path.is_empty() || path.contains('\0') {
        return Err(CallError::Invalid("a library needs a path or a name, without NUL".into()));
    }
    let spelling = match path.contains('/') && !path.starts_with('/') {
        false => path.to_string(),
        true => {
            let here = config::working_dir().map_err(|error| {
                CallError::Invalid(format!("{path}: the working directory, which it is relative to, is gone: {error}"))
            })?;
            let whole = here.join(path.trim_start_matches("./"));
            whole.into_os_string().into_string().map_err(|_| not_utf8(path))?
        }
    };
    let flags = if flags.is_empty() { OpenFlags::NOW } else { flags };
    Ok(Request::Library { spelling, flags: flags.settled(), opened: false })
}

fn not_utf8(path: &str) -> CallError {
    CallError::Invalid(format!("{path}: the working directory is not UTF-8, and names travel as UTF-8"))
}

/// A request to run code everywhere.
pub(crate) fn callback(code: CodeRef, payload: &[u8], tag: u64) -> Result<Request, CallError> {
    let code = if payload.is_empty() { code } else { code.with_payload(payload) };
    if code.payload.len() > MOST_PAYLOAD {
        let text = format!(
            "a payload of {} bytes: at most {MOST_PAYLOAD} travel; send the name of a file",
            code.payload.len()
        );
        return Err(CallError::Invalid(text));
    }
    Ok(Request::Callback { code, tag })
}

/// A request to take a library's registrations away.
pub(crate) fn unload(path: &str) -> Result<Request, CallError> {
    match library(path, OpenFlags::NOW)? {
        Request::Library { spelling, .. } => Ok(Request::Unload { spelling }),
        other => Ok(other),
    }
}

/// A bad argument must not keep this rank from the round that the others are in: it takes part with a request that fails.
pub(crate) fn or_invalid(request: Result<Request, CallError>) -> Request {
    request.unwrap_or_else(|error| Request::Invalid { message: error.to_string() })
}

/// A request for a module.
pub(crate) fn module(name: &str) -> Result<Request, CallError> {
    if name.contains('\0') || name.split('.').any(str::is_empty) {
        return Err(CallError::Invalid(format!("`{name}` is not the absolute name of a module, such as pkg.mod")));
    }
    Ok(Request::Module { name: name.into() })
}

impl Session {
    /// Records a library for the next round. Local; nothing is opened, nothing waited for.
    ///
    /// # Errors
    /// [`CallError::Invalid`] for a path that cannot be one.
    pub fn record_library(&self, path: &str, flags: OpenFlags) -> Result<(), CallError> {
        self.add(library(path, flags)?)
    }

    /// Records code that every process is to run once, in the next round. Local; see [`Session::register_global`].
    ///
    /// # Errors
    /// [`CallError::Invalid`] for a payload that is too large to travel.
    pub fn record_callback(&self, code: &CodeRef, payload: &[u8], tag: u64) -> Result<(), CallError> {
        self.add(callback(code.clone(), payload, tag)?)
    }

    /// Records a Python module for the next round. Local.
    ///
    /// # Errors
    /// [`CallError::Invalid`] for a name that cannot be one.
    pub fn record_module(&self, name: &str) -> Result<(), CallError> {
        self.add(module(name)?)
    }

    /// Runs `block` and records the libraries that it, or anything that it calls, opens. Local; needs no preloading.
    ///
    /// The flags of a dlopen cannot be seen afterwards: RTLD_NOW | RTLD_LOCAL is recorded. What another library needs
    /// (DT_NEEDED) comes with that one; components of MPI, libc and the system do not count.
    ///
    /// # Errors
    /// Where the session has ended. The block has run then.
    pub fn record<T>(&self, block: impl FnOnce() -> T) -> Result<T, CallError> {
        let recording = Recording::begin(self);
        let value = block();
        recording.end()?;
        Ok(value)
    }
}

/// A block under observation.
pub(crate) struct Recording {
    shared: Arc<Shared>,
    before: HashSet<PathBuf>,
    opened: Vec<Request>,
    modules: Vec<String>,
    covered: HashSet<PathBuf>,
    cover_depth: u32,
    cover_before: HashSet<PathBuf>,
}

fn mapped() -> Vec<PathBuf> {
    maps::mapped().into_iter().map(|object| object.path).collect()
}

impl Recording {
    pub fn begin(session: &Session) -> Self {
        Recording {
            shared: session.shared().clone(),
            before: mapped().into_iter().collect(),
            opened: Vec::new(),
            modules: Vec::new(),
            covered: HashSet::new(),
            cover_depth: 0,
            cover_before: HashSet::new(),
        }
    }

    /// An explicit dlopen whose flags are known. Inside a covered stretch it belongs to the module.
    pub fn opened(&mut self, path: &str, flags: OpenFlags) -> Result<(), CallError> {
        if self.cover_depth == 0 && policy::counts(Path::new(path)) {
            self.opened.push(opened(library(path, flags)?));
        }
        Ok(())
    }

    /// An explicit dlopen that cannot travel: the round says why.
    pub fn refused(&mut self, message: String) {
        self.opened.push(Request::Invalid { message });
    }

    /// What is opened from here to the matching [`Recording::cover_end`] belongs to a module request.
    pub fn cover_begin(&mut self) {
        if self.cover_depth == 0 {
            self.cover_before = mapped().into_iter().collect();
        }
        self.cover_depth += 1;
    }

    /// See [`Recording::cover_begin`].
    pub fn cover_end(&mut self) {
        self.cover_depth = self.cover_depth.saturating_sub(1);
        if self.cover_depth == 0 {
            self.covered.extend(mapped().into_iter().filter(|path| !self.cover_before.contains(path)));
        }
    }

    /// A module that was imported.
    pub fn module(&mut self, name: &str) -> Result<(), CallError> {
        module(name)?;
        self.modules.push(name.into());
        Ok(())
    }

    /// Turns what was seen into requests.
    pub fn end(self) -> Result<(), CallError> {
        self.shared.refuse_ended()?;
        // Which files these are is noted now: something else may lie at their paths when the round comes.
        if !safe_point::in_loader() {
            jobs::tell_mapped();
        }
        let mut requests = self.opened;
        let explicit: HashSet<PathBuf> = requests.iter().filter_map(file_of).collect();
        let new: Vec<PathBuf> = mapped()
            .into_iter()
            .filter(|path| !self.before.contains(path) && !self.covered.contains(path) && policy::counts(path))
            .collect();
        // What came with a module is the module's, but what a plugin registers is not.
        for path in self.covered.iter().filter(|path| !self.before.contains(*path)) {
            requests.extend(plugin(path));
        }
        for root in maps::roots(&new, names) {
            let known = std::fs::canonicalize(&root).is_ok_and(|real| explicit.contains(&real));
            if let (false, Some(path), false) = (known, root.to_str(), is_extension(&root)) {
                requests.push(opened(library(path, OpenFlags::NOW)?));
            }
        }
        requests.extend(self.modules.into_iter().map(|name| Request::Module { name }));
        self.shared.ask(requests.into_iter().map(Pending::here));
        Ok(())
    }
}

/// The request for an object that has been mapped, if it is a plugin.
pub(super) fn plugin(path: &Path) -> Option<Request> {
    let is_plugin = policy::counts(path) && table::is_plugin(path);
    is_plugin.then(|| library(path.to_str()?, OpenFlags::NOW).ok().map(opened)).flatten()
}

/// The paths of all objects of the process.
pub(super) fn mapped_now() -> HashSet<PathBuf> {
    mapped().into_iter().collect()
}

/// A request for what the program has open.
pub(super) fn opened(mut request: Request) -> Request {
    if let Request::Library { opened, .. } = &mut request {
        *opened = true;
    }
    request
}

/// The real file of an explicit request: a bare name is mapped by now.
fn file_of(request: &Request) -> Option<PathBuf> {
    let Request::Library { spelling, .. } = request else { return None };
    let path = match spelling.contains('/') {
        true => PathBuf::from(spelling),
        false => crate::host::search::find(spelling).ok()?,
    };
    std::fs::canonicalize(path).ok()
}

pub(super) fn names(path: &Path) -> (Option<OsString>, Vec<OsString>) {
    match File::open(path).map(|file| elf::read_file(&file)) {
        Ok(Ok(elf)) => (elf.soname, elf.needed),
        // Mapped, but gone or changed on disk: nothing is known to need it.
        _ => (None, Vec::new()),
    }
}

/// An extension module travels as a module.
pub(super) fn is_extension(path: &Path) -> bool {
    matches!(File::open(path).map(|file| elf::read_file(&file)), Ok(Ok(elf)) if elf.python_init.is_some())
}
