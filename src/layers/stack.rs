//! Which layers there are, where they are, and in which order one uses the others.
//!
//! The input is a `stack.toml`, a `venvstacks.toml` with its built environments, or a folder that holds one of them. What is in
//! the layers is not looked at: that is [`scan`](super::scan).

mod error;
mod exclude;

use std::path::{Path, PathBuf};

pub use error::StackError;
pub use exclude::Exclude;

/// Environments that use each other.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The file that says so.
    pub file: PathBuf,
    /// The layers, in the order of the file.
    pub layers: Vec<Layer>,
}

/// One Python environment.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the file calls it; no two layers of a stack are called the same.
    pub name: String,
    /// Its folder: absolute, without `.` and `..`, links not resolved.
    pub path: PathBuf,
    /// The layers that it uses, as indices into [`Stack::layers`], the first one first; itself not among them.
    pub below: Vec<usize>,
    /// Which of its libraries other layers do not get.
    pub exclude: Exclude,
    /// Whose loader it is made for.
    pub platform: Platform,
}

/// Whose loader a layer is made for. (One for Windows is refused: `os.add_dll_directory` does there what this does here.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// ld.so: ELF, LD_LIBRARY_PATH.
    Posix,
    /// dyld: Mach-O, DYLD_LIBRARY_PATH.
    MacOs,
}

impl Stack {
    /// Reads what `path` says: a `stack.toml`, a `venvstacks.toml`, or a folder that holds one of them. `build_dir` is where
    /// venvstacks has built the environments of a `venvstacks.toml`; it says `_build` beside the file by default.
    ///
    /// # Errors
    ///
    /// [`StackError`] for what the file gets wrong, and for layers that are not there.
    pub fn read(path: &Path, build_dir: Option<&Path>) -> Result<Stack, StackError> {
        let _ = build_dir;
        Err(StackError::NotFound { path: path.to_path_buf() })
    }
}
