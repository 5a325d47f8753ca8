//! The stacks that venvstacks has built: its `venvstacks.toml`, and what it has left in the environments.
//!
//! Its layers are folders side by side, in `_build` beside the file or where `--build-dir` says, called as the layer is, with
//! `framework-` and `app-` before it; a folder of exports (`venvstacks local-export`) has `@3` behind the name of a versioned layer, and
//! may hold the file itself.
//! What venvstacks checks when it locks and builds (requirements, indexes, launch modules) is not checked again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::stack::source::{self, Source};
use super::stack::{Asked, StackError, absolute};

/// Where venvstacks builds when nothing else is said.
const BUILD_DIR: &str = "_build";
/// What `venvstacks local-export` writes beside the layers that it has exported.
const EXPORTED: &str = "__venvstacks__";
/// What it writes into every environment that it has built.
const METADATA: &str = "share/venv/metadata/venvstacks_layer.json";

/// How venvstacks calls the system that this is.
const HERE: &str = if cfg!(target_arch = "x86_64") {
    "linux_x86_64"
} else if cfg!(target_arch = "aarch64") {
    "linux_aarch64"
} else {
    "linux"
};

/// What of a `venvstacks.toml` is of interest here.
#[derive(serde::Deserialize)]
struct Declared {
    #[serde(default)]
    runtimes: Vec<Table>,
    #[serde(default)]
    frameworks: Vec<Table>,
    #[serde(default)]
    applications: Vec<Table>,
}

/// A layer of any of the three kinds.
#[derive(serde::Deserialize)]
struct Table {
    name: String,
    runtime: Option<String>,
    frameworks: Option<Vec<String>>,
    platforms: Option<Vec<String>>,
    #[serde(default)]
    versioned: bool,
    #[serde(default)]
    dynlib_exclude: Vec<String>,
}

/// What of a `venvstacks_layer.json` is of interest here; paths are relative to the layer.
#[derive(serde::Deserialize)]
struct Metadata {
    python: PathBuf,
    site_dir: PathBuf,
    /// Of the layers below, in order. Versions before 0.4 do not write it.
    dynlib_dirs: Option<Vec<PathBuf>>,
}

/// What is known of a framework or runtime when a layer uses it.
#[derive(Clone)]
struct Base {
    /// The layer's name, prefix and all.
    name: String,
    /// The name of the runtime's layer.
    runtime: String,
    /// Whether it is built on this system.
    here: bool,
}

/// The layers that a `venvstacks.toml` asks for, as they were built in `build_dir`.
pub(super) fn read(source: &Source, build_dir: Option<&Path>) -> Result<Vec<Asked>, StackError> {
    let declared: Declared = source.parse()?;
    let folder = match build_dir {
        // As any path on a command line: seen from where one is.
        Some(given) => std::path::absolute(given).map_err(|source| StackError::read(given, source))?,
        None => beside(source.folder()),
    };
    let mut reader = Reader {
        file: &source.file,
        folder: absolute(Path::new("/"), &folder),
        all: declared.frameworks.iter().map(|table| table.name.clone()).collect(),
        runtimes: HashMap::new(),
        frameworks: HashMap::new(),
        asked: Vec::new(),
    };
    for table in &declared.runtimes {
        let base = Base { name: table.name.clone(), runtime: table.name.clone(), here: is_here(table) };
        reader.add(table, &base, Vec::new())?;
        reader.runtimes.insert(table.name.clone(), base);
    }
    for table in &declared.frameworks {
        let name = format!("framework-{}", table.name);
        let (base, uses) = reader.resolve(table, name)?;
        reader.add(table, &base, uses)?;
        reader.frameworks.insert(table.name.clone(), base);
    }
    for table in &declared.applications {
        let (base, uses) = reader.resolve(table, format!("app-{}", table.name))?;
        reader.add(table, &base, uses)?;
    }
    Ok(reader.asked)
}

/// Where the environments of a file in `folder` are. One that was put to exported layers has them around it.
fn beside(folder: &Path) -> PathBuf {
    let build = folder.join(BUILD_DIR);
    if !build.exists() && folder.join(EXPORTED).is_dir() { folder.to_path_buf() } else { build }
}

fn is_here(table: &Table) -> bool {
    table.platforms.as_ref().is_none_or(|platforms| platforms.iter().any(|platform| platform == HERE))
}

struct Reader<'a> {
    file: &'a Path,
    folder: PathBuf,
    /// The names of all frameworks, also of those that come later.
    all: Vec<String>,
    runtimes: HashMap<String, Base>,
    frameworks: HashMap<String, Base>,
    asked: Vec<Asked>,
}

