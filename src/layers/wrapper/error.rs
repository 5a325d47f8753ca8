//! Why a layer gets no `bin/python` of dlcast's.

use std::io;
use std::path::PathBuf;

use crate::layers::stack::error::plain;

/// What is in the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapperError {
    /// The loader would take the path apart.
    #[error("{}: a path with `{found}` cannot stand in {variable}; rename the folder", path.display())]
    Path {
        /// The layer.
        path: PathBuf,
        /// What the loader does not take as it stands.
        found: &'static str,
        /// The loader's variable.
        variable: &'static str,
    },
    /// Somebody else's script.
    #[error("{}: a script that neither dlcast nor venvstacks has made; move it away, and link the interpreter in its place", path.display())]
    Foreign {
        /// The script.
        path: PathBuf,
    },
    /// No interpreter in the end.
    #[error("{}: leads to no interpreter; make the environment anew", path.display())]
    NoInterpreter {
        /// Where one would begin.
        path: PathBuf,
    },
    /// Links in a circle.
    #[error("{}: leads back to itself; make the environment anew", path.display())]
    Circle {
        /// Where one would begin.
        path: PathBuf,
    },
    /// What the wrapper says of itself would not be so.
    #[error("{}: leads to {}, and the wrapper finds its layer by its folder; make {} a folder of the layer", folder.display(), real.display(), folder.display())]
    Elsewhere {
        /// A folder of the layer.
        folder: PathBuf,
        /// Where it is really.
        real: PathBuf,
    },
    /// A file cannot be read.
    #[error("{}: {}", path.display(), plain(source))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
