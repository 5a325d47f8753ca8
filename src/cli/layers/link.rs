//! `dlcast layers link`: libraries of all layers within reach of each.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::Which;
use crate::cli::{self, printable, shown};
use crate::layers::link::change::Difference;
use crate::layers::link::{self, Change, Changes, LinkError, Plan, Shadow};
use crate::layers::scan;
use crate::layers::stack::Stack;
use crate::layers::wrapper::interpreter::Kind;

/// What to do.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Links the layers, and says what was changed.
pub fn run(arguments: &Arguments) -> u8 {
    cli::tell(linked(arguments).map(|text| (text, true)))
}

fn linked(arguments: &Arguments) -> Result<String, String> {
    let stack = arguments.which.read().map_err(|error| error.to_string())?;
    let scanned = scan::scan(&stack).map_err(|error| error.to_string())?;
    let link = || -> Result<(Plan, Changes), LinkError> {
        let roots = link::roots(&stack)?;
        let plan = link::plan(&stack, &roots, &scanned, &mut link::same)?;
        let changes = Changes::find(&stack, &roots, &plan)?;
        match arguments.dry_run {
            true => changes.try_out()?,
            false => changes.apply()?,
        }
        Ok((plan, changes))
    };
    let (plan, changes) = link().map_err(|error| error.to_string())?;
    Ok(if arguments.json {
        json(&stack, &plan, &changes, arguments.dry_run).to_string()
    } else {
        printable(&text(&stack, &plan, &changes, arguments.dry_run))
    })
}

fn text(stack: &Stack, plan: &Plan, changes: &Changes, dry_run: bool) -> String {
    let mut text = String::new();
    for change in &changes.0 {
        let _ = writeln!(text, "{}: {}, {}", change.layer, links(change.links.as_ref()), python(change).0);
    }
    for shadow in &plan.shadows {
        let _ = writeln!(text, "{}", shadowed(stack, shadow));
    }
    if dry_run {
        text.push_str("nothing was changed: --dry-run\n");
    }
    text
}

fn links(links: Option<&Difference>) -> String {
    let Some(links) = links else { return "no links, as Mach-O is not read".into() };
    let count = links.added.len() + links.changed.len() + links.kept.len();
    let parts = [(&links.added, "new"), (&links.changed, "changed"), (&links.removed, "removed")];
    let parts = parts.iter().filter(|(names, _)| !names.is_empty());
    let parts: Vec<String> = parts.map(|(names, what)| format!("{} {what}", names.len())).collect();
    let plural = if count == 1 { "link" } else { "links" };
    match parts.is_empty() {
        true => format!("{count} {plural}"),
        false => format!("{count} {plural} ({})", parts.join(", ")),
    }
}

/// What becomes of `bin/python`: for people, and for programs.
fn python(change: &Change) -> (&'static str, &'static str) {
    match (change.placement.is_done(), &change.placement.before) {
        (true, _) => ("bin/python as it was", "unchanged"),
        (false, Some(Kind::Venvstacks)) => ("bin/python taken over from venvstacks", "taken_over"),
        (false, Some(Kind::Ours)) => ("bin/python renewed", "renewed"),
        (false, _) => ("bin/python wrapped", "wrapped"),
    }
}

pub(super) fn shadowed(stack: &Stack, shadow: &Shadow) -> String {
    let name = |at: &usize| format!("`{}`", stack.layers[*at].name);
    let seen_from: Vec<String> = shadow.seen_from.iter().map(name).collect();
    format!(
        "shadowed: {} in {}: {} of {} hides the different {} of {}",
        shadow.name.display(),
        seen_from.join(", "),
        shadow.found.1.display(),
        name(&shadow.found.0),
        shadow.hidden.1.display(),
        name(&shadow.hidden.0),
    )
}

fn json(stack: &Stack, plan: &Plan, changes: &Changes, dry_run: bool) -> Value {
    let names = |names: &[OsString]| names.iter().map(shown).collect::<Vec<String>>();
    let layers = changes.0.iter().zip(&plan.links).map(|(change, links)| {
        let files = links.iter().map(|(name, file)| (shown(name), shown(file).into()));
        let difference = change.links.as_ref();
        json!({
            "name": change.layer,
            "links": difference.map(|_| files.collect::<serde_json::Map<String, Value>>()),
            "added": difference.map(|links| names(&links.added)),
            "changed": difference.map(|links| names(&links.changed)),
            "removed": difference.map(|links| names(&links.removed)),
            "python": python(change).1,
        })
    });
    json!({
        "version": 1,
        "applied": !dry_run,
        "layers": layers.collect::<Vec<_>>(),
        "shadowed": plan.shadows.iter().map(|shadow| shadow_as_json(stack, shadow)).collect::<Vec<_>>(),
    })
}

pub(super) fn shadow_as_json(stack: &Stack, shadow: &Shadow) -> Value {
    let name = |at: &usize| stack.layers[*at].name.clone();
    let place = |(layer, file): &(usize, PathBuf)| json!({ "layer": name(layer), "file": shown(file) });
    json!({
        "name": shown(&shadow.name),
        "found": place(&shadow.found),
        "hidden": place(&shadow.hidden),
        "seen_from": shadow.seen_from.iter().map(name).collect::<Vec<_>>(),
    })
}
