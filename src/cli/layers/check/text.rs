//! A report for people: what is wrong, with the way out of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::judged::Judged;
use crate::cli::layers::link;
use crate::layers::check::needs::{How, Met};
use crate::layers::check::wants::Left;
use crate::layers::check::{Finding, Hidden, Misled, Problem, Remains, Without};
use crate::layers::explain::{Place, State};

/// Objects, or programs, that are named one by one.
const NAMED: usize = 4;

/// Writes it.
pub fn text(judged: &Judged, all: bool) -> String {
    let mut text = String::new();
    head(&mut text, judged);
    if all {
        text.push('\n');
        judged.report.findings.iter().for_each(|finding| line(&mut text, judged, finding));
    }
    // Many objects need one library: what is wrong is told once for each.
    let mut problems: BTreeMap<(String, Vec<String>), Vec<&Finding>> = BTreeMap::new();
    for finding in &judged.wrong {
        problems.entry((what(finding), ways(judged, finding))).or_default().push(finding);
    }
    for ((what, ways), findings) in &problems {
        block(&mut text, "problem", what, &needed_by(judged, findings), ways);
    }
    for remains in &judged.remains {
        remaining(&mut text, judged, remains);
    }
    judged.misled.iter().for_each(|one| misled(&mut text, judged, one));
    let mut traps: BTreeMap<(String, Vec<String>), Vec<&Finding>> = BTreeMap::new();
    for finding in &judged.trapped {
        traps.entry((trap(finding), vec![away(finding)])).or_default().push(finding);
    }
    for ((what, ways), findings) in &traps {
        block(&mut text, "warning", what, &needed_by(judged, findings), ways);
    }
    for shadow in &judged.report.shadows {
        let told = link::shadowed(judged.stack, shadow);
        let _ = writeln!(text, "\nwarning: {told}");
    }
    let mut hiding: BTreeMap<usize, Vec<&Hidden>> = BTreeMap::new();
    for hidden in &judged.hidden {
        hiding.entry(hidden.layer).or_default().push(hidden);
    }
    hiding.iter().for_each(|(layer, hidden)| hides(&mut text, judged, *layer, hidden));
    let problems = counted(problems.len() + judged.remains.len() + judged.misled.len(), "problem", judged.problems());
    let warnings = traps.len() + judged.report.shadows.len() + hiding.len();
    let warnings = counted(warnings, "warning", 0);
    let ignored = if judged.ignored > 0 { format!(", {} ignored", judged.ignored) } else { String::new() };
    let _ = write!(text, "\n{problems}, {warnings}{ignored}");
    text
}

/// How many, and how many needs that concerns.
fn counted(count: usize, one: &str, needs: usize) -> String {
    let of = if needs > count { format!(" ({needs} needs)") } else { String::new() };
    match count {
        0 => format!("no {one}"),
        1 => format!("1 {one}{of}"),
        more => format!("{more} {one}s{of}"),
    }
}

fn head(text: &mut String, judged: &Judged) {
    let findings = &judged.report.findings;
    let (layers, objects) = (judged.stack.layers.len(), judged.report.objects);
    let _ =
        writeln!(text, "{}: {layers} layers, {objects} objects, {} needs", judged.stack.file.display(), findings.len());
    let count = |how: How| {
        let is = |finding: &&Finding| matches!(&finding.linked, Met::File { how: of, .. } if *of == how);
        findings.iter().filter(is).count()
    };
    let links = if judged.in_process { "opened first" } else { "by links" };
    let _ = writeln!(
        text,
        "found: {} by the objects' own paths, {} {links}, {} in the host, {} loaded before",
        count(How::Own),
        count(How::Variable),
        count(How::System),
        count(How::Loaded)
    );
    if !judged.report.unlinked.is_empty() && !judged.in_process {
        let layers: Vec<String> = judged.report.unlinked.iter().map(|at| format!("`{}`", judged.layer(*at))).collect();
        let file = judged.stack.file.display();
        let _ = writeln!(
            text,
            "not linked, or not as it would be now: {}; run dlcast layers link {file}",
            layers.join(", ")
        );
    }
}

