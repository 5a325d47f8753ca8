//! Fixture libraries, compiled from `fixtures/` or the samples in `plugins/` with the system's compilers, and altered copies.
//!
//! Pure of MPI: `Job` sees to it that one rank builds and the others wait.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How one fixture library is built.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Below the folder of this package.
    source: PathBuf,
    name: String,
    compiler: Option<String>,
    flags: Vec<String>,
}

impl Fixture {
    /// The library `lib<name>.so` of `fixtures/<source>`; `name` is a C identifier.
    pub fn new(source: &'static str, name: &str) -> Self {
        Fixture { source: Path::new("fixtures").join(source), name: name.to_owned(), compiler: None, flags: Vec::new() }
    }

    /// The library `lib<name>.so` of a sample, `plugins/<source>`.
    pub fn sample(source: impl AsRef<Path>, name: &str) -> Self {
        Fixture { source: Path::new("../plugins").join(source), ..Fixture::new("", name) }
    }

    /// A library that calls MPI: built by the MPI's own compiler for C (`MPICC`).
    #[must_use]
    pub fn with_mpi(mut self) -> Self {
        self.compiler = Some(std::env::var("MPICC").unwrap_or_else(|_| "mpicc".to_owned()));
        self
    }

    /// A library that needs another one of its folder, and finds it there.
    #[must_use]
    pub fn needing(self, other: &Path) -> Self {
        self.flag("-Wl,--no-as-needed").flag(other.to_str().expect("plain names")).flag("-Wl,-rpath,$ORIGIN")
    }

    /// A plugin of that name (`fixtures/plugin.c`).
    pub fn plugin(name: &str) -> Self {
        Fixture::new("plugin.c", name)
    }

    /// A plugin whose constructor asks for the plugin `next` in the same folder.
    #[must_use]
    pub fn asking_for(self, next: &str) -> Self {
        self.flag(format!("-DASKS=\"$ORIGIN/lib{next}.so\""))
    }

    /// Adds an argument of the compiler.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Where [`Fixture::build`] puts it.
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("lib{}.so", self.name))
    }

    /// Compiles it into `folder`, with its file name as SONAME and a build id.
    ///
    /// # Panics
    ///
    /// When the compiler fails: a test without its fixture has nothing to say.
    pub fn build(&self, folder: &Path) -> PathBuf {
        let path = self.path(folder);
        let cpp = self.source.extension().is_some_and(|extension| extension == "cpp");
        let compiler = self.compiler.as_deref().unwrap_or(if cpp { "c++" } else { "cc" });
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1", "-pthread", "-Wall", "-Werror", "-Wl,--build-id"]);
        if cpp {
            command.arg("-std=c++17");
        }
        command
            .arg(format!("-DNAME={}", self.name))
            .arg(concat!("-I", env!("CARGO_MANIFEST_DIR"), "/../include"))
            .arg(format!("-Wl,-soname,lib{}.so", self.name))
            .arg("-o")
            .arg(&path)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(&self.source))
            .args(&self.flags);
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {compiler}: {error}"));
        assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
        path
    }
}

/// Builds `count` libraries that differ in their names alone (`libunit0000.so`, ...): one is compiled, the others are
/// patched copies with the same size and the same build id.
///
/// # Panics
///
/// When a file cannot be written.
pub fn series(folder: &Path, count: usize) -> Vec<PathBuf> {
    let first = Fixture::new("counted.c", "unit0000").build(folder);
    let bytes = fs::read(&first).expect("the fixture was just built");
    (0..count)
        .map(|number| {
            let name = format!("unit{number:04}");
            let path = folder.join(format!("lib{name}.so"));
            if number > 0 {
                fs::write(&path, patched(&bytes, b"unit0000", name.as_bytes())).expect("the folder is writable");
            }
            path
        })
        .collect()
}

/// A copy of `bytes` in which every `old` is `new`, of the same length.
///
/// # Panics
///
/// When the lengths differ or `old` does not occur.
pub fn patched(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "a patch keeps the size");
    let mut copy = bytes.to_vec();
    let places: Vec<usize> = (0..=bytes.len() - old.len()).filter(|&at| bytes[at..].starts_with(old)).collect();
    assert!(!places.is_empty(), "nothing to patch");
    for at in places {
        copy[at..at + new.len()].copy_from_slice(new);
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_replaces_every_occurrence_and_keeps_the_size() {
        assert_eq!(patched(b"..ab.ab", b"ab", b"xy"), b"..xy.xy");
    }

    #[test]
    fn a_series_has_one_size_and_many_contents() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<Vec<u8>> = series(folder.path(), 3).iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(files.iter().all(|file| file.len() == files[0].len()));
        assert!(files[0] != files[1] && files[1] != files[2]);
    }
}
