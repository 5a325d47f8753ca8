//! Finds the program that execvp(3) would start, and tells whether what is preloaded would get into it.
//!
//! It reads heads of files. It starts nothing, and does not look for what a program needs.

use std::ffi::{CString, OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::layers::elf::{self, ElfError};
use crate::layers::regular;

/// Why there is no program to start.
#[derive(Debug, thiserror::Error)]
pub enum NoProgram {
    /// No file of that name.
    #[error("{name}: no such program{}", looked(.folders))]
    Missing {
        /// What was sought.
        name: String,
        /// Where; nowhere for a name with a slash.
        folders: Vec<PathBuf>,
    },
    /// A file that may not be started.
    #[error("{path}: cannot be started: {why}")]
    Denied {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        why: &'static str,
    },
}

fn looked(folders: &[PathBuf]) -> String {
    match folders {
        [] => String::new(),
        folders => {
            let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            format!(" in PATH ({}); give its path, with a slash", folders.join(":"))
        }
    }
}

/// Finds a program by its name, in these folders if it has no slash.
///
/// # Errors
/// [`NoProgram`]: there is none, or it may not be started.
pub fn find(name: &OsStr, folders: &[PathBuf]) -> Result<PathBuf, NoProgram> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return check(&path).map(|()| path);
    }
    // As the shell: a file that may not be started is passed over, but told if nothing better comes.
    let mut denied = None;
    for folder in folders.iter().filter(|_| !name.is_empty()) {
        let path = folder.join(name);
        match check(&path) {
            Ok(()) => return Ok(path),
            Err(error @ NoProgram::Denied { .. }) => denied = denied.or(Some(error)),
            Err(NoProgram::Missing { .. }) => {}
        }
    }
    let name = name.to_string_lossy().into_owned();
    Err(denied.unwrap_or(NoProgram::Missing { name, folders: folders.to_vec() }))
}

fn check(path: &Path) -> Result<(), NoProgram> {
    let denied = |why| Err(NoProgram::Denied { path: path.to_path_buf(), why });
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => denied("its folder may not be entered"),
        Err(_) => Err(NoProgram::Missing { name: path.display().to_string(), folders: Vec::new() }),
        Ok(meta) if meta.is_dir() => denied("it is a folder"),
        Ok(meta) if !meta.is_file() => denied("it is no regular file"),
        Ok(_) if !may_execute(path) => denied("it is not executable; chmod +x makes it so"),
        Ok(_) => Ok(()),
    }
}

fn may_execute(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: a C string that lives through the call.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

/// What a program is to ld.so, by which LD_PRELOAD takes effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// ld.so starts it, of the C library that this process has.
    Dynamic,
    /// No loader starts it: nothing can be preloaded, but its children are as they are.
    Static,
    /// Another C library's loader starts it, which would trip over what is preloaded.
    OtherLoader(String),
    /// Not for this machine or word size; its loader would complain.
    Foreign(String),
    /// A shared library, which nothing starts.
    Library,
    /// With another user's or group's rights ld.so ignores what is preloaded.
    OtherRights,
    /// Nothing is known.
    Unknown(String),
}

/// A program, with the interpreters that start it if it is a script.
#[derive(Debug, Clone)]
pub struct Program {
    /// What the kernel starts, the script first; the last one is no script.
    pub chain: Vec<PathBuf>,
    /// What the last one is.
    pub start: Start,
}

/// Looks at the program at `path`. Scripts are followed to the program that runs them, by way of `env`, too.
#[must_use]
pub fn look(path: &Path, folders: &[PathBuf]) -> Program {
    let mut chain = vec![path.to_path_buf()];
    loop {
        let last = &chain[chain.len() - 1];
        // The kernel follows five (BINPRM_BUF_SIZE and the depth of exec(2)).
        match interpreter_of(last, folders) {
            Some(next) if chain.len() <= 5 => chain.push(next),
            _ => break,
        }
    }
    let start = start(&chain[chain.len() - 1]);
    Program { chain, start }
}

