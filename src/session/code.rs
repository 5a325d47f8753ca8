//! Code that other ranks can find, and the tasks of plugins. All of it is local.

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

use super::{Session, jobs, read, record, safe_point};
use crate::code::{CodePlace, CodeRef, Home, Payload};
use crate::host::code::CodeError;
use crate::host::{Opener, dl};
use crate::plan::{Callback, Item, Library, What};
use crate::registry::{Registry, Task, TaskError};
use crate::request::OpenFlags;
use crate::task::{Function, TaskId};

/// Code that was found in this process.
#[derive(Clone, Debug)]
pub struct Code {
    /// What the signature says; none for a library alone.
    pub function: Option<Function>,
    /// As it travelled.
    pub signature: String,
    /// As it travelled.
    pub payload: Payload,
}

/// Why code cannot be called here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rank {rank} ({host}) cannot resolve {code}: {what}")]
pub struct ResolveError {
    /// This rank.
    pub rank: u32,
    /// Its host.
    pub host: String,
    /// What was to be resolved.
    pub code: String,
    /// What is missing, or different.
    pub what: String,
}

impl CodeRef {
    /// Names a function of this process: of a library, exported or not, or of the main program. `signature`: what it takes
    /// and gives, in any words that the one who resolves it compares; may be empty.
    ///
    /// # Errors
    /// Where no file holds the code, so that no other process can have it.
    pub fn of(function: *const c_void, signature: &str) -> Result<CodeRef, CodeError> {
        refuse_in_loader()?;
        jobs::tell_mapped();
        dl::host(None).code_at(function.expose_provenance(), signature)
    }

    /// Names a function that a library exports; the library need not be open. `path` is a path or a bare name.
    ///
    /// # Errors
    /// Where there is no such library.
    pub fn symbol(path: &str, symbol: &str, signature: &str) -> Result<CodeRef, CodeError> {
        let symbol = symbol.to_string();
        Ok(CodeRef::new(CodePlace::Symbol { library: home(path)?, symbol }, signature))
    }

    /// A library that registers itself.
    ///
    /// # Errors
    /// Where there is no such library.
    pub fn library(path: &str) -> Result<CodeRef, CodeError> {
        Ok(CodeRef::new(CodePlace::Library(home(path)?), ""))
    }

    /// A Python function by its module and `__qualname__`.
    pub fn python(module: &str, qualname: &str) -> CodeRef {
        CodeRef::new(CodePlace::Python { module: module.into(), qualname: qualname.into() }, "")
    }
}

/// Who has the host may be waiting for the loader's lock.
fn refuse_in_loader() -> Result<(), CodeError> {
    if safe_point::in_loader() { Err(CodeError::InConstructor) } else { Ok(()) }
}

fn home(path: &str) -> Result<Home, CodeError> {
    refuse_in_loader()?;
    let no_identity = |text: String| CodeError::NoIdentity(text);
    let spelling = match record::library(path, OpenFlags::NOW) {
        Ok(crate::request::Request::Library { spelling, .. }) => spelling,
        Ok(_) => path.into(),
        Err(error) => return Err(no_identity(error.to_string())),
    };
    jobs::tell_mapped();
    let mut host = dl::host(None);
    match host.find(&spelling, OpenFlags::NOW, false) {
        Library { identity: Some(identity), path: Some(path), .. } => Ok(Home { identity, path }),
        _ => Err(no_identity(host.why_no_identity(&spelling))),
    }
}

impl Session {
    /// Finds code in this process. A library that is missing is opened, once, locally (RTLD_LOCAL), and recorded: the next
    /// round brings it to every rank. Nothing is waited for. With a `signature`, the code's own must be the same.
    ///
    /// It runs no code but the constructors of a library that it opens; who calls the function upholds what the signature
    /// says.
    ///
    /// # Errors
    /// Naming this rank: the library is missing or another one here, it has no such code, the signature is another one,
    /// or the code is Python's.
    pub fn resolve(&self, code: &CodeRef, signature: Option<&str>) -> Result<Code, ResolveError> {
        let (rank, host) = (self.rank(), self.host_of(self.rank()));
        self.find_code(code, signature).map_err(|what| ResolveError { rank, host, code: code.to_string(), what })
    }

    fn find_code(&self, code: &CodeRef, signature: Option<&str>) -> Result<Code, String> {
        if let Some(expected) = signature
            && expected != code.signature
        {
            return Err(format!("its signature is `{}`, expected was `{expected}`", code.signature));
        }
        if safe_point::in_loader() {
            return Err("a constructor cannot: do it when the library is loaded".into());
        }
        jobs::tell_mapped();
        let Some(library) = Callback::new(code.clone(), 0).library() else {
            return Err("it is Python code: dlcast.CodeRef.resolve() in Python imports it".into());
        };
        let mut host = dl::host(None);
        let known = code.home().is_some_and(|home| host.is_open(&home.identity));
        // Staging compares identities: a file of that name with other content is refused.
        let item = Item::new(What::Callback(Callback::new(code.clone(), 0)), self.rank());
        host.stage(&item).map_err(|failure| failure.message)?;
        host.open(&library).map_err(|failure| failure.message)?;
        let function = host.address_of(code)?;
        let path = code.home().and_then(|home| host.library(&home.identity)).map(|library| library.path().to_owned());
        drop(host);
        if let (false, Some(path)) = (known, path.as_deref().and_then(Path::to_str)) {
            self.record_library(path, OpenFlags::NOW).map_err(|error| error.to_string())?;
        }
        Ok(Code { function, signature: code.signature.clone(), payload: code.payload.clone() })
    }

    /// The tasks of the plugins that every rank has loaded by now. What is returned does not change: ask again after a
    /// collective call.
    pub fn tasks(&self) -> Tasks {
        Tasks { registry: read(&self.shared.registry).clone() }
    }
}

/// The tasks of a session at one moment, by id and by name.
#[derive(Clone)]
pub struct Tasks {
    registry: Arc<Registry>,
}

impl Tasks {
    /// The task with an id, whoever sent it.
    ///
    /// # Errors
    /// Where the id is stale, or none.
    pub fn get(&self, id: TaskId) -> Result<Task, TaskError> {
        self.registry.get(id)
    }

    /// The task of a plugin with a name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(&self, plugin: &str, name: &str) -> Result<Task, TaskError> {
        self.registry.find(plugin, name)
    }

    /// The loaded plugins: number, name, version, and how many tasks each has.
    pub fn plugins(&self) -> impl Iterator<Item = (u32, &str, &str, u32)> {
        self.registry.plugins().map(|plugin| (plugin.number, &*plugin.name, &*plugin.version, plugin.len()))
    }
}
