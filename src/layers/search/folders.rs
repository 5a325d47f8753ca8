//! The folders of RPATH, RUNPATH and LD_LIBRARY_PATH: lists of text, in which `$ORIGIN` and its like stand for something.
//!
//! It looks at no file.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::System;

/// A list that is longer than any linker or person writes is cut off here: it would be tried for every name.
const MOST: usize = 512;

/// A folder in which names are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The folder; an empty path is the working directory.
    pub path: PathBuf,
    /// A folder that is to be made, and the names that will be in it: the disk knows where they lead.
    pub links: Option<Rc<BTreeSet<OsString>>>,
}

impl Folder {
    /// A folder as it is on the disk.
    #[must_use]
    pub fn new(path: PathBuf) -> Folder {
        Folder { path, links: None }
    }
}

/// The folders of DT_RPATH or DT_RUNPATH of an object in the folder `origin`.
#[must_use]
pub fn of_object(entries: &[OsString], origin: &Path, system: &System) -> Vec<Folder> {
    match entries {
        // An empty path is none; an empty entry among others is the working directory.
        [only] if only.is_empty() => Vec::new(),
        entries => folders(entries.iter().map(OsString::as_os_str), origin, system),
    }
}

/// The folders of LD_LIBRARY_PATH, for a program in the folder `origin`.
#[must_use]
pub fn of_variable(value: &OsStr, origin: &Path, system: &System) -> Vec<Folder> {
    match value.as_bytes() {
        [] => Vec::new(),
        value => {
            let entries = value.split(|byte| matches!(byte, b':' | b';'));
            folders(entries.map(OsStr::from_bytes), origin, system)
        }
    }
}

fn folders<'a>(entries: impl Iterator<Item = &'a OsStr>, origin: &Path, system: &System) -> Vec<Folder> {
    let mut seen = HashSet::new();
    let mut folders = Vec::new();
    for entry in entries {
        let path = match entry.is_empty() {
            true => OsString::new(),
            false => match expand(entry, origin, system) {
                Some(path) => path,
                None => continue,
            },
        };
        let path = path.as_bytes();
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let path = if end == 0 && !path.is_empty() { &path[..1] } else { &path[..end] };
        let path = OsStr::from_bytes(path).to_os_string();
        if folders.len() < MOST && seen.insert(path.clone()) {
            folders.push(Folder::new(path.into()));
        }
    }
    folders
}

/// Replaces what stands for something. None where it stands for nothing: ld.so leaves such an entry out.
#[must_use]
pub fn expand(entry: impl AsRef<OsStr>, origin: &Path, system: &System) -> Option<OsString> {
    let values = [
        (&b"ORIGIN"[..], origin.as_os_str().as_bytes()),
        (b"PLATFORM", system.platform.as_bytes()),
        (b"LIB", system.lib.as_bytes()),
    ];
    let mut text = Vec::new();
    let mut rest = entry.as_ref().as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        text.extend(&rest[..at]);
        rest = &rest[at + 1..];
        let known = values.iter().find_map(|(token, value)| Some((after(rest, token)?, *value)));
        match known {
            Some((_, [])) => return None,
            Some((after, value)) => {
                text.extend(value);
                rest = after;
            }
            // What ld.so does not know stands for itself.
            None => text.push(b'$'),
        }
    }
    text.extend(rest);
    (!text.is_empty()).then(|| OsString::from_vec(text))
}

/// What follows `token` or `{token}` at the beginning of `text`, if it stands there as a word.
fn after<'a>(text: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    if let Some(inner) = text.strip_prefix(b"{") {
        return inner.strip_prefix(token)?.strip_prefix(b"}");
    }
    let rest = text.strip_prefix(token)?;
    (!rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system() -> System {
        System { lib: "lib64".into(), platform: "x86_64".into(), ..System::default() }
    }

    fn expanded(entry: &str) -> Option<String> {
        expand(entry, Path::new("/o"), &system()).and_then(|path| path.into_string().ok())
    }

    #[test]
    fn tokens_are_replaced_as_whole_words_only() {
        for (entry, becomes) in [
            ("$ORIGIN/../lib", "/o/../lib"),
            ("${ORIGIN}x", "/ox"),
            ("/a/$LIB/$PLATFORM", "/a/lib64/x86_64"),
            ("$ORIGINAL/$LIB_/$LIBS", "$ORIGINAL/$LIB_/$LIBS"),
            ("${LIB/a}$", "${LIB/a}$"),
            ("$$ORIGIN", "$/o"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(expanded(entry).as_deref(), Some(becomes), "{entry}");
        }
        let nothing = System::default();
        assert_eq!(expand("/a/$PLATFORM", Path::new("/o"), &nothing), None);
    }

    fn paths(folders: &[Folder]) -> Vec<String> {
        folders.iter().map(|folder| folder.path.display().to_string()).collect()
    }

    #[test]
    fn an_empty_entry_is_the_working_directory_and_an_empty_path_none() {
        let origin = Path::new("/o");
        let of = |entries: &[&str]| {
            let entries: Vec<OsString> = entries.iter().map(OsString::from).collect();
            paths(&of_object(&entries, origin, &system()))
        };
        assert_eq!(of(&["/a", "", "/b", "/a/", "//"]), ["/a", "", "/b", "/"]);
        assert!(of(&[""]).is_empty() && of(&[]).is_empty());
        let of = |value: &str| paths(&of_variable(value.as_ref(), origin, &system()));
        assert_eq!(of("/a;/b:/a:$ORIGIN"), ["/a", "/b", "/o"]);
        assert_eq!(of(":"), [""]);
        assert!(of("").is_empty());
    }

    #[test]
    fn a_folder_whose_name_is_no_text_is_a_folder() {
        let origin = Path::new(OsStr::from_bytes(b"/o\xff"));
        let wanted = [Folder::new(OsStr::from_bytes(b"/o\xff/lib").into())];
        assert_eq!(of_object(&["$ORIGIN/lib/".into()], origin, &system()), wanted);
        assert_eq!(of_variable(OsStr::from_bytes(b"/o\xff/lib"), Path::new("/"), &system()), wanted);
    }

    #[test]
    fn a_list_without_end_is_cut_off() {
        let entries: Vec<OsString> = (0..20_000).map(|number| format!("/{number}").into()).collect();
        assert_eq!(of_object(&entries, Path::new("/o"), &system()).len(), MOST);
    }
}
