//! `dlcast doctor`: what would keep `dlcast run` and service mode from working here, and the way out of it.
//!
//! It looks and asks; nothing is changed. What only a process with MPI in it can tell is asked of a child, so that an MPI that
//! crashes or hangs is a finding.
//!
//! # Layout
//! - `finding` what was found, and how it is told
//! - `mpi` dlcast's MPI and the program's, their thread level, the launcher
//! - `program` what ld.so and the shim would make of a program
//! - `system` settings and the host
//! - `table` the policy's table

mod finding;
mod mpi;
mod program;
mod system;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;

use self::finding::Findings;

/// What to look at.
#[derive(clap::Args)]
#[command(override_usage = "dlcast doctor [--json] [-- PROGRAM]\n       dlcast doctor --policy [--json]")]
pub struct Arguments {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Print which libraries `dlcast run` leaves alone: your globs, and the built-in table
    #[arg(long, conflicts_with = "program")]
    policy: bool,
    /// Start this MPI here, and tell what it says: for the child of a doctor
    #[arg(long, hide = true, value_name = "LIBMPI", conflicts_with_all = ["policy", "program"])]
    probe: Option<PathBuf>,
    /// Open this engine beside it
    #[arg(long, hide = true, value_name = "LIBDLCAST", requires = "probe")]
    engine: Option<PathBuf>,
    /// A program as `dlcast run` would be given it; its arguments are not looked at
    #[arg(trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Prints what was found; 1 if there is a problem.
pub fn run(arguments: &Arguments) -> u8 {
    if let Some(mpi) = &arguments.probe {
        return mpi::probe(mpi, arguments.engine.as_deref());
    }
    if arguments.policy {
        return table::print(arguments.json);
    }
    let mut findings = Findings::default();
    let engine = mpi::engine(&mut findings);
    let own = arguments.program.first().map(|name| program::look(&mut findings, name));
    mpi::compare(&mut findings, engine.as_ref(), own.as_ref());
    system::look(&mut findings);
    findings.print(arguments.json)
}
