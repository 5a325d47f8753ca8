//! Subcommands of `dlcast`, a file or a folder each. None of them calls MPI in its own process.

mod child;
pub mod doctor;
pub mod explain;
pub mod identity;
pub mod layers;
mod place;
pub mod run;

use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// All is well.
pub const SUCCESS: u8 = 0;
/// What was asked for is not so, or cannot be told.
pub const FAILURE: u8 = 1;

/// Prints what a subcommand has to say, and whether all is well; or why it cannot be told.
fn tell(said: Result<(String, bool), String>) -> u8 {
    match said {
        Ok((text, is_well)) => {
            written(writeln!(io::stdout(), "{}", text.trim_end()), if is_well { SUCCESS } else { FAILURE })
        }
        Err(error) => {
            eprintln!("dlcast: {}", printable(&error));
            FAILURE
        }
    }
}

/// A path for JSON, which is text: bytes that are none are replaced. Everything that `json!` is given of a path goes through it, because
/// that has no error for a path that is not UTF-8, but panics.
fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

/// The exit code after something was written to standard output.
fn written(result: io::Result<()>, code: u8) -> u8 {
    match result {
        Ok(()) => code,
        // The reader has gone (`| head`): nobody is there to be told.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => code,
        Err(error) => {
            eprintln!("dlcast: standard output: {error}");
            FAILURE
        }
    }
}

/// A line without characters that would do something to a terminal: names of files may have any.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
