//! What the `bin` of a layer has: the interpreter and its other names. It looks, and changes nothing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{OURS, VENVSTACKS, WrapperError};
use crate::layers::regular;

/// What a name in `bin` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A link, and what it says.
    Link(PathBuf),
    /// The script that dlcast makes.
    Ours,
    /// The script that venvstacks makes.
    Venvstacks,
    /// A program.
    Program,
}

/// The interpreter behind a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Its file, without links.
    pub file: PathBuf,
    /// What the last link within `bin` says, if one leaves it.
    pub says: Option<PathBuf>,
    /// Whether a wrapper stands between.
    pub wrapped: bool,
}

/// Longer than any chain that the system follows.
const MOST_LINKS: usize = 40;

/// Reads no further: both scripts say who made them in their first lines.
const HEAD: u64 = 1024;

/// What is at `path`; `None` if there is nothing.
///
/// # Errors
///
/// [`WrapperError::Foreign`] for a script of somebody else's, [`WrapperError::Read`].
pub fn look(path: &Path) -> Result<Option<Kind>, WrapperError> {
    let failed = |source| WrapperError::Read { path: path.into(), source };
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    if meta.is_symlink() {
        return Ok(Some(Kind::Link(fs::read_link(path).map_err(failed)?)));
    }
    let head = regular::start(path, HEAD).map_err(failed)?;
    let has = |text: &str| head.windows(text.len()).any(|window| window == text.as_bytes());
    match () {
        () if !head.starts_with(b"#!") => Ok(Some(Kind::Program)),
        () if has(OURS) => Ok(Some(Kind::Ours)),
        () if has(VENVSTACKS) => Ok(Some(Kind::Venvstacks)),
        () => Err(WrapperError::Foreign { path: path.into() }),
    }
}

/// The interpreter that a start of `bin/python` ends in.
///
/// # Errors
///
/// [`WrapperError`] when there is none, or it cannot be told.
pub fn find(bin: &Path) -> Result<Interpreter, WrapperError> {
    let first = |name: &str| Ok::<_, WrapperError>(look(&bin.join(name))?.is_some());
    for name in ["python", "python3", "python_"] {
        if first(name)? {
            return follow(bin, bin.join(name));
        }
    }
    Err(WrapperError::NoInterpreter { path: bin.join("python") })
}

/// Follows links and wrappers from `path`, which is in `bin`.
///
/// # Errors
///
/// As [`find`].
pub fn follow(bin: &Path, path: PathBuf) -> Result<Interpreter, WrapperError> {
    let (mut at, mut says, mut wrapped) = (path.clone(), None, false);
    for _ in 0..MOST_LINKS {
        let folder = at.parent().unwrap_or(Path::new("/")).to_path_buf();
        match look(&at)? {
            None => return Err(WrapperError::NoInterpreter { path }),
            Some(Kind::Link(target)) => {
                at = folder.join(&target);
                if folder == bin && at.parent() != Some(bin) {
                    says = Some(target);
                }
            }
            Some(Kind::Ours | Kind::Venvstacks) => {
                wrapped = wrapped || folder != bin;
                at = real(&folder)?.join("python_");
            }
            Some(Kind::Program) => return Ok(Interpreter { file: real(&at)?, says, wrapped }),
        }
    }
    Err(WrapperError::Circle { path })
}

/// The same without links.
///
/// # Errors
///
/// [`WrapperError::Read`].
pub fn real(path: &Path) -> Result<PathBuf, WrapperError> {
    fs::canonicalize(path).map_err(|source| WrapperError::Read { path: path.into(), source })
}

/// The names in `bin` by which people start Python, beside `python`: `python3`, `python3.13`, `python3.13t`.
///
/// # Errors
///
/// [`WrapperError::Read`].
pub fn aliases(bin: &Path) -> Result<Vec<OsString>, WrapperError> {
    let failed = |source| WrapperError::Read { path: bin.into(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(bin).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if is_alias(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_alias(name: &OsStr) -> bool {
    let Some(version) = name.as_bytes().strip_prefix(b"python") else { return false };
    let version = version.strip_suffix(b"t").unwrap_or(version);
    let number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = version.split(|byte| *byte == b'.');
    parts.next().is_some_and(number) && parts.next().is_none_or(number) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_python_are_known_from_other_names() {
        for name in ["python3", "python3.11", "python3.13t", "python2"] {
            assert!(is_alias(name.as_ref()), "{name}");
        }
        for name in
            ["python", "python_", "python-config", "python3-config", "python3.", "python3.11.2", "pythont", "xpython3"]
        {
            assert!(!is_alias(name.as_ref()), "{name}");
        }
    }
}
