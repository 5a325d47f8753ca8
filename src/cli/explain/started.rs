//! What a start of a program comes to: the program itself, that which runs it if it is a script, and the Python behind it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config;
use crate::host::program;
use crate::layers::regular;
use crate::layers::wrapper::interpreter;

/// A program as it is named, and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// What is named.
    pub path: PathBuf,
    /// Whether that is a script.
    pub is_script: bool,
    /// The program that the kernel starts in the end.
    pub program: PathBuf,
    /// The Python that it is, or that runs it: a wrapper, it may be.
    pub python: Option<PathBuf>,
}

/// Looks at the program at `path`.
pub fn look(path: &Path) -> Started {
    let chain = program::look(path, &config::program_folders()).chain;
    let last = chain.len() - 1;
    let python = chain.iter().enumerate().find(|(at, path)| is_python(path, *at < last));
    Started {
        path: path.into(),
        is_script: last > 0,
        program: chain[last].clone(),
        python: python.map(|(_, path)| path.clone()),
    }
}

/// Tells whether a file begins as scripts do.
pub fn is_script(path: &Path) -> bool {
    regular::start(path, 2).is_ok_and(|head| head == b"#!")
}

/// Tells whether it may be asked as a Python is, by its own name or that of what it leads to. A script must be called so exactly:
/// python-config is another program.
fn is_python(path: &Path, is_script: bool) -> bool {
    let is_name = |path: &Path| {
        let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let rest = name.strip_prefix(b"python").or_else(|| name.strip_prefix(b"pypy"));
        let is_version = |byte: &u8| byte.is_ascii_digit() || b".tdm_".contains(byte);
        rest.is_some_and(|rest| !is_script || rest.iter().all(is_version))
    };
    is_name(path) || std::fs::canonicalize(path).is_ok_and(|real| is_name(&real))
}

impl Started {
    /// The program behind it, as far as it can be told without a start: wrappers of layers are known.
    pub fn unasked(&self) -> PathBuf {
        let behind = self.python.as_ref().and_then(|python| {
            let bin = python.parent()?;
            interpreter::follow(bin, python.clone()).ok()
        });
        behind.map_or(self.program.clone(), |behind| behind.file)
    }
}
