//! `dlcast layers`: libraries find each other across environment layers.
//!
//! # Layout
//! - `check` whether everything that is needed is found
//! - `link` libraries of all layers within reach of each
//! - `plan` what a process has to open before what
//! - `scan` which shared objects the layers have

mod check;
mod link;
mod plan;
mod scan;

use std::path::PathBuf;

use crate::layers::stack::{Stack, StackError};

/// What to do.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the shared objects of every layer, and what each is
    Scan(scan::Arguments),
    /// Let the libraries of all layers be found from each: links in share/venv/dynlib, and a wrapper in place of bin/python
    ///
    /// Running it again changes nothing. What a layer hides of those below it is told.
    Link(link::Arguments),
    /// Say whether every library that an object needs is found, and in the layer where it should be
    ///
    /// What is not found and which layer would have it, what the host's own libraries would silently replace, what a layer hides of
    /// those below it, and which link hides a library of the host from programs that inherit LD_LIBRARY_PATH. The exit code is 1 if
    /// there is a problem; warnings do not count.
    Check(check::Arguments),
    /// Print, as JSON, what a process has to open before what: what `dlcast.layers.activate` carries out
    ///
    /// `libraries` are files of layers. `objects` has, by path, the numbers of those that have to be open before an object, in this
    /// order: what ld.so would not find, or would take from the host though a layer has it. `names` has names without a folder and
    /// the library that each means; what has to be open before that is in its `first`.
    Plan(plan::Arguments),
}

/// Which stack: the same for every subcommand.
#[derive(clap::Args)]
pub struct Which {
    /// A stack.toml, a venvstacks.toml, or a folder that holds one of them
    #[arg(value_name = "STACK")]
    path: PathBuf,
    /// Where venvstacks has built the environments (default: _build beside its venvstacks.toml; the file's folder if it has exported there)
    #[arg(long, value_name = "FOLDER")]
    build_dir: Option<PathBuf>,
}

impl Which {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`StackError`].
    pub fn read(&self) -> Result<Stack, StackError> {
        Stack::read(&self.path, self.build_dir.as_deref())
    }
}

/// Does it.
pub fn run(command: &Command) -> u8 {
    match command {
        Command::Scan(arguments) => scan::run(arguments),
        Command::Link(arguments) => link::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Plan(arguments) => plan::run(arguments),
    }
}
