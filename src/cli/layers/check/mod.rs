//! `dlcast layers check`: whether everything that is needed is found, in the layer where it should be.
//!
//! # Layout
//! - `judged` what of a report counts, with these options
//! - `text` for people; `json` for programs

mod json;
mod judged;
mod text;

use super::Which;
use crate::cli::{self, printable};
use crate::config;
use crate::host::search;
use crate::layers::check::{self, Host};
use crate::layers::scan;
use crate::layers::stack::Platform;
use judged::Judged;

/// What to look at.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// For programs that call dlcast.layers.activate: neither links nor wrapper count
    #[arg(long)]
    in_process: bool,
    /// Leave out what is wrong with these objects, or these names: matched at the end of the path, like dynlib_exclude
    #[arg(long, value_name = "GLOB")]
    ignore: Vec<String>,
    /// Print every need, and where it is found
    #[arg(long)]
    all: bool,
    /// Warnings count as problems
    #[arg(long)]
    strict: bool,
    /// One JSON object, whose shape docs/layers.md tells
    #[arg(long)]
    json: bool,
}

/// Prints what was found out.
pub fn run(arguments: &Arguments) -> u8 {
    cli::tell(checked(arguments))
}

fn checked(arguments: &Arguments) -> Result<(String, bool), String> {
    let stack = arguments.which.read().map_err(|error| error.to_string())?;
    if let Some(layer) = stack.layers.iter().find(|layer| layer.platform == Platform::MacOs) {
        return Err(format!(
            "layer `{}` is made for macOS, whose libraries (Mach-O) are not read: there is nothing to check",
            layer.name
        ));
    }
    let scanned = scan::scan(&stack).map_err(|error| error.to_string())?;
    let host = Host { system: search::system(), variable: config::library_path(), programs: config::program_folders() };
    let report = check::check(&stack, &scanned, &host).map_err(|error| error.to_string())?;
    let judged = Judged::new(&stack, &report, arguments)?;
    let text = match arguments.json {
        true => json::json(&judged).to_string(),
        false => printable(&text::text(&judged, arguments.all)),
    };
    let is_well = judged.problems() == 0 && !(arguments.strict && judged.warnings() > 0);
    Ok((text, is_well))
}
