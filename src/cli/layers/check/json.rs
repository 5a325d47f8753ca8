//! A report for programs: one object, whose shape docs/layers.md tells. What is in it stays; further fields may come.

use serde_json::{Value, json};

use super::judged::Judged;
use crate::cli::layers::link;
use crate::cli::{place, shown};
use crate::layers::check::needs::{How, Met};
use crate::layers::check::wants::Left;
use crate::layers::check::{Finding, Hidden, Misled, Problem, Remains, Without};
use crate::layers::search::Rule;

/// Changes when a program that reads it would have to change.
const VERSION: u32 = 1;

/// Writes it.
pub fn json(judged: &Judged) -> Value {
    let report = judged.report;
    let layers =
        judged.stack.layers.iter().enumerate().map(
            |(at, layer)| json!({ "name": layer.name, "path": shown(&layer.path), "linked": !report.unlinked.contains(&at) }),
        );
    json!({
        "version": VERSION,
        "stack": shown(&judged.stack.file),
        "in_process": judged.in_process,
        "problems": judged.problems(),
        "warnings": judged.warnings(),
        "ignored": judged.ignored,
        "objects": report.objects,
        "layers": layers.collect::<Vec<_>>(),
        "needs": report.findings.iter().map(|finding| need(judged, finding)).collect::<Vec<_>>(),
        "remains": report.remains.iter().map(|remains| remaining(judged, remains)).collect::<Vec<_>>(),
        "shadowed": report.shadows.iter().map(|shadow| link::shadow_as_json(judged.stack, shadow)).collect::<Vec<_>>(),
        "interpreters": report.misled.iter().map(|one| misled(judged, one)).collect::<Vec<_>>(),
        "hidden": report.hidden.iter().map(|one| hidden(judged, one)).collect::<Vec<_>>(),
    })
}

fn names(judged: &Judged, layers: &[usize]) -> Vec<String> {
    layers.iter().map(|at| judged.layer(*at).to_string()).collect()
}

fn need(judged: &Judged, finding: &Finding) -> Value {
    let Finding { key, viewers, linked, now, problem, without, places } = finding;
    json!({
        "layer": judged.layer(key.layer),
        "object": shown(&key.object),
        "needs": shown(&key.name),
        "seen_from": names(judged, viewers),
        "counts": judged.wrong.iter().any(|wrong| std::ptr::eq(*wrong, finding)),
        "problem": problem.as_ref().map(|problem| match problem {
            Problem::Missing => "missing",
            Problem::Refused => "refused",
            Problem::Replaced { .. } => "replaced",
            Problem::Unlinked => "unlinked",
        }),
        "should_be": match problem { Some(Problem::Replaced { by }) => Some(shown(by)), _ => None },
        "linked": met(judged, linked),
        "now": met(judged, now),
        "without_links": without.as_ref().map(|without| match without {
            Without::Missing => json!({ "missing": true, "host": null }),
            Without::Trapped { host } => json!({ "missing": false, "host": shown(host) }),
        }),
        "has": places.iter().map(place::json).collect::<Vec<_>>(),
    })
}

fn met(judged: &Judged, met: &Met) -> Value {
    match met {
        Met::File { layer, real, how } => json!({
            "found": shown(real),
            "layer": layer.map(|at| judged.layer(at)),
            "by": match how {
                How::Own => "own path",
                How::Variable => "LD_LIBRARY_PATH",
                How::System => "system",
                How::Loaded => "loaded",
            },
        }),
        Met::Missing(trail) => {
            let tried = trail.tried.iter().map(|tried| {
                let rule = match &tried.rule {
                    Rule::Rpath(_) => "RPATH",
                    Rule::Runpath(_) => "RUNPATH",
                    Rule::LibraryPath => "LD_LIBRARY_PATH",
                    Rule::Cache => "cache",
                    Rule::System => "system",
                    Rule::Own | Rule::Path | Rule::Loaded => "path",
                };
                json!({ "rule": rule, "path": shown(&tried.path), "reason": tried.reason.to_string() })
            });
            json!({ "found": null, "tried": tried.collect::<Vec<_>>() })
        }
        Met::Refused { path, why } => json!({ "found": null, "refused": shown(path), "why": why }),
    }
}

fn remaining(judged: &Judged, remains: &Remains) -> Value {
    let (why, file) = match &remains.left {
        Left::Nowhere => ("nowhere", None),
        Left::OtherName { file } => ("other name", Some(file)),
        Left::Loaded { file, .. } => ("loaded", Some(file)),
        Left::Circle { file } => ("circle", Some(file)),
        Left::Fails { file } => ("fails", Some(file)),
        Left::Refused { path, .. } => ("refused", Some(path)),
    };
    let host = match &remains.left {
        Left::Loaded { host, .. } => Some(host),
        _ => None,
    };
    json!({
        "object": shown(&remains.by),
        "needs": shown(&remains.name),
        "why": why,
        "file": file.map(shown),
        "host": host.map(shown),
        "seen_from": names(judged, &remains.viewers),
    })
}

fn misled(judged: &Judged, misled: &Misled) -> Value {
    json!({
        "interpreter": shown(&misled.program),
        "needs": shown(&misled.name),
        "host": shown(&misled.host),
        "layer": judged.layer(misled.layer),
        "file": shown(&misled.file),
        "seen_from": names(judged, &misled.viewers),
    })
}

fn hidden(judged: &Judged, hidden: &Hidden) -> Value {
    json!({
        "name": shown(&hidden.name),
        "host": shown(&hidden.host),
        "layer": judged.layer(hidden.layer),
        "file": shown(&hidden.file),
        "programs": hidden.programs.iter().map(shown).collect::<Vec<_>>(),
    })
}
