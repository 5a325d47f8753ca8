//! Folders that look like environments.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Writes a file, and the folders above it.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// An environment of Python 3.11; its Python is a link to what need not be there.
pub fn environment(path: &Path) {
    fs::create_dir_all(path.join("bin")).unwrap();
    fs::create_dir_all(path.join("lib/python3.11/site-packages")).unwrap();
    symlink("/opt/python/bin/python3.11", path.join("bin/python")).unwrap();
}

/// An environment as venvstacks leaves one that it has built over others.
pub fn built(path: &Path, over: &[&str]) {
    environment(path);
    metadata(path, "bin/python", over);
}

/// What venvstacks writes into it.
pub fn metadata(path: &Path, python: &str, over: &[&str]) {
    let folders = |last: &str| over.iter().map(|name| format!("../{name}/{last}")).collect::<Vec<_>>();
    let metadata = serde_json::json!({
        "base_python": "../cpython-3.11/bin/python",
        "dynlib_dirs": folders("share/venv/dynlib"),
        "py_version": "3.11.11",
        "pylib_dirs": folders("lib/python3.11/site-packages"),
        "python": python,
        "site_dir": "lib/python3.11/site-packages",
    });
    write(&path.join("share/venv/metadata/venvstacks_layer.json"), metadata.to_string());
}
