//! Putting the wrapper in its place: [`plan`] looks and decides, [`Placement::prepare`] and [`Placement::carry_out`] do it.
//!
//! In an environment, `python3` and `python3.11` lead to `python`, which is the wrapper; the interpreter is `python_`. An
//! installation, which other environments have links to, keeps its names: only `python` becomes a wrapper there.
//!
//! Until the last step every name starts the plain interpreter, and with the last one all start the wrapper: an interrupted run has
//! changed nothing that anybody would notice.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::WrapperError;
use super::home::{self, Home};
use super::interpreter::{self, Interpreter, Kind};
use crate::layers::regular;
use crate::layers::same::same;

/// The wrapper.
const PYTHON: &str = "python";
/// The interpreter; the name is venvstacks', which takes it over again when it builds the layer anew.
const REAL: &str = "python_";
/// What is not yet in its place. A leftover of it belongs to a run that was interrupted.
const NEW: &str = ".dlcast-new";
const NEW_SCRIPT: &str = ".dlcast-python";

/// What there is to do in the `bin` of a layer.
#[derive(Debug, PartialEq, Eq)]
pub struct Placement {
    root: PathBuf,
    bin: PathBuf,
    /// What `python` is now; `None` if there is nothing.
    pub before: Option<Kind>,
    /// The environment's home, if that is to be mended.
    pub home: Option<Home>,
    links: Vec<Step>,
    /// The text, if it is not there already.
    script: Option<Vec<u8>>,
}

/// A name that gets another meaning.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Link(String, PathBuf),
    /// `python_` becomes the file of this name, too.
    Real(PathBuf),
}

/// Decides what has to be done so that `bin/python` of the layer in `root` is a script of this text. `roots` are the folders of all
/// layers. No path has links in it.
///
/// # Errors
///
/// [`WrapperError`] when no interpreter is found, or somebody else's script is in the way.
pub fn plan(root: &Path, roots: &[PathBuf], text: Vec<u8>) -> Result<Placement, WrapperError> {
    let bin = root.join("bin");
    let real = interpreter::real(&bin)?;
    if real != bin {
        return Err(WrapperError::Elsewhere { folder: bin, real });
    }
    let found = interpreter::find(&bin)?;
    let python = bin.join(PYTHON);
    let before = interpreter::look(&python)?;
    let environment = root.join(home::CONFIG).exists();

    let mut links = Vec::new();
    links.extend(behind(&bin, &found, roots, environment)?);
    if environment {
        links.extend(others(&bin, &found)?);
    }
    // Not by way of a name that is about to lead to it.
    let in_the_way = match &before {
        None => true,
        Some(Kind::Link(target)) => target != Path::new(REAL) && bin.join(target).parent() == Some(&bin),
        Some(_) => false,
    };
    if in_the_way {
        let first =
            links.iter().position(|step| matches!(step, Step::Link(name, _) if name != REAL)).unwrap_or(links.len());
        links.insert(first, Step::Link(PYTHON.into(), REAL.into()));
    }
    let current = before == Some(Kind::Ours) && is_current(&python, &text)?;
    let home = home::plan(root, roots, &found.file)?;
    Ok(Placement { root: root.into(), bin, before, home, links, script: (!current).then_some(text) })
}

fn is_current(path: &Path, text: &[u8]) -> Result<bool, WrapperError> {
    let read = || -> io::Result<bool> {
        Ok(regular::read(path)? == text && fs::metadata(path)?.permissions().mode() & 0o100 != 0)
    };
    read().map_err(|source| WrapperError::Read { path: path.into(), source })
}

