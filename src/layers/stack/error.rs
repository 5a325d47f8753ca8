//! What can be wrong with a stack, in words that name the way out.

use std::io;
use std::path::{Path, PathBuf};

/// Why a stack cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A file or folder cannot be read, or is not there.
    #[error("{}: {}", path.display(), said(source))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A device or a pipe.
    #[error("{}: neither a file nor a folder", path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// A file that nobody has written by hand.
    #[error("{}: larger than {most} bytes, which no description of a stack is", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// What it may have.
        most: u64,
    },
    /// A folder that describes no stack.
    #[error("{}: holds neither a stack.toml nor a venvstacks.toml; name the file", folder.display())]
    NoFile {
        /// Which.
        folder: PathBuf,
    },
    /// A folder that describes two.
    #[error("{}: holds a stack.toml and a venvstacks.toml; say which", folder.display())]
    TwoFiles {
        /// Which.
        folder: PathBuf,
    },
    /// Not TOML, or not what such a file says.
    #[error("{}: line {line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// TOML about something else, or about a stack in both ways.
    #[error(
        "{}: must have either [[layer]], as a stack.toml, or [[runtimes]], [[frameworks]] and [[applications]], as a venvstacks.toml",
        file.display()
    )]
    Format {
        /// The file.
        file: PathBuf,
    },
    /// A folder for what is not venvstacks'.
    #[error("{}: a stack.toml says where its layers are: leave out --build-dir, which is for a venvstacks.toml", file.display())]
    BuildDir {
        /// The file.
        file: PathBuf,
    },
    /// No layer, or too many.
    #[error("{}: describes {count} layers; it must be 1 to {most}", file.display())]
    Number {
        /// The file.
        file: PathBuf,
        /// How many it has.
        count: usize,
        /// How many it may have.
        most: usize,
    },
    /// A name that cannot be told in a line.
    #[error("{}: {name:?} is no name for a layer: it must not be empty, begin or end with a space, or have control characters", file.display())]
    Name {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// Two layers of one name.
    #[error("{}: two layers are called `{name}`; rename one", file.display())]
    SameName {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// Two layers in one folder.
    #[error("{}: the layers `{first}` and `{second}` are the same folder, {}; leave out one", file.display(), path.display())]
    SameFolder {
        /// The file.
        file: PathBuf,
        /// One layer.
        first: String,
        /// The other one.
        second: String,
        /// As the second one has it.
        path: PathBuf,
    },
    /// A layer that is used and not there.
    #[error("{}: layer `{layer}` uses `{used}`, which is no layer; {}", file.display(), usable(known))]
    Unknown {
        /// The file.
        file: PathBuf,
        /// Who uses it.
        layer: String,
        /// What is used.
        used: String,
        /// The layers that there are.
        known: Vec<String>,
    },
    /// A framework that venvstacks would not know yet.
    #[error("{}: layer `{layer}` uses `{used}`, which comes after it; venvstacks wants it before", file.display())]
    Later {
        /// The file.
        file: PathBuf,
        /// Who uses it.
        layer: String,
        /// What is used.
        used: String,
    },
    /// A layer that is listed twice by the same one.
    #[error("{}: layer `{layer}` lists `{used}` twice; leave out one", file.display())]
    Twice {
        /// The file.
        file: PathBuf,
        /// Who lists it.
        layer: String,
        /// What is listed.
        used: String,
    },
    /// Layers that use each other.
    #[error("{}: layers use each other in a circle: {}; take one of them out of a list", file.display(), names.join(" -> "))]
    Cycle {
        /// The file.
        file: PathBuf,
        /// Each uses the next; the last one is the first again.
        names: Vec<String>,
    },
    /// Layers that have no common order.
    #[error("{}: what layer `{layer}` uses has no common order: {}; change one of these lists", file.display(), told(wishes))]
    Order {
        /// The file.
        file: PathBuf,
        /// The layer.
        layer: String,
        /// Who has which layer before which.
        wishes: Vec<[String; 3]>,
    },
    /// A `dynlib_exclude` that cannot be.
    #[error("{}: layer `{layer}`: dynlib_exclude has {glob:?}, which is no glob: {why}", file.display())]
    Glob {
        /// The file.
        file: PathBuf,
        /// The layer.
        layer: String,
        /// As it stands there.
        glob: String,
        /// Why not.
        why: String,
    },
    /// A folder that LD_LIBRARY_PATH cannot name.
    #[error(
        "layer `{layer}`: {} has `{part}` in its path, of which ld.so makes something else in LD_LIBRARY_PATH; move or rename the folder",
        path.display()
    )]
    Unusable {
        /// The layer.
        layer: String,
        /// Its folder.
        path: PathBuf,
        /// What it must not have.
        part: &'static str,
    },
    /// A layer without a folder.
    #[error("layer `{layer}`: {}: no such folder; its `path` is taken relative to the file that says so", path.display())]
    NoFolder {
        /// The layer.
        layer: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A layer that is a file.
    #[error("layer `{layer}`: {} is a file; its `path` must name the folder of an environment", path.display())]
    NotAFolder {
        /// The layer.
        layer: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A folder that is no environment.
    #[error("layer `{layer}`: {} is no Python environment: it has no {missing}; make one with `python3 -m venv`", path.display())]
    NoPython {
        /// The layer.
        layer: String,
        /// Its folder.
        path: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },
    /// An environment of Windows.
    #[error(
        "layer `{layer}`: {} is an environment for Windows, which finds libraries by os.add_dll_directory and has no use for links",
        path.display()
    )]
    Windows {
        /// The layer.
        layer: String,
        /// Its folder.
        path: PathBuf,
    },
    /// An environment that venvstacks has not built yet.
    #[error(
        "layer `{layer}`: {}: not built; run `venvstacks build`, or say with --build-dir where it has built",
        path.display()
    )]
    NotBuilt {
        /// The layer.
        layer: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// Exports of several versions in one folder.
    #[error("layer `{layer}`: {} has more than one version of it: {}; remove all but one", folder.display(), names(found))]
    Versions {
        /// The layer.
        layer: String,
        /// Where they are.
        folder: PathBuf,
        /// The folders.
        found: Vec<String>,
    },
    /// What a layer is to run on, said in no way or in two.
    #[error("{}: layer `{layer}` must have either `runtime` or `frameworks`", file.display())]
    Base {
        /// The file.
        file: PathBuf,
        /// The layer.
        layer: String,
    },
    /// Frameworks for different Pythons.
    #[error("{}: layer `{layer}` uses {}; a layer has one runtime", file.display(), runtimes(bases))]
    Runtimes {
        /// The file.
        file: PathBuf,
        /// The layer.
        layer: String,
        /// Two that it uses, and what each runs on.
        bases: Vec<[String; 2]>,
    },
    /// What venvstacks has left in an environment is damaged.
    #[error("layer `{layer}`: {}: {message}; build it again with `venvstacks build`", path.display())]
    Metadata {
        /// The layer.
        layer: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An environment that was built from another venvstacks.toml.
    #[error(
        "layer `{layer}`: was built over {}, and {} has it over {}; build it again with `venvstacks build`",
        names(built), file.display(), names(asked)
    )]
    Stale {
        /// The file.
        file: PathBuf,
        /// The layer.
        layer: String,
        /// What it was built over.
        built: Vec<String>,
        /// What the file says.
        asked: Vec<String>,
    },
}

