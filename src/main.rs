//! The `dlcast` command. It loads no MPI: libraries and environments are looked at where there is none.

#![cfg_attr(not(test), no_main)]

use clap::{Parser, Subcommand};
use dlcast::cli;

/// A dlopen that reaches every rank of an MPI job.
///
/// In a program, call dlcast from Python (`import dlcast`), Rust or C. For a program that knows nothing of dlcast there is
/// `dlcast run`.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = SETTINGS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const SETTINGS: &str = "Settings of programs that use dlcast:
  DLCAST_TIMEOUT  seconds that a collective call may wait for other ranks (default 120; inf: no deadline)
  DLCAST_MODE     collective (default) or service
Those of unmodified programs are told by `dlcast run --help`.";

#[derive(Subcommand)]
enum Command {
    /// Run an unmodified MPI program: what one rank opens, all ranks have
    ///
    /// Under mpirun, once a rank: the program is started with a small library preloaded that sees its dlopen calls and starts
    /// dlcast's service in MPI_Init. Short help: -h.
    Run(cli::run::Arguments),
    /// Say what would keep `dlcast run` and service mode from working here, and the way out
    ///
    /// On one host, without mpirun: which MPI dlcast and PROGRAM have, what thread level it provides, whether the shim would get
    /// into PROGRAM, what is wrong with settings and host. MPI is started once, in a process of its own. The exit code is 1 if
    /// there is a problem; warnings do not count.
    Doctor(cli::doctor::Arguments),
    /// Print what makes libraries the same to dlcast: name, size, build id, BLAKE3 digest
    ///
    /// When ranks disagree on a file, run this on the hosts that the error names. Files that dlcast would refuse are
    /// reported with the reason, and the exit code is 1.
    Identity(cli::identity::Arguments),
    /// Explain why a library is found or not: the whole search of ld.so, and the way out
    ///
    /// For LIB, and for everything that it needs, in the order of ld.so: every place where it looks, and why it takes what is there or
    /// goes on. For whoever stares at "cannot open shared object file". The exit code is 1 if anything is not found.
    Explain(cli::explain::Arguments),
    /// Let libraries find each other across the layers of a stack of Python environments
    ///
    /// STACK is a stack.toml, a venvstacks.toml, or a folder that holds one of them.
    #[command(subcommand)]
    Layers(cli::layers::Command),
}

/// Not Rust's own entry: before `main` its runtime ignores SIGPIPE and opens closed standard streams, which a program that
/// `dlcast run` becomes would inherit.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() -> std::ffi::c_int {
    let code = match Arguments::parse().command {
        Command::Run(arguments) => cli::run::run(&arguments),
        Command::Doctor(arguments) => cli::doctor::run(&arguments),
        Command::Identity(arguments) => cli::identity::run(&arguments),
        Command::Explain(arguments) => cli::explain::run(&arguments),
        Command::Layers(command) => cli::layers::run(&command),
    };
    // Which writes what standard output still holds.
    std::process::exit(code.into())
}
