//! An explanation for programs: one object, whose shape stays as it is within a version.

use serde_json::{Value, json};

use super::python::Caller;
use super::subject::Subject;
use super::{Explained, Scene};
use crate::cli::{place, shown};
use crate::layers::explain::{Hint, Outcome, Step, Target};
use crate::layers::search::{Reason, Rule};

/// The shape's version.
const VERSION: u32 = 1;

/// Writes it.
pub fn json(asked: &str, subject: &Subject, scene: &Scene, all: &[Explained]) -> Value {
    json!({
        "version": VERSION,
        "asked": asked,
        "kind": match subject {
            Subject::Program(_) | Subject::Script(_) => "program",
            Subject::Library(_) => "library",
            Subject::Name(_) => "name",
            Subject::Module { .. } => "module",
        },
        "program": scene.program.as_ref().map(shown),
        "caller": match (subject, &scene.caller) {
            (Subject::Name(_), Caller::Object(path)) => Some(shown(path)),
            _ => None,
        },
        "library_path": shown(&scene.variable),
        "objects": all.iter().map(object).collect::<Vec<_>>(),
    })
}

fn object(explained: &Explained) -> Value {
    let name = match &explained.target {
        Target::Open(name) => shown(name),
        Target::File(path) | Target::Start(path) => shown(path),
    };
    let steps = &explained.explanation.steps;
    json!({
        "object": name,
        "missing": explained.explanation.missing().map(|step| shown(&step.trail.name)).collect::<Vec<_>>(),
        "searches": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(step: &Step) -> Value {
    let tried = step.trail.tried.iter().map(|tried| {
        json!({ "rule": rule(&tried.rule), "of": of(&tried.rule), "path": shown(&tried.path), "reason": tried.reason.to_string(),
            "kind": reason(&tried.reason) })
    });
    let found = step.trail.found.as_ref();
    json!({
        "name": shown(&step.trail.name),
        "needed_by": step.by.as_ref().map(shown),
        "outcome": match &step.outcome {
            Outcome::Found => "found",
            Outcome::Loaded => "loaded",
            Outcome::NotFound => "not found",
            Outcome::Refused(_) => "refused",
        },
        "why": match &step.outcome { Outcome::Refused(why) => Some(why), _ => None },
        "tried": tried.collect::<Vec<_>>(),
        "found": found.map(|found| json!({ "rule": rule(&found.rule), "of": of(&found.rule), "path": shown(&found.path) })),
        "hints": step.hints.iter().map(hint).collect::<Vec<_>>(),
    })
}

fn rule(rule: &Rule) -> &'static str {
    match rule {
        Rule::Loaded => "loaded",
        Rule::Path => "path",
        Rule::Rpath(_) => "RPATH",
        Rule::LibraryPath => "LD_LIBRARY_PATH",
        Rule::Runpath(_) => "RUNPATH",
        Rule::Own => "own",
        Rule::Cache => "cache",
        Rule::System => "system",
    }
}

fn of(rule: &Rule) -> Option<String> {
    match rule {
        Rule::Rpath(of) | Rule::Runpath(of) => Some(shown(of)),
        _ => None,
    }
}

fn reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::NoFolder => "no folder",
        Reason::Missing => "no file",
        Reason::Dangling => "dangling",
        Reason::Denied => "denied",
        Reason::OtherClass => "other class",
        Reason::OtherMachine => "other machine",
        Reason::NotCached => "not cached",
        Reason::Unwanted => "unwanted",
        Reason::Unopened(_) => "not opened",
        Reason::Short => "too short",
        Reason::NotElf => "not ELF",
        Reason::Refused(_) => "refused",
        Reason::Unreadable(_) => "unreadable",
    }
}

fn hint(hint: &Hint) -> Value {
    match hint {
        Hint::Stopped { path, what, means } => {
            json!({ "hint": "stopped", "path": shown(path), "what": what, "stands_for": means })
        }
        Hint::Foreign { path, what } => json!({ "hint": "foreign", "path": shown(path), "what": what }),
        Hint::Dangling { path, to } => json!({ "hint": "dangling", "path": shown(path), "to": shown(to) }),
        Hint::TurnedOff { path, rpath_of, runpath_of } => {
            json!({ "hint": "turned off", "path": shown(path), "rpath_of": shown(rpath_of), "runpath_of": shown(runpath_of) })
        }
        Hint::NotInherited { path, runpath_of } => {
            json!({ "hint": "not inherited", "path": shown(path), "runpath_of": shown(runpath_of) })
        }
        Hint::Origin { path, link, real } => {
            json!({ "hint": "origin", "path": shown(path), "link": shown(link), "real": shown(real) })
        }
        Hint::NoFolders { of, path } => json!({ "hint": "no folders", "of": shown(of), "path": shown(path) }),
        Hint::Elsewhere(place) => json!({ "hint": "elsewhere", "place": place::json(place) }),
        Hint::Trapped(place) => json!({ "hint": "trapped", "place": place::json(place) }),
        Hint::Alike(names) => json!({ "hint": "alike", "names": names }),
    }
}
