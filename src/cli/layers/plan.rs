//! `dlcast layers plan`: what a process has to open before what.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use super::Which;
use crate::cli::{FAILURE, SUCCESS};
use crate::config;
use crate::host::search;
use crate::layers::plan::{Plan, Target};

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
    let planned = arguments.which.read().map_err(|error| error.to_string()).and_then(|stack| {
        let target = Target {
            program: arguments.program.clone(),
            library_path: config::library_path(),
            path: arguments.folders.clone(),
            objects: arguments.objects.clone(),
        };
        let plan = Plan::make(&stack, &target, &search::system()).map_err(|error| error.to_string())?;
        plan.to_json().map_err(|error| error.to_string())
    });
    match planned.map(|text| writeln!(std::io::stdout(), "{text}")) {
        Ok(Ok(())) => SUCCESS,
        // The reader has gone (`| head`): nobody is there to be told.
        Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => SUCCESS,
        Ok(Err(error)) => {
            eprintln!("dlcast: standard output: {error}");
            FAILURE
        }
        Err(error) => {
            eprintln!("dlcast: {error}");
            FAILURE
        }
    }
}