/// The interpreter that a script's first line names. A file without one that is no ELF either is run by the shell, by execvp.
fn interpreter_of(path: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
    let head = regular::start(path, 256).ok()?;
    if head.starts_with(b"\x7fELF") {
        return None;
    }
    let Some(line) = head.strip_prefix(b"#!") else { return Some("/bin/sh".into()) };
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
    let word = |word: &[u8]| OsString::from_vec(word.to_vec());
    let interpreter = PathBuf::from(word(words.next()?));
    if interpreter.file_name().is_some_and(|name| name == "env") {
        let named = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
        if let Some(found) = named.and_then(|name| find(&word(name), folders).ok()) {
            return Some(found);
        }
    }
    Some(interpreter)
}

/// A set-user-ID bit of the caller's own changes nothing.
fn changes_rights(meta: &Metadata) -> bool {
    let has = |bit: u32| meta.permissions().mode() & bit != 0;
    // SAFETY: both only read what the process has.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    (has(libc::S_ISUID) && meta.uid() != user) || (has(libc::S_ISGID) && meta.gid() != group)
}

fn start(path: &Path) -> Start {
    let file = match regular::open(path) {
        Ok(file) => file,
        Err(error) => return Start::Unknown(format!("cannot be read: {error}")),
    };
    if file.metadata().is_ok_and(|meta| changes_rights(&meta)) {
        return Start::OtherRights;
    }
    match elf::interpreter(&file) {
        Ok(None) if elf::read_file(&file).is_ok() => Start::Library,
        Ok(None) => Start::Static,
        // By name: glibc's loaders are ld-linux-ARCH.so.N, or ld64.so.N on some machines; musl's is ld-musl-ARCH.so.1.
        Ok(Some(loader)) => {
            let name = loader.rsplit('/').next().unwrap_or_default();
            match name.starts_with("ld-linux") || name.starts_with("ld64.so") {
                true => Start::Dynamic,
                false => Start::OtherLoader(loader),
            }
        }
        Err(error @ ElfError::Machine { .. }) => Start::Foreign(error.to_string()),
        Err(error) => Start::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_file_that_may_not_be_started_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let folders = ["a", "b", "c"].map(|name| dir.path().join(name));
        put(&folders[0], "tool", "", 0o644);
        std::fs::create_dir_all(folders[1].join("tool")).unwrap();
        let denied = find("tool".as_ref(), &folders).unwrap_err();
        assert!(matches!(&denied, NoProgram::Denied { path, .. } if path.starts_with(&folders[0])), "{denied}");
        let good = put(&folders[2], "tool", "", 0o755);
        assert_eq!(find("tool".as_ref(), &folders).unwrap(), good);
        assert!(matches!(find("other".as_ref(), &folders), Err(NoProgram::Missing { .. })));
        assert!(matches!(find("".as_ref(), &folders), Err(NoProgram::Missing { .. })));
    }

    #[test]
    fn scripts_are_followed_to_what_runs_them() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        let folders = [bin.clone(), "/bin".into()];
        let inner = put(&bin, "inner", "#! /bin/sh -e\n", 0o755);
        for (line, run_by) in
            [("#!/usr/bin/env -S A=b inner --odd", inner.clone()), ("#!/usr/bin/env inner", inner.clone())]
        {
            let outer = put(&bin, "outer", line, 0o755);
            let program = look(&outer, &folders);
            assert_eq!(program.chain, [outer, run_by, "/bin/sh".into()], "{line}");
            assert_eq!(program.start, Start::Dynamic);
        }
        // In a circle it comes to an end, as in the kernel.
        let circle = bin.join("circle");
        put(&bin, "circle", &format!("#!{}\n", circle.display()), 0o755);
        assert!(look(&circle, &folders).chain.len() <= 7);
    }
}
