//! What a Python says of itself: which program it is, and where a module is. It is asked in a process of its own.

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
told = {"program": os.path.realpath("/proc/self/exe"), "prefix": sys.prefix,
        "library_path": os.environ.get("LD_LIBRARY_PATH", "")}
if len(sys.argv) > 1:
    try:
        spec = look(sys.argv[1]) or importlib.util.find_spec(sys.argv[1])
        if spec is not None:
            told["origin"] = spec.origin
            told["folders"] = list(spec.submodule_search_locations or [])
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
    pub library_path: String,
}

/// A module that a Python has found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Its file; `built-in` or `frozen` for those without.
    pub origin: Option<String>,
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
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_string();
    if let Some(error) = told["error"].as_str() {
        return Err(failed(format!("looking for {}: {error}", module.unwrap_or_default())));
    }
    let python =
        Python { program: text("program").into(), prefix: text("prefix").into(), library_path: text("library_path") };
    let folders = told["folders"].as_array().into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from);
    let found = told["found"].as_bool().unwrap_or_default();
    let origin = told["origin"].as_str().map(String::from);
    let found = found.then(|| Found { origin, folders: folders.collect(), objects: Vec::new() });
    Ok((python, found))
}
