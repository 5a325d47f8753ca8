//! Which files of a layer are looked at, and which folders: by name and place alone.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

/// A file that is looked at.
pub struct Candidate {
    /// Relative to the layer.
    pub path: PathBuf,
    /// Whether its name is one of a shared object. Otherwise its place is one where some are.
    pub named: bool,
    /// What the folder says that it is: a file, a link, or something that is not opened.
    pub kind: FileType,
}

/// Whether a name is one of a shared object: `x.so`, `libx.so.1.2`, or `libx.dylib`, of macOS.
pub fn is_library(name: &[u8]) -> bool {
    name.ends_with(b".dylib")
        || name.windows(3).enumerate().any(|(at, part)| part == b".so" && matches!(name.get(at + 3), None | Some(b'.')))
}

/// Whether every file of a folder is looked at, whatever its name: `bin`, `lib` and `lib64` of the layer themselves, where programs
/// are, and what wheels put beside them. `folder` is relative to the layer.
pub fn is_for_all(folder: &Path) -> bool {
    let mut parts = folder.iter();
    matches!(parts.next(), Some(first) if first == "bin" || first == "lib" || first == "lib64")
        && parts.next().is_none()
}

/// Whether a folder below `folder` is gone into.
pub fn is_of_interest(folder: &Path, name: &[u8]) -> bool {
    match name {
        // Python's own cache.
        b"__pycache__" => false,
        // What `dlcast layers link` makes, and venvstacks before it.
        b"dynlib" => folder != Path::new("share/venv"),
        _ => !(name.starts_with(b".dynlib-") && folder == Path::new("share/venv")),
    }
}

/// Whether a link to a folder is followed: an environment may have its main folders elsewhere. Others may lead in circles.
pub fn is_main(path: &Path) -> bool {
    let is_version = |name: &str| name.starts_with("python") || name.starts_with("pypy");
    let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap_or_default()).collect();
    match parts[..] {
        ["bin" | "lib" | "lib64"] => true,
        ["lib" | "lib64", version] | ["lib" | "lib64", version, "site-packages"] => is_version(version),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versioned_names_are_libraries_and_sources_are_not() {
        for name in
            ["x.so", "libx.so.1", "libx.so.1.2.3", "MPI.mpich.cpython-311-x86_64-linux-gnu.so", "libz.e05c5b49.so.1"]
        {
            assert!(is_library(name.as_bytes()), "{name}");
        }
        for name in ["x.sorted", "x.source.txt", "libx.so~", "so", "x.py", "libx.a", ".solib"] {
            assert!(!is_library(name.as_bytes()), "{name}");
        }
    }
}
