//! What else is known of a name that was not found, or found where it should not be: each hint is a fact that was looked up.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Elsewhere, Known, Outcome, Place, State, own_folders};
use crate::layers::script;
use crate::layers::search::{Process, Reason, Rule, Trail, cache};

/// A fact that leads on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The search ended at this file, because of what it is.
    Stopped {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// It is a text for the linker, and stands for the library of this name.
        means: Option<String>,
    },
    /// The only files of that name are for another machine, this one first.
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is made for.
        what: String,
    },
    /// A link of that name leads nowhere.
    Dangling {
        /// The link.
        path: PathBuf,
        /// What it says.
        to: PathBuf,
    },
    /// It is in a folder of an RPATH that does not count, because the object that asks has a RUNPATH.
    TurnedOff {
        /// The file.
        path: PathBuf,
        /// Whose RPATH.
        rpath_of: PathBuf,
        /// Whose RUNPATH turns it off.
        runpath_of: PathBuf,
    },
    /// It is in a folder of another object's RUNPATH, which counts for that object's own needs only.
    NotInherited {
        /// The file.
        path: PathBuf,
        /// Whose RUNPATH.
        runpath_of: PathBuf,
    },
    /// It would be found if the object that asks were opened by its real path: `$ORIGIN` is the folder of the link.
    Origin {
        /// The file.
        path: PathBuf,
        /// The link by which the object was opened.
        link: PathBuf,
        /// Where the object is.
        real: PathBuf,
    },
    /// None of the folders of the object's own path exists: it was made for another place.
    NoFolders {
        /// The object.
        of: PathBuf,
        /// Its path as it stands there.
        path: OsString,
    },
    /// A layer, or the environment, has it.
    Elsewhere(Place),
    /// It was found in the system, though a layer has another file of that name.
    Trapped(Place),
    /// The cache has these, which are called alike.
    Alike(Vec<String>),
}

/// More names than anybody reads.
const MOST_ALIKE: usize = 8;

/// Looks for all that is known of the name.
pub(super) fn hints(
    process: &Process,
    trail: &Trail,
    outcome: &Outcome,
    asker: Option<usize>,
    known: &Known,
) -> Vec<Hint> {
    match outcome {
        Outcome::Loaded | Outcome::Found if known.is_systems => Vec::new(),
        Outcome::Loaded | Outcome::Found => trapped(process, trail, known.elsewhere),
        Outcome::Refused(what) => trail.found.iter().map(|found| stopped(process, &found.path, what.clone())).collect(),
        Outcome::NotFound => missing(process, trail, asker, known.elsewhere),
    }
}

fn stopped(process: &Process, path: &Path, what: String) -> Hint {
    let means = script::stands_for(process.disk().real(path));
    Hint::Stopped { path: path.into(), what, means }
}

/// Found, but in the system, and a layer has another file.
fn trapped(process: &Process, trail: &Trail, elsewhere: &Elsewhere) -> Vec<Hint> {
    let Some(found) = &trail.found else { return Vec::new() };
    if matches!(found.rule, Rule::Rpath(_) | Rule::Runpath(_) | Rule::Path) {
        return Vec::new();
    }
    let places = elsewhere(&trail.name);
    let disk = process.disk();
    let is_one_of_them = |path: &Path| places.iter().any(|place| disk.id(&place.path) == disk.id(path));
    if is_one_of_them(&found.path) {
        return Vec::new();
    }
    // What it could not be given anyway is no loss.
    places.into_iter().filter(|place| place.state == State::Offered).take(1).map(Hint::Trapped).collect()
}

