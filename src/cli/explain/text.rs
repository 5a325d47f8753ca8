//! An explanation for people.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

use super::place::View;
use super::python::Caller;
use super::subject::Subject;
use super::{Explained, Scene};
use crate::layers::explain::{Hint, Outcome, Own, Place, State, Step, Target};
use crate::layers::search::Rule;

/// Writes it.
pub fn text(asked: &str, subject: &Subject, scene: &Scene, all: &[Explained], view: &View) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", head(asked, subject, scene));
    let (well, ill): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.explanation.missing().next().is_none());
    // Of a package with many objects only what lacks something is told in full.
    let is_full = all.len() == 1 || matches!(subject, Subject::Module { is_choice: true, .. });
    let full = if is_full { all.iter().collect() } else { ill };
    for explained in full {
        let _ = writeln!(text, "\n{}", search(explained).trim_end());
    }
    if !is_full && !well.is_empty() {
        let _ = writeln!(text, "\nall that is needed is found:");
        for explained in &well {
            let _ = writeln!(text, "  {}", name(&explained.target));
        }
    }
    if !all.is_empty() {
        let _ = write!(text, "\n{}", end(all, view));
    }
    text
}

fn head(asked: &str, subject: &Subject, scene: &Scene) -> String {
    let what = match subject {
        Subject::Program(path) | Subject::Script(path) | Subject::Library(path) => path.display().to_string(),
        Subject::Name(name) => name.display().to_string(),
        Subject::Module { objects, .. } if objects.is_empty() => {
            return format!("module `{asked}` has no object that ld.so would open: there is nothing to search for");
        }
        Subject::Module { is_choice: true, objects, .. } => {
            let objects: Vec<String> = objects.iter().map(|path| format!("\n  {}", path.display())).collect();
            format!("module `{asked}` is chosen by its package from {} files:{}", objects.len(), objects.concat())
        }
        Subject::Module { origin, objects, .. } => {
            let file = origin.as_ref().map(|origin| origin.display().to_string());
            let what = format!("module `{asked}` is {}", file.unwrap_or("a folder without a file of its own".into()));
            match objects.len() {
                1 if objects.first() == origin.as_ref() => what,
                1 => format!("{what}, with one object: {}", objects[0].display()),
                count => format!("{what}, with {count} objects"),
            }
        }
    };
    let variable = match scene.variable.is_empty() {
        true => "LD_LIBRARY_PATH is not set".to_string(),
        false => format!("LD_LIBRARY_PATH={}", scene.variable.display()),
    };
    let caller = match (subject, &scene.caller) {
        (Subject::Name(_), Caller::Object(path)) => format!(" (by ctypes, which is {})", path.display()),
        _ => String::new(),
    };
    format!("{what}\n{}{caller}; {variable}", scene.told)
}

fn name(target: &Target) -> String {
    match target {
        Target::Open(name) => name.display().to_string(),
        Target::File(path) | Target::Start(path) => path.display().to_string(),
    }
}

/// The search for one object and what it needs: below each object its needs, in the order of ld.so.
fn search(explained: &Explained) -> String {
    let mut text = String::new();
    let mut last = None;
    for step in &explained.explanation.steps {
        let by = step.by.as_deref();
        let starts = last != Some(by);
        match by {
            // A path that is there is no search.
            None if matches!(step.trail.found.as_ref(), Some(found) if found.rule == Rule::Path)
                && !step.is_missing() => {}
            None => {
                let _ = write!(text, "{}", need(step, &step.trail.name.display().to_string()));
            }
            Some(path) => {
                if starts {
                    last = Some(by);
                    let _ = writeln!(text, "{}{}", path.display(), own_paths(&step.own));
                }
                let lines = need(step, &format!("needs {}", step.trail.name.display()));
                lines.lines().for_each(|line| {
                    let _ = writeln!(text, "  {line}");
                });
            }
        }
    }
    text
}

