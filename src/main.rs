//! The `dlcast` command. It loads no MPI: libraries and environments are looked at where there is none.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dlcast::cli;

/// A dlopen that reaches every rank of an MPI job.
///
/// In a program, call dlcast from Python (`import dlcast`), Rust or C; this command looks at libraries.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = SETTINGS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const SETTINGS: &str = "Settings of programs that use dlcast:
  DLCAST_TIMEOUT  seconds that a collective call may wait for other ranks (default 120; inf: no deadline)
  DLCAST_MODE     collective (default)";

#[derive(Subcommand)]
enum Command {
    /// Print what makes libraries the same to dlcast: name, size, build id, BLAKE3 digest
    ///
    /// When ranks disagree on a file, run this on the hosts that the error names. Files that dlcast would refuse are
    /// reported with the reason, and the exit code is 1.
    Identity(cli::identity::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Identity(arguments) => cli::identity::run(&arguments),
    }
}
