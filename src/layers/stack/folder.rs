//! Whether a folder is a Python environment, and for which system. It looks at names, not into libraries.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{Platform, StackError};
use crate::layers::regular;

/// What a path must not have in LD_LIBRARY_PATH, where ld.so would make something else of it.
const UNUSABLE: [&str; 8] = [":", ";", "$ORIGIN", "${ORIGIN}", "$LIB", "${LIB}", "$PLATFORM", "${PLATFORM}"];

/// The system that the environment is for, and its folder without links.
pub fn look(layer: &str, path: &Path) -> Result<(Platform, PathBuf), StackError> {
    let told = || (layer.to_string(), path.to_path_buf());
    if let Some(part) = UNUSABLE.iter().find(|part| contains(path, part)) {
        let (layer, path) = told();
        return Err(StackError::Unusable { layer, path, part });
    }
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let (layer, path) = told();
            return Err(StackError::NoFolder { layer, path });
        }
        Err(source) => return Err(StackError::read(path, source)),
    };
    if !real.is_dir() {
        let (layer, path) = told();
        return Err(StackError::NotAFolder { layer, path });
    }
    let names = ["bin/python", "bin/python3"].map(|name| path.join(name));
    let python = names.iter().any(|name| fs::symlink_metadata(name).is_ok());
    if !python && is_windows(path) {
        let (layer, path) = told();
        return Err(StackError::Windows { layer, path });
    }
    let versions = versions(path);
    if !python || !versions.iter().any(|version| version.join("site-packages").is_dir()) {
        let folders = ["lib", "lib64"].map(|name| path.join(name));
        let packages = versions.iter().map(|version| version.join("site-packages"));
        match python {
            true => unless_denied(folders, |path| fs::read_dir(path).map(drop))
                .and_then(|()| unless_denied(packages, |path| fs::metadata(path).map(drop)))?,
            false => unless_denied(names, |path| fs::symlink_metadata(path).map(drop))?,
        }
        let (layer, path) = told();
        let missing = if python { "lib/python3.*/site-packages" } else { "bin/python" };
        return Err(StackError::NoPython { layer, path, missing });
    }
    let platform = if is_mac_os(path, &versions) { Platform::MacOs } else { Platform::Posix };
    Ok((platform, real))
}

/// What may not be looked at is not missing.
fn unless_denied(
    paths: impl IntoIterator<Item = PathBuf>,
    look: impl Fn(&Path) -> io::Result<()>,
) -> Result<(), StackError> {
    for path in paths {
        match look(&path) {
            Err(source) if source.kind() == ErrorKind::PermissionDenied => return Err(StackError::read(&path, source)),
            _ => {}
        }
    }
    Ok(())
}

fn contains(path: &Path, part: &str) -> bool {
    path.as_os_str().as_encoded_bytes().windows(part.len()).any(|bytes| bytes == part.as_bytes())
}

/// `lib/python3.11` and its like: of any Python, in lib or lib64.
fn versions(path: &Path) -> Vec<PathBuf> {
    let folders = ["lib", "lib64"].iter().filter_map(|name| fs::read_dir(path.join(name)).ok());
    let entries = folders.flatten().filter_map(Result::ok);
    let pythons = entries.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().starts_with(b"python") || name.as_encoded_bytes().starts_with(b"pypy")
    });
    pythons.map(|entry| entry.path()).collect()
}

/// A virtual environment has its scripts in Scripts, and a runtime of python-build-standalone python.exe in its folder.
fn is_windows(path: &Path) -> bool {
    ["Scripts/python.exe", "python.exe"].iter().any(|name| path.join(name).exists())
        || ["Scripts", "Lib"].iter().all(|name| path.join(name).is_dir())
}

/// A runtime says so in the names of its files, a virtual environment by the Python that it was made from.
fn is_mac_os(path: &Path, versions: &[PathBuf]) -> bool {
    let named = |folder: &Path, is: fn(&str) -> bool| {
        let mut entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.any(|entry| is(&entry.file_name().to_string_lossy()))
    };
    named(&path.join("lib"), |name| name.starts_with("libpython") && name.ends_with(".dylib"))
        || versions.iter().any(|version| named(version, |name| name.ends_with("-darwin") || name.contains("_darwin_")))
        || is_mac_os_python(&path.join("bin/python"))
        || is_mac_os_home(&path.join("pyvenv.cfg"))
}

/// Mach-O, or a wrapper for it: venvstacks' or dlcast's.
fn is_mac_os_python(python: &Path) -> bool {
    let text = start(python);
    let magic = text.get(..4).unwrap_or_default();
    matches!(magic, [0xcf, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, 0xbe])
        || (text.starts_with(b"#!") && text.windows(17).any(|bytes| bytes == b"DYLD_LIBRARY_PATH"))
}

fn is_mac_os_home(config: &Path) -> bool {
    let text = String::from_utf8_lossy(&start(config)).into_owned();
    let mut entries = text.lines().filter_map(|line| line.split_once('='));
    let home = entries.find(|(key, _)| key.trim() == "home").map(|(_, value)| value.trim());
    let places = ["/Library/", "/opt/homebrew/", "/Applications/", "/usr/local/Cellar/", "/usr/local/opt/", "/Users/"];
    home.is_some_and(|home| places.iter().any(|place| home.starts_with(place)))
}

/// The first bytes of a file; none where there is no such file.
fn start(path: &Path) -> Vec<u8> {
    // What cannot be read says nothing.
    regular::start(path, 4096).unwrap_or_default()
}
