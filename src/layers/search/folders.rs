//! The folders of RPATH, RUNPATH and LD_LIBRARY_PATH: lists of text, in which `$ORIGIN` and its like stand for something.
//!
//! It looks at no file.

use std::collections::{BTreeSet, HashSet};
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
    pub links: Option<Rc<BTreeSet<String>>>,
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
pub fn of_object(entries: &[String], origin: &Path, system: &System) -> Vec<Folder> {
    match entries {
        // An empty path is none; an empty entry among others is the working directory.
        [only] if only.is_empty() => Vec::new(),
        entries => folders(entries.iter().map(String::as_str), origin, system),
    }
}

/// The folders of LD_LIBRARY_PATH, for a program in the folder `origin`.
#[must_use]
pub fn of_variable(value: &str, origin: &Path, system: &System) -> Vec<Folder> {
    match value {
        "" => Vec::new(),
        value => folders(value.split([':', ';']), origin, system),
    }
}

fn folders<'a>(entries: impl Iterator<Item = &'a str>, origin: &Path, system: &System) -> Vec<Folder> {
    let mut seen = HashSet::new();
    let mut folders = Vec::new();
    for entry in entries {
        let path = match entry {
            "" => String::new(),
            entry => match expand(entry, origin, system) {
                Some(path) => path,
                None => continue,
            },
        };
        let path = match path.trim_end_matches('/') {
            "" if path.starts_with('/') => "/",
            trimmed => trimmed,
        };
        if folders.len() < MOST && seen.insert(path.to_string()) {
            folders.push(Folder::new(path.into()));
        }
    }
    folders
}

/// Replaces what stands for something. None where it stands for nothing: ld.so leaves such an entry out.
#[must_use]
pub fn expand(entry: &str, origin: &Path, system: &System) -> Option<String> {
    let mut text = String::new();
    let mut rest = entry;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let values =
            [("ORIGIN", origin.to_str()?), ("PLATFORM", system.platform.as_str()), ("LIB", system.lib.as_str())];
        let known = values.iter().find_map(|(token, value)| Some((after(rest, token)?, *value)));
        match known {
            Some((_, "")) => return None,
            Some((after, value)) => {
                text.push_str(value);
                rest = after;
            }
            // What ld.so does not know stands for itself.
            None => text.push('$'),
        }
    }
    text.push_str(rest);
    (!text.is_empty()).then_some(text)
}

/// What follows `token` or `{token}` at the beginning of `text`, if it stands there as a word.
fn after<'a>(text: &'a str, token: &str) -> Option<&'a str> {
    if let Some(inner) = text.strip_prefix('{') {
        return inner.strip_prefix(token)?.strip_prefix('}');
    }
    let rest = text.strip_prefix(token)?;
    (!rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system() -> System {
        System { lib: "lib64".into(), platform: "x86_64".into(), ..System::default() }
    }

    fn expanded(entry: &str) -> Option<String> {
        expand(entry, Path::new("/o"), &system())
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
            let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
            paths(&of_object(&entries, origin, &system()))
        };
        assert_eq!(of(&["/a", "", "/b", "/a/", "//"]), ["/a", "", "/b", "/"]);
        assert!(of(&[""]).is_empty() && of(&[]).is_empty());
        assert_eq!(paths(&of_variable("/a;/b:/a:$ORIGIN", origin, &system())), ["/a", "/b", "/o"]);
        assert_eq!(paths(&of_variable(":", origin, &system())), [""]);
        assert!(of_variable("", origin, &system()).is_empty());
    }

    #[test]
    fn a_list_without_end_is_cut_off() {
        let entries: Vec<String> = (0..20_000).map(|number| format!("/{number}")).collect();
        assert_eq!(of_object(&entries, Path::new("/o"), &system()).len(), MOST);
    }
}