fn missing(process: &Process, trail: &Trail, asker: Option<usize>, elsewhere: &Elsewhere) -> Vec<Hint> {
    let mut hints = Vec::new();
    if let Some(last) = trail.tried.last().filter(|last| last.reason.stops()) {
        let what = process.disk().object(&last.path).err().map_or(last.reason.to_string(), |error| error.to_string());
        hints.push(stopped(process, &last.path, what));
    }
    for tried in &trail.tried {
        match &tried.reason {
            Reason::OtherClass | Reason::OtherMachine
                if !hints.iter().any(|hint| matches!(hint, Hint::Foreign { .. })) =>
            {
                let what = process.disk().object(&tried.path).err();
                let what = what.map_or(tried.reason.to_string(), |error| error.to_string());
                hints.push(Hint::Foreign { path: tried.path.clone(), what });
            }
            Reason::Dangling => {
                let to = std::fs::read_link(process.disk().real(&tried.path)).unwrap_or_default();
                hints.push(Hint::Dangling { path: tried.path.clone(), to });
            }
            _ => {}
        }
    }
    if !trail.name.as_bytes().contains(&b'/') {
        hints.extend(other_paths(process, &trail.name, asker));
        hints.extend(asker.and_then(|asker| no_folders(process, asker)));
    }
    // What is wrong with a file that the search came by has been said.
    let is_told = |place: &Place| {
        let id = process.disk().id(&place.path);
        matches!(place.state, State::Broken(_))
            && trail
                .tried
                .iter()
                .any(|tried| tried.path == place.path || (id.is_some() && process.disk().id(&tried.path) == id))
    };
    let places = elsewhere(base(&trail.name)).into_iter().filter(|place| !is_told(place));
    hints.extend(places.map(Hint::Elsewhere));
    let mut alike = alike(process, &trail.name);
    // What a text for the linker stands for is no other version.
    let means =
        |name: &String| matches!(hints.first(), Some(Hint::Stopped { means, .. }) if means.as_ref() == Some(name));
    alike.retain(|name| !means(name));
    if !alike.is_empty() {
        hints.push(Hint::Alike(alike));
    }
    hints
}

/// Folders that are written in some object of the process, but do not count here.
fn other_paths(process: &Process, name: &OsStr, asker: Option<usize>) -> Vec<Hint> {
    let there = |folders: &[PathBuf]| {
        let paths = folders.iter().map(|folder| folder.join(name));
        paths.into_iter().find(|path| process.disk().head(path).is_ok())
    };
    let asker_path = asker.map(|asker| process.object(asker).path.clone());
    let has_runpath = asker.is_some_and(|asker| !process.object(asker).elf.runpath.is_empty());
    let mut hints = Vec::new();
    if let Some(link) = &asker_path
        && let Ok(real) = std::fs::canonicalize(process.disk().real(link))
        && real != *link
        && let Some(path) = asker.and_then(|asker| there(&process.folders_at(asker, &real)))
    {
        hints.push(Hint::Origin { path, link: link.clone(), real });
    }
    for (index, object) in process.objects().iter().enumerate() {
        let [rpath, runpath] = own_folders(process, index);
        if let Some(path) = there(&rpath) {
            // It stands beside a RUNPATH, or the asker has one, or it is of an object that did not lead here.
            let runpath_of = match (&asker_path, object.elf.runpath.is_empty()) {
                (_, false) => Some(object.path.clone()),
                (Some(asker), true) if has_runpath => Some(asker.clone()),
                _ => None,
            };
            let rpath_of = object.path.clone();
            hints.extend(runpath_of.map(|runpath_of| Hint::TurnedOff { path, rpath_of, runpath_of }));
        }
        if Some(index) != asker
            && let Some(path) = there(&runpath)
        {
            hints.push(Hint::NotInherited { path, runpath_of: object.path.clone() });
        }
    }
    hints
}

/// The asker's own path, if it leads nowhere at all.
fn no_folders(process: &Process, asker: usize) -> Option<Hint> {
    let object = process.object(asker);
    let [rpath, runpath] = own_folders(process, asker);
    let (folders, text) = match object.elf.runpath.is_empty() {
        true => (rpath, object.elf.rpath.join(OsStr::new(":"))),
        false => (runpath, object.elf.runpath.join(OsStr::new(":"))),
    };
    let nowhere = !folders.is_empty() && !folders.iter().any(|folder| process.disk().is_folder(folder));
    nowhere.then(|| Hint::NoFolders { of: object.path.clone(), path: text })
}

fn base(name: &OsStr) -> &OsStr {
    OsStr::from_bytes(name.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default())
}

/// Names of the cache that differ by the version only, or that somebody meant who wrote `z` or `libz`.
fn alike(process: &Process, name: &OsStr) -> Vec<String> {
    let Some(name) = base(name).to_str() else { return Vec::new() };
    let (Some(flags), Some(data)) = (cache::THIS_MACHINE, process.disk().cache(&process.system().cache)) else {
        return Vec::new();
    };
    let stem = name.split(".so").next().unwrap_or_default();
    let stems = [stem.to_string(), format!("lib{stem}")];
    let is_alike = |known: &str| {
        known.split_once(".so").is_some_and(|(start, _)| stems.iter().any(|stem| stem == start)) && known != name
    };
    let names = cache::names(&data, flags).filter_map(|name| std::str::from_utf8(name).ok());
    let names: BTreeSet<String> = names.filter(|name| is_alike(name)).map(String::from).collect();
    names.into_iter().take(MOST_ALIKE).collect()
}
