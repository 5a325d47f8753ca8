//! What a Python says of itself: which program it is, and where a module is. It is asked in a process of its own.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::cli::child;

/// How long Python may take to start, and to find a module, from a slow file system.
const LIMIT: Duration = Duration::from_secs(60);

/// Finds the module by asking the finders, without running a package's code; only where that leads to nothing, the packages above
/// it are imported, because they may bring finders of their own.
const ASK: &str = r#"
import sys
path = sys.path[:]
sys.path[:] = [folder for folder in path if folder]  # A json.py in the working directory is not asked.
import importlib.util, json, os
sys.path[:] = path
def look(name):
    path = None
    spec = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(".".join(parts[:count]), path) if find else None
            if spec is not None:
                break
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and count < len(parts):
            return None
    return spec
def text(value):  # A character for each byte: paths are bytes, and JSON is text.
    return None if value is None else os.fsencode(value).decode("latin-1")
told = {"program": text(os.path.realpath("/proc/self/exe")), "prefix": text(sys.prefix),
        "library_path": text(os.environ.get("LD_LIBRARY_PATH", ""))}
try:
    told["ctypes"] = text(importlib.util.find_spec("_ctypes").origin)
except BaseException:
    pass
if len(sys.argv) > 1:
    try:
        spec = look(sys.argv[1]) or importlib.util.find_spec(sys.argv[1])
        if spec is not None:
            told["origin"] = text(spec.origin)
            told["folders"] = [text(folder) for folder in spec.submodule_search_locations or []]
            told["found"] = True
    except BaseException as error:
        told["error"] = "%s: %s" % (type(error).__name__, error)
print("\ndlcast " + json.dumps(told))
"#;

/// A Python.
#[derive(Debug, Clone, Default)]
pub struct Python {
    /// The program behind whatever was started.
    pub program: PathBuf,
    /// Its environment.
    pub prefix: PathBuf,
    /// Its LD_LIBRARY_PATH, to which a wrapper may have added.
    pub library_path: OsString,
    /// What calls dlopen for ctypes.
    pub caller: Caller,
}

/// What calls dlopen in a process: its RUNPATH counts for a bare name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Caller {
    /// The program itself.
    #[default]
    Program,
    /// The part of Python that is the interpreter: its library, where it has one, else the program. ctypes is built into it.
    Interpreter,
    /// This object.
    Object(PathBuf),
}

impl Caller {
    /// What calls dlopen for ctypes, where the module behind it is this file; none if it is no file.
    pub fn of_ctypes(file: Option<PathBuf>) -> Caller {
        file.filter(|file| file.is_absolute()).map_or(Caller::Interpreter, Caller::Object)
    }
}

/// A module that a Python has found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Its file; `built-in` or `frozen` for those without.
    pub origin: Option<PathBuf>,
    /// Of a package, its folders.
    pub folders: Vec<PathBuf>,
    /// Of an extension module, the files that a finder of its package would choose from.
    pub objects: Vec<PathBuf>,
}

/// Asks the Python at `path` what it is, and where `module` is.
///
/// # Errors
/// Why it cannot be asked. That there is no such module is none.
pub fn ask(path: &Path, module: Option<&str>) -> Result<(Python, Option<Found>), String> {
    let mut command = Command::new(path);
    command.arg("-c").arg(ASK).args(module);
    let failed = |why: String| format!("{}: {why}", path.display());
    let ended = child::run(&mut command, LIMIT).map_err(|error| failed(error.to_string()))?;
    if let Some(failure) = ended.failure(LIMIT) {
        return Err(failed(failure));
    }
    let told = ended.out.lines().rev().find_map(|line| line.strip_prefix("dlcast "));
    let told: Value = told.and_then(|told| serde_json::from_str(told).ok()).ok_or(failed("is no Python".into()))?;
    if let Some(error) = told["error"].as_str() {
        return Err(failed(format!("looking for {}: {error}", module.unwrap_or_default())));
    }
    let path = |key: &str| bytes(&told[key]).map(PathBuf::from);
    // In PyPy it is a package, over modules that are built in.
    let ctypes = path("ctypes").filter(|file| file.extension().is_some_and(|end| end == "so"));
    let python = Python {
        program: path("program").unwrap_or_default(),
        prefix: path("prefix").unwrap_or_default(),
        library_path: bytes(&told["library_path"]).unwrap_or_default(),
        caller: Caller::of_ctypes(ctypes),
    };
    let folders = told["folders"].as_array().into_iter().flatten().filter_map(bytes).map(PathBuf::from);
    let found = told["found"].as_bool().unwrap_or_default();
    let found = found.then(|| Found { origin: path("origin"), folders: folders.collect(), objects: Vec::new() });
    Ok((python, found))
}

/// Bytes, of which each is a character.
fn bytes(value: &Value) -> Option<OsString> {
    let bytes: Option<Vec<u8>> = value.as_str()?.chars().map(|one| u8::try_from(one).ok()).collect();
    bytes.map(OsString::from_vec)
}