/// What `python_` has to become.
fn behind(bin: &Path, found: &Interpreter, roots: &[PathBuf], environment: bool) -> Result<Option<Step>, WrapperError> {
    let name = found.file.file_name().unwrap_or_default();
    let target = match &found.says {
        _ if found.file.parent() == Some(bin) => match name {
            name if name == REAL => return Ok(None),
            // A copy of the interpreter gives up its name. Not in an installation, where others rely on it.
            name if name == PYTHON || environment => {
                let step = Step::Real(found.file.clone());
                return Ok((!is_one_file(&bin.join(REAL), &found.file)).then_some(step));
            }
            name => name.into(),
        },
        // The interpreter moves along with the stack.
        _ if roots.iter().any(|root| found.file.starts_with(root)) => {
            pathdiff::diff_paths(&found.file, bin).unwrap_or(found.file.clone())
        }
        Some(says) if !found.wrapped => says.clone(),
        _ => found.file.clone(),
    };
    let there = interpreter::look(&bin.join(REAL))?;
    Ok((there != Some(Kind::Link(target.clone()))).then_some(Step::Link(REAL.into(), target)))
}

fn is_one_file(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    file(one).is_some_and(|one| Some(one) == file(other))
}

/// The other names of the same interpreter, which have to lead to the wrapper.
fn others(bin: &Path, found: &Interpreter) -> Result<Vec<Step>, WrapperError> {
    let is_same = |path: &Path| {
        let failed = |source| WrapperError::Read { path: path.into(), source };
        Ok(is_one_file(path, &found.file) || same(path, &found.file).map_err(failed)?)
    };
    let mut steps = Vec::new();
    for name in interpreter::aliases(bin)? {
        let path = bin.join(&name);
        let is_other_name = match interpreter::look(&path)? {
            None => false,
            Some(Kind::Link(target)) if target == Path::new(PYTHON) => false,
            // One that leads nowhere is nobody's name.
            Some(Kind::Link(_)) => match interpreter::follow(bin, path) {
                Ok(other) => is_same(&other.file)?,
                Err(_) => false,
            },
            Some(Kind::Ours | Kind::Venvstacks) => true,
            Some(Kind::Program) => is_same(&path)?,
        };
        if is_other_name {
            steps.push(Step::Link(name.to_string_lossy().into_owned(), PYTHON.into()));
        }
    }
    Ok(steps)
}

impl Placement {
    /// Whether all is as it has to be.
    pub fn is_done(&self) -> bool {
        self.home.is_none() && self.links.is_empty() && self.script.is_none()
    }

    /// The files that are to be changed, or the first of them in each folder.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let in_bin = !self.links.is_empty() || self.script.is_some();
        let home = self.home.is_some().then(|| self.root.join(home::CONFIG));
        in_bin.then(|| self.bin.join(PYTHON)).into_iter().chain(home)
    }

    /// Writes what [`carry_out`](Self::carry_out) puts in place, and clears away what an interrupted run has left.
    ///
    /// # Errors
    ///
    /// What the system says, and of which file.
    pub fn prepare(&self) -> Result<(), (PathBuf, io::Error)> {
        self.clear()?;
        if let Some(home) = &self.home {
            home.prepare(&self.root)?;
        }
        let Some(text) = &self.script else { return Ok(()) };
        let path = self.bin.join(NEW_SCRIPT);
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(&path)?;
            file.write_all(text)?;
            // The file may be there after a power failure, and its content not.
            file.sync_all()
        };
        write().map_err(|error| (path.clone(), error))
    }

    /// Clears away what is not in its place.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn clear(&self) -> Result<(), (PathBuf, io::Error)> {
        for path in [self.bin.join(NEW), self.bin.join(NEW_SCRIPT), home::leftover(&self.root)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err((path, error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Does it, the script last.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn carry_out(&self) -> Result<(), (PathBuf, io::Error)> {
        if self.home.is_some() {
            Home::carry_out(&self.root)?;
        }
        let new = self.bin.join(NEW);
        for step in &self.links {
            let name = match step {
                Step::Link(name, target) => symlink(target, &new).map(|()| name.as_str()),
                // Not every file system has hard links, nor everybody's files.
                Step::Real(file) => {
                    fs::hard_link(file, &new).or_else(|_| fs::copy(file, &new).map(drop)).map(|()| REAL)
                }
            };
            let path = self.bin.join(name.map_err(|error| (new.clone(), error))?);
            fs::rename(&new, &path).map_err(|error| (path, error))?;
        }
        if self.script.is_some() {
            let path = self.bin.join(PYTHON);
            fs::rename(self.bin.join(NEW_SCRIPT), &path).map_err(|error| (path, error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