impl StackError {
    pub(in crate::layers) fn read(path: &Path, source: io::Error) -> StackError {
        StackError::Read { path: path.to_path_buf(), source }
    }
}

/// Rust's own messages begin with a capital and end with a number.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "may not be read".into(),
        _ => plain(error),
    }
}

/// An error of the system as it says it, without Rust's number.
pub(in crate::layers) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// "`a`, `b`, `c`", and no more than a line's worth of them.
fn names(names: &[String]) -> String {
    const MOST: usize = 12;
    let mut told: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    if names.len() > MOST {
        told.push(format!("{} more", names.len() - MOST));
    }
    if told.is_empty() { "nothing".into() } else { told.join(", ") }
}

/// What a layer can use.
fn usable(known: &[String]) -> String {
    match known.is_empty() {
        true => "describe that one in the file, too, or leave it out".into(),
        false => format!("it can use {}", names(known)),
    }
}

/// "`x` on `a`, `y` on `b`".
fn runtimes(bases: &[[String; 2]]) -> String {
    let told = bases.iter().map(|[base, runtime]| format!("`{base}` on `{runtime}`"));
    told.collect::<Vec<_>>().join(" and ")
}

/// "`a` has x before y, `b` has y before x".
fn told(wishes: &[[String; 3]]) -> String {
    let told = wishes.iter().map(|[of, first, later]| match of == first {
        true => format!("`{first}` comes before `{later}`, which it uses"),
        false => format!("`{of}` has `{first}` before `{later}`"),
    });
    told.collect::<Vec<_>>().join(", ")
}
