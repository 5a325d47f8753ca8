//! `dlcast layers`: libraries find each other across environment layers.
//!
//! # Layout
//! - `link` libraries of all layers within reach of each
//! - `scan` which shared objects the layers have

mod link;
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
}

/// Which stack: the same for every subcommand.
#[derive(clap::Args)]
pub struct Which {
    /// A stack.toml, a venvstacks.toml, or a folder that holds one of them
    #[arg(value_name = "STACK")]
    path: PathBuf,
    /// Where venvstacks has built the environments (default: _build beside its venvstacks.toml)
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
    }
}
