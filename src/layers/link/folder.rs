//! A folder of links that is exchanged for another one at once: who looks sees all old links, or all new ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, RenameFlags, access, renameat_with};
use rustix::io::Errno;

/// Names, and what the links say.
pub type Links = BTreeMap<OsString, PathBuf>;

/// What is at the place of such a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A folder with links, and nothing else.
    Links(Links),
    /// A link to some folder, with its links.
    Link(Links),
    /// Something that is no link, or a file in place of the folder.
    Other(PathBuf),
}

/// Looks what is there.
///
/// # Errors
///
/// What the system says.
pub fn look(path: &Path) -> io::Result<Found> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        meta => meta?,
    };
    if meta.is_symlink() && !path.is_dir() {
        return Ok(Found::Link(Links::new()));
    }
    if !path.is_dir() {
        return Ok(Found::Other(path.into()));
    }
    let mut links = Links::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            return Ok(Found::Other(entry.path()));
        }
        links.insert(entry.file_name(), fs::read_link(entry.path())?);
    }
    Ok(if meta.is_symlink() { Found::Link(links) } else { Found::Links(links) })
}

/// Looks whether files can be made in a folder.
///
/// # Errors
///
/// What the system would say.
pub fn may_write(folder: &Path) -> io::Result<()> {
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Where the new folder is made, or the old one is left for a moment.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push("-new");
    path.with_file_name(name)
}

/// Makes the new folder beside the old one.
///
/// # Errors
///
/// What the system says.
pub fn prepare(path: &Path, links: &Links) -> io::Result<()> {
    clear(path)?;
    let new = beside(path);
    fs::create_dir(&new)?;
    links.iter().try_for_each(|(name, says)| symlink(says, new.join(name)))
}

/// Puts the new folder in place of the old one.
///
/// # Errors
///
/// What the system says.
pub fn exchange(path: &Path) -> io::Result<()> {
    let new = beside(path);
    if fs::symlink_metadata(path).is_err() {
        return fs::rename(&new, path);
    }
    match renameat_with(CWD, &new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => clear(path),
        // Network file systems cannot.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => one_by_one(path, &new),
        Err(error) => Err(error.into()),
    }
}

/// Where two folders cannot be exchanged, each link is, and what is no longer wanted goes last.
fn one_by_one(path: &Path, new: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_symlink() {
        fs::remove_file(path)?;
        return fs::rename(new, path);
    }
    let (Found::Links(wanted), Found::Links(there)) = (look(new)?, look(path)?) else {
        return Err(io::Error::other("has changed meanwhile"));
    };
    for name in wanted.iter().filter(|(name, says)| there.get(*name) != Some(says)).map(|(name, _)| name) {
        fs::rename(new.join(name), path.join(name))?;
    }
    for name in there.keys().filter(|name| !wanted.contains_key(*name)) {
        fs::remove_file(path.join(name))?;
    }
    clear(path)
}

/// Removes what is beside the folder: the old one, or what an interrupted run has left.
///
/// # Errors
///
/// What the system says.
pub fn clear(path: &Path) -> io::Result<()> {
    let beside = beside(path);
    match fs::symlink_metadata(&beside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(beside),
        Ok(_) => fs::remove_file(beside),
    }
}