/// One need in a line.
fn line(text: &mut String, judged: &Judged, finding: &Finding) {
    let Finding { key, linked, problem, without, .. } = finding;
    let found = match linked {
        Met::File { layer: Some(at), real, .. } => format!("`{}` {}", judged.layer(*at), inside(judged, *at, real)),
        Met::File { layer: None, real, .. } => real.display().to_string(),
        Met::Missing(_) => "not found".into(),
        Met::Refused { path, why } => format!("{}: {why}", path.display()),
    };
    let how = match linked {
        Met::File { how: How::Own, .. } => " (own path)",
        Met::File { how: How::Variable, .. } => " (link)",
        Met::File { how: How::System, .. } => " (host)",
        Met::File { how: How::Loaded, .. } => " (loaded before)",
        Met::Missing(_) | Met::Refused { .. } => "",
    };
    let without = match without {
        None => String::new(),
        Some(Without::Missing) => "; without links: not found".into(),
        Some(Without::Trapped { host }) => format!("; without links: {}", host.display()),
    };
    let mark = if problem.is_some() { "! " } else { "  " };
    let from = from(judged, finding);
    let (layer, object) = (judged.layer(key.layer), key.object.display());
    let _ = writeln!(text, "{mark}`{layer}` {object}{from} needs {}: {found}{how}{without}", key.name.display());
}

/// A file of a layer, relative to it.
fn inside(judged: &Judged, at: usize, file: &Path) -> String {
    let root = std::fs::canonicalize(&judged.stack.layers[at].path).unwrap_or_default();
    file.strip_prefix(&root).unwrap_or(file).display().to_string()
}

/// In whose Python, where that is not its own layer's alone.
fn from(judged: &Judged, finding: &Finding) -> String {
    let viewers: Vec<String> = finding.viewers.iter().map(|at| format!("`{}`", judged.layer(*at))).collect();
    match finding.viewers[..] == [finding.key.layer] {
        true => String::new(),
        false => format!(" (from {})", viewers.join(", ")),
    }
}

fn block(text: &mut String, kind: &str, what: &str, needed_by: &[String], ways: &[String]) {
    let _ = writeln!(text, "\n{kind}: {what}");
    for by in needed_by {
        let _ = writeln!(text, "  needed by {by}");
    }
    for way in ways {
        let _ = writeln!(text, "  way out: {way}");
    }
}

fn needed_by(judged: &Judged, findings: &[&Finding]) -> Vec<String> {
    let object = |finding: &&Finding| {
        format!("`{}` {}{}", judged.layer(finding.key.layer), finding.key.object.display(), from(judged, finding))
    };
    few(findings.iter().map(object).collect())
}

/// The first ones, and how many more.
fn few(mut all: Vec<String>) -> Vec<String> {
    if all.len() > NAMED + 1 {
        let more = all.len() - NAMED;
        all.truncate(NAMED);
        all.push(format!("{more} more"));
    }
    all
}

/// What is wrong with a need.
fn what(finding: &Finding) -> String {
    let name = finding.key.name.display();
    match (&finding.problem, &finding.linked, &finding.now) {
        (Some(Problem::Refused), Met::Refused { path, why }, _) => {
            format!("{name} cannot be loaded: {}: {why}", path.display())
        }
        (Some(Problem::Replaced { by }), Met::File { real, .. }, _) => {
            format!("{name} is {} where it should be {}", real.display(), by.display())
        }
        (Some(Problem::Unlinked), _, Met::File { real, .. }) => {
            format!("{name} is the host's as the stack is now: {}", real.display())
        }
        (Some(Problem::Unlinked), _, _) => format!("{name} is not found as the stack is now"),
        (_, Met::Missing(trail), _) if trail.stopped() => {
            let last = trail.tried.last();
            let (path, why) =
                last.map(|last| (last.path.display().to_string(), last.reason.to_string())).unwrap_or_default();
            format!("{name} is not found: {path}: {why}")
        }
        _ => {
            let of_nobody = if finding.places.is_empty() { ", and no layer has it" } else { "" };
            format!("{name} is not found{of_nobody}")
        }
    }
}

fn ways(judged: &Judged, finding: &Finding) -> Vec<String> {
    let file = judged.stack.file.display();
    match (&finding.problem, &finding.linked) {
        (Some(Problem::Unlinked), _) => {
            vec![format!("{}: dlcast layers link {file}, or dlcast.layers.activate in the program", has(finding))]
        }
        (Some(Problem::Replaced { .. }), Met::File { how: How::Variable, .. }) => {
            vec!["take the folder of the first one out of LD_LIBRARY_PATH".into()]
        }
        (Some(Problem::Replaced { .. }), _) => vec!["something that is loaded before it brings it along".into()],
        (Some(Problem::Missing), _) => finding.places.iter().map(|place| missing(judged, finding, place)).collect(),
        _ => Vec::new(),
    }
}

