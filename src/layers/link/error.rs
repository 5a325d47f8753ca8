//! Why libraries cannot be linked, and the way out.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::layers::stack::error::plain;
use crate::layers::wrapper::WrapperError;

/// What is in the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Names that mean several libraries within a layer.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    /// No wrapper can be made.
    #[error("layer `{layer}`: {source}")]
    Wrapper {
        /// The layer.
        layer: String,
        /// Why.
        source: WrapperError,
    },
    /// Something of the user's is where links belong.
    #[error("layer `{layer}`: {}: not a link, and there may be only links in this folder; move it away", path.display())]
    NotALink {
        /// The layer.
        layer: String,
        /// What is there.
        path: PathBuf,
    },
    /// A folder of the layer that is a link.
    #[error("layer `{layer}`: {}: leads to {}, where relative links would lead elsewhere; make it a folder of the layer", path.display(), real.display())]
    Elsewhere {
        /// The layer.
        layer: String,
        /// The folder.
        path: PathBuf,
        /// Where it is really.
        real: PathBuf,
    },
    /// Another run is at work.
    #[error("layer `{layer}`: {}: another `dlcast layers link` is at work; wait for it", path.display())]
    Busy {
        /// The layer.
        layer: String,
        /// Its folder.
        path: PathBuf,
    },
    /// A file or folder cannot be read.
    #[error("layer `{layer}`: {}: {}", path.display(), plain(source))]
    Read {
        /// The layer.
        layer: String,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder cannot be changed.
    #[error("layer `{layer}`: {}: cannot be written: {}{}", path.display(), plain(source), way_out(source))]
    Write {
        /// The layer.
        layer: String,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run as its owner, or link a copy of the layer",
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable, or link a copy of the layer",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; nothing was changed in this layer",
        _ => "",
    }
}

impl LinkError {
    /// Two files that have to be compared cannot be.
    pub(super) fn compare(layer: &str, (one, other): (&Path, &Path), error: &io::Error) -> LinkError {
        let source =
            io::Error::new(error.kind(), format!("cannot be compared with {}: {}", other.display(), plain(error)));
        LinkError::Read { layer: layer.into(), path: one.into(), source }
    }
}

/// All names that mean several libraries within a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguous {
    /// The file that says which layers there are.
    pub file: PathBuf,
    /// The layers, in the order of the file.
    pub layers: Vec<(String, Vec<Name>)>,
}

/// One such name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What others look for.
    pub name: OsString,
    /// The files that have it, relative to the layer; those with the same content together, the one that is called so first.
    pub candidates: Vec<Vec<PathBuf>>,
}

impl std::error::Error for Ambiguous {}

impl fmt::Display for Ambiguous {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let count: usize = self.layers.iter().map(|(_, names)| names.len()).sum();
        let (names, mean) = if count == 1 { ("name", "means") } else { ("names", "mean") };
        writeln!(to, "{}: {count} {names} within a layer {mean} different libraries", self.file.display())?;
        for (layer, names) in &self.layers {
            writeln!(to, "layer `{layer}`:")?;
            for Name { name, candidates } in names {
                writeln!(to, "  {}", name.display())?;
                for files in candidates {
                    let mut files = files.iter().map(|file| file.display().to_string());
                    let first = files.next().unwrap_or_default();
                    let copies: Vec<String> = files.collect();
                    match copies.is_empty() {
                        true => writeln!(to, "    {first}")?,
                        false => writeln!(to, "    {first} (the same as {})", copies.join(", "))?,
                    }
                }
            }
        }
        write!(to, "exclude all but one of each in the layer's dynlib_exclude: {}", self.example())
    }
}

impl Ambiguous {
    /// An entry that would exclude the last candidate of the first name.
    fn example(&self) -> String {
        let names = self.layers.first().and_then(|(_, names)| names.first());
        let files = names.and_then(|name| name.candidates.last()).into_iter().flatten();
        let globs: Vec<String> = files.map(|file| format!("{:?}", end(file))).collect();
        format!("dynlib_exclude = [{}]", globs.join(", "))
    }
}

/// The file with its folder; globs are matched at the end.
fn end(file: &Path) -> String {
    let parts: Vec<_> = file.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy()).collect();
    let path = parts.iter().rev().map(|part| part.as_ref()).collect::<Vec<&str>>().join("/");
    // What would be a pattern means itself in brackets.
    path.chars().map(|one| if "*?[".contains(one) { format!("[{one}]") } else { one.into() }).collect()
}