/// RPATH and RUNPATH of an object, as they stand there.
fn own_paths(own: &Own) -> String {
    match (own.rpath.as_deref(), own.runpath.as_deref()) {
        (None, None) => String::new(),
        (Some(rpath), None) => format!(" (RPATH {})", rpath.display()),
        (None, Some(runpath)) => format!(" (RUNPATH {})", runpath.display()),
        (Some(rpath), Some(runpath)) => {
            format!(" (RUNPATH {}; its RPATH {} counts for nothing beside it)", runpath.display(), rpath.display())
        }
    }
}

/// What came of one need: the result in a line, the places below it.
fn need(step: &Step, what: &str) -> String {
    let found = step.trail.found.as_ref().map(|found| found.path.display().to_string()).unwrap_or_default();
    let mut text = String::new();
    let _ = match &step.outcome {
        Outcome::Loaded => writeln!(text, "{what}: loaded already, {found}"),
        Outcome::Found => writeln!(text, "{what}"),
        Outcome::NotFound => writeln!(text, "{what}: NOT FOUND"),
        Outcome::Refused(why) => writeln!(text, "{what}: REFUSED, {why}"),
    };
    for tried in &step.trail.tried {
        let _ = writeln!(text, "  {}{}: {}", rule(&tried.rule, step), tried.path.display(), tried.reason);
    }
    if let Some(found) = step.trail.found.as_ref().filter(|found| found.rule != Rule::Loaded) {
        let _ = writeln!(text, "  {}{}: found", rule(&found.rule, step), found.path.display());
    }
    if let Some(said) = step.trail.said() {
        let _ = writeln!(text, "  ld.so says: {said}");
    }
    text
}

/// Which rule led to a place. Whose RPATH it is is told where it is another object's.
fn rule(rule: &Rule, step: &Step) -> String {
    match rule {
        Rule::Rpath(of) if Some(of) != step.by.as_ref() => format!("RPATH of {}: ", of.display()),
        Rule::Rpath(_) => "RPATH: ".into(),
        Rule::Runpath(of) if Some(of) != step.by.as_ref() => format!("RUNPATH of {}: ", of.display()),
        Rule::Runpath(_) => "RUNPATH: ".into(),
        Rule::LibraryPath => "LD_LIBRARY_PATH: ".into(),
        Rule::Cache => "cache: ".into(),
        Rule::System => "system: ".into(),
        Rule::Own | Rule::Path | Rule::Loaded => String::new(),
    }
}

/// How many, and the way out for each name.
fn end(all: &[Explained], view: &View) -> String {
    let steps = || all.iter().flat_map(|one| &one.explanation.steps);
    let names: BTreeSet<&OsStr> = steps().map(|step| step.trail.name.as_os_str()).collect();
    let missing: BTreeSet<&OsStr> =
        steps().filter(|step| step.is_missing()).map(|step| step.trail.name.as_os_str()).collect();
    let mut text = String::new();
    let well = names.len() - missing.len();
    if missing.is_empty() {
        let _ = match names.len() {
            1 => writeln!(text, "it is found"),
            count => writeln!(text, "all of {count} names are found"),
        };
    } else {
        let names: Vec<String> = missing.into_iter().map(|name| name.display().to_string()).collect();
        let others = match well {
            0 => String::new(),
            1 => "; 1 other name is found".into(),
            count => format!("; {count} other names are found"),
        };
        let _ = writeln!(text, "not found: {}{others}", names.join(", "));
    }
    let mut told = BTreeSet::new();
    for step in steps() {
        let lines = ways(step, view);
        if !lines.is_empty() && told.insert((step.trail.name.clone(), lines.clone())) {
            let what = if step.is_missing() { "way out" } else { "beware" };
            let _ = writeln!(text, "{what}, {}:", step.trail.name.display());
            for line in lines {
                let _ = writeln!(text, "  - {line}");
            }
        }
    }
    text
}

fn ways(step: &Step, view: &View) -> Vec<String> {
    let mut lines: Vec<String> = step.hints.iter().map(|hint| way(hint, step, view)).collect();
    let is_known = step.hints.iter().any(|hint| !matches!(hint, Hint::Alike(_) | Hint::NoFolders { .. }));
    if step.outcome == Outcome::NotFound && !is_known {
        let name = Path::new(&step.trail.name).file_name().unwrap_or_default().display();
        lines.push(format!(
            "no file of that name is known here: install the package that has it (apt-file search {name}, or dnf \
             provides '*/{name}'), or add its folder to LD_LIBRARY_PATH"
        ));
    }
    lines
}