fn missing(judged: &Judged, finding: &Finding, place: &Place) -> String {
    let (layer, path) = (place.layer.as_deref().unwrap_or_default(), place.path.display());
    let viewer = finding.viewers.first().map_or("", |at| judged.layer(*at));
    match &place.state {
        State::NotUsed => format!("layer `{layer}` has it, which `{viewer}` does not use: {path}; name it in `uses`"),
        State::Excluded => format!("layer `{layer}` excludes it: {path}; take it out of its `dynlib_exclude`"),
        State::Broken(what) => {
            format!("layer `{layer}` has a file of that name, which is {what}: {path}; put a sound one in its place")
        }
        State::Offered => format!("layer `{layer}` has it: {path}; what is before it ends the search"),
    }
}

/// Who has what a need should be given.
fn has(finding: &Finding) -> String {
    match finding.places.iter().find(|place| !matches!(place.state, State::Broken(_))) {
        Some(place) => {
            format!("layer `{}` has it ({})", place.layer.as_deref().unwrap_or_default(), place.path.display())
        }
        None => "it is linked by then".into(),
    }
}

fn trap(finding: &Finding) -> String {
    let host = match &finding.without {
        Some(Without::Trapped { host }) => host.display().to_string(),
        _ => String::new(),
    };
    format!("{} is the host's without links and wrapper: {host}", finding.key.name.display())
}

fn away(finding: &Finding) -> String {
    format!("{}: start by the layer's bin/python, or call dlcast.layers.activate", has(finding))
}

/// What the links of one layer hide of the host.
fn hides(text: &mut String, judged: &Judged, layer: usize, hidden: &[&Hidden]) {
    let name = judged.layer(layer);
    let _ = writeln!(
        text,
        "\nwarning: links of `{name}` hide libraries of the host from programs that inherit LD_LIBRARY_PATH"
    );
    for Hidden { name, host, programs, .. } in hidden {
        let programs = few(programs.iter().map(|program| program.display().to_string()).collect());
        let _ = writeln!(text, "  {} for {}: {}", name.display(), host.display(), programs.join(", "));
    }
    let _ = writeln!(
        text,
        "  way out: name those that no layer needs in the layer's `dynlib_exclude`; or call dlcast.layers.activate, which sets no \
         variable"
    );
}

/// An interpreter that would be given another library than its own.
fn misled(text: &mut String, judged: &Judged, Misled { program, name, host, layer, file, viewers }: &Misled) {
    let viewers: Vec<String> = viewers.iter().map(|at| format!("`{}`", judged.layer(*at))).collect();
    let (name, owner, viewers) = (name.display(), judged.layer(*layer), viewers.join(", "));
    let what =
        format!("a link of `{owner}` hides {name} of the host from the Python of {viewers}, which is the host's");
    let by = format!("{} as {}, and not as {}", program.display(), host.display(), file.display());
    let way = format!(
        "name {} in the `dynlib_exclude` of `{owner}`; or call dlcast.layers.activate, which sets no variable",
        inside(judged, *layer, file)
    );
    block(text, "problem", &what, &[by], &[way]);
}

/// What cannot be cured without links.
fn remaining(text: &mut String, judged: &Judged, remains: &Remains) {
    let Remains { name, by, left, viewers } = remains;
    let viewers: Vec<String> = viewers.iter().map(|at| format!("`{}`", judged.layer(*at))).collect();
    let linking = format!("dlcast layers link {}, and the layer's bin/python", judged.stack.file.display());
    let (what, way) = match left {
        Left::Nowhere => ("is not found".into(), linking),
        Left::OtherName { file } => (format!("is {}, which does not call itself so", file.display()), linking),
        Left::Circle { file } => (format!("is {}, which needs in turn what needs it", file.display()), linking),
        Left::Fails { file } => (format!("is {}, which cannot be opened either", file.display()), linking),
        Left::Loaded { host, file } => {
            (format!("is {}, which Python itself has loaded, and not {}", host.display(), file.display()), linking)
        }
        Left::Refused { path, why } => (format!("is {}: {why}", path.display()), "replace that file".into()),
    };
    let by = format!("{} (from {})", by.display(), viewers.join(", "));
    block(text, "problem", &format!("{} {what}", name.display()), &[by], &[way]);
}
