//! What can be wrong with a stack, in words that name the way out.

use std::path::PathBuf;

/// Why a stack cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// There is no such file or folder.
    #[error("{}: no such file or folder", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
}