impl Reader<'_> {
    /// What a framework or application runs on.
    fn resolve(&self, table: &Table, name: String) -> Result<(Base, Vec<String>), StackError> {
        let (file, layer) = (self.file.to_path_buf(), name.clone());
        let bases = match (&table.runtime, table.frameworks.as_deref()) {
            (Some(runtime), None) => vec![self.runtime(&name, runtime)?],
            (None, Some(frameworks)) if !frameworks.is_empty() => {
                let bases = frameworks.iter().map(|framework| self.framework(&name, framework));
                bases.collect::<Result<_, _>>()?
            }
            _ => return Err(StackError::Base { file, layer }),
        };
        let first = bases[0];
        if let Some(other) = bases.iter().find(|base| base.runtime != first.runtime) {
            let bases = [first, other].map(|base| [base.name.clone(), base.runtime.clone()]).to_vec();
            return Err(StackError::Runtimes { file, layer, bases });
        }
        // The runtime comes with the frameworks, behind them.
        let uses = bases.iter().map(|base| base.name.clone()).collect();
        let here = is_here(table) && bases.iter().all(|base| base.here);
        Ok((Base { name, runtime: first.runtime.clone(), here }, uses))
    }

    fn runtime(&self, layer: &str, used: &str) -> Result<&Base, StackError> {
        self.runtimes.get(used).ok_or_else(|| self.unknown(layer, used, &self.runtimes))
    }

    fn framework(&self, layer: &str, used: &str) -> Result<&Base, StackError> {
        self.frameworks.get(used).ok_or_else(|| match self.all.iter().any(|name| name == used) {
            true => StackError::Later { file: self.file.into(), layer: layer.into(), used: used.into() },
            false => self.unknown(layer, used, &self.frameworks),
        })
    }

    fn unknown(&self, layer: &str, used: &str, known: &HashMap<String, Base>) -> StackError {
        let mut known: Vec<String> = known.keys().cloned().collect();
        known.sort_unstable();
        StackError::Unknown { file: self.file.into(), layer: layer.into(), used: used.into(), known }
    }

    /// Adds the layer if it was built, or leaves it out if it is for other systems.
    fn add(&mut self, table: &Table, base: &Base, uses: Vec<String>) -> Result<(), StackError> {
        let Some(path) = self.find(table, &base.name)? else {
            return match base.here {
                true => Err(StackError::NotBuilt { layer: base.name.clone(), path: self.folder.join(&base.name) }),
                false => Ok(()),
            };
        };
        let built = metadata(&base.name, &path)?;
        let exclude = table.dynlib_exclude.clone();
        self.asked.push(Asked { name: base.name.clone(), path, uses, exclude, built });
        Ok(())
    }

    /// The folder of a layer, if there is one.
    fn find(&self, table: &Table, name: &str) -> Result<Option<PathBuf>, StackError> {
        let plain = self.folder.join(name);
        if plain.exists() || !table.versioned {
            return Ok(Some(plain).filter(|path| path.exists()));
        }
        let entries = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut found: Vec<String> = names.filter(|folder| is_version(folder, name)).collect();
        found.sort_unstable();
        if found.len() > 1 {
            return Err(StackError::Versions { layer: name.to_string(), folder: self.folder.clone(), found });
        }
        Ok(found.pop().map(|folder| self.folder.join(folder)))
    }
}

/// Whether folders are those of the layers, in this order.
pub(super) fn is_over(folders: &[String], layers: &[&str]) -> bool {
    let is = |(folder, layer): (&String, &&str)| folder == layer || is_version(folder, layer);
    folders.len() == layers.len() && folders.iter().zip(layers).all(is)
}

/// Whether a folder is called `NAME@3`.
fn is_version(folder: &str, name: &str) -> bool {
    let version = folder.strip_prefix(name).and_then(|rest| rest.strip_prefix('@'));
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The folders of the layers that it was built over, by name, in order.
fn metadata(layer: &str, path: &Path) -> Result<Option<Vec<String>>, StackError> {
    let file = path.join(METADATA);
    let wrong = |message: String| StackError::Metadata { layer: layer.to_string(), path: file.clone(), message };
    if !file.exists() {
        return Err(wrong("missing".into()));
    }
    let text = source::text(&file)?;
    let metadata: Metadata = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if metadata.python.as_os_str().to_string_lossy().ends_with(".exe") {
        return Err(StackError::Windows { layer: layer.to_string(), path: path.to_path_buf() });
    }
    for part in [&metadata.python, &metadata.site_dir] {
        let whole = absolute(path, part);
        if !whole.starts_with(path) || fs::symlink_metadata(&whole).is_err() {
            return Err(wrong(format!("names {}, which is not in the layer", part.display())));
        }
    }
    let Some(folders) = metadata.dynlib_dirs else {
        return Ok(None);
    };
    let name = |folder: PathBuf| {
        let beside = absolute(path, &folder);
        let beside = path.parent().and_then(|parent| beside.strip_prefix(parent).ok());
        beside.and_then(|beside| beside.iter().next()).unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
    };
    Ok(Some(folders.into_iter().map(name).collect()))
}