fn way(hint: &Hint, step: &Step, view: &View) -> String {
    let by = step.by.as_ref().map_or("the program".into(), |by| by.display().to_string());
    match hint {
        Hint::Stopped { path, means: Some(means), .. } => stands_for(path, means, step),
        Hint::Stopped { path, what, means: None } => {
            format!("{}: {what}; ld.so looks no further: replace that file, or take it away", path.display())
        }
        Hint::Foreign { path, what } => format!("{}: {what}; get the library for this machine", path.display()),
        Hint::Dangling { path, to } => {
            format!(
                "{} leads to {}, which does not exist: install what it belongs to again",
                path.display(),
                to.display()
            )
        }
        Hint::TurnedOff { path, rpath_of, runpath_of } => format!(
            "{} is there, in the RPATH of {}; but {} has a RUNPATH, and then no RPATH counts: add the folder to that \
             RUNPATH (patchelf --add-rpath), or to LD_LIBRARY_PATH",
            path.display(),
            rpath_of.display(),
            runpath_of.display()
        ),
        Hint::NotInherited { path, runpath_of } if step.by.is_none() => format!(
            "{} is there, in the RUNPATH of {}, which counts for that object's own needs only, and not for what others open: open \
             it by its path, or add the folder to LD_LIBRARY_PATH",
            path.display(),
            runpath_of.display()
        ),
        Hint::NotInherited { path, runpath_of } => format!(
            "{} is there, in the RUNPATH of {}, which counts for that object's own needs only: give {by} a RUNPATH of its \
             own (patchelf --add-rpath), or add the folder to LD_LIBRARY_PATH",
            path.display(),
            runpath_of.display()
        ),
        Hint::Origin { path, link, real } => format!(
            "{} was opened by way of a link, whose folder $ORIGIN is then; opened as {} it would find {}",
            link.display(),
            real.display(),
            path.display()
        ),
        Hint::NoFolders { of, path } => {
            let (of, path) = (of.display(), path.display());
            format!("no folder of the path in {of} exists ({path}): it was built for another place")
        }
        Hint::Elsewhere(place) => elsewhere(place, view),
        Hint::Trapped(place) => {
            let owner = place.layer.as_ref().map_or("this environment".into(), |layer| format!("layer `{layer}`"));
            format!("it is the system's, though {owner} has {}: {}", place.path.display(), view.way_to(place))
        }
        Hint::Alike(names) => {
            format!("the system has {}: another version is another library", names.join(", "))
        }
    }
}

/// A text for the linker, in whose place ld.so would need the library.
fn stands_for(path: &Path, means: &str, step: &Step) -> String {
    let (path, name) = (path.display(), step.trail.name.display());
    let ask = match &step.by {
        None => format!("ask for {means}"),
        Some(by) => {
            let by = by.display();
            format!("{by} should need that name (link it anew, or patchelf --replace-needed {name} {means} {by})")
        }
    };
    format!("{path} is for the linker, and stands for {means}: {ask}, and leave the file alone")
}

fn elsewhere(place: &Place, view: &View) -> String {
    let (path, way) = (place.path.display(), view.way_to(place));
    match (&place.layer, &place.state) {
        (None, _) => format!("this environment has it, where ld.so does not look: {path}; {way}"),
        (Some(layer), State::Offered) => format!("layer `{layer}` has it: {path}; {way}"),
        (Some(layer), State::NotUsed) => {
            format!("layer `{layer}` has it, which this layer does not use: {path}; {way}")
        }
        (Some(layer), State::Excluded) => format!("layer `{layer}` has it, but excludes it: {path}; {way}"),
        (Some(layer), State::Broken(what)) => {
            format!("layer `{layer}` has a file of that name, which is {what}: {path}; {way}")
        }
    }
}
