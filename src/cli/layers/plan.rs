//! `dlcast layers plan`: what a process has to open before what.

use std::path::PathBuf;

use super::Which;
use crate::host::search;
use crate::layers::plan::{Plan, Target};
use crate::{cli, config};

/// What to plan for.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// The program of the process (default: none, as if nothing were loaded)
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// A folder of Python's search path; the first that is in a layer tells whose process it is (default: all layers count)
    #[arg(long = "path", value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// An object outside the layers to plan for, too
    #[arg(long = "object", value_name = "FILE")]
    objects: Vec<PathBuf>,
}

/// Prints the plan.
pub fn run(arguments: &Arguments) -> u8 {
    cli::tell(planned(arguments).map(|text| (text, true)))
}

fn planned(arguments: &Arguments) -> Result<String, String> {
    let stack = arguments.which.read().map_err(|error| error.to_string())?;
    let target = Target {
        program: arguments.program.clone(),
        library_path: config::library_path(),
        path: arguments.folders.clone(),
        objects: arguments.objects.clone(),
    };
    let plan = Plan::make(&stack, &target, &search::system()).map_err(|error| error.to_string())?;
    plan.to_json().map_err(|error| error.to_string())
}
