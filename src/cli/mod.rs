//! Subcommands of `dlcast`, a file or a folder each. None of them calls MPI in its own process.

mod child;
pub mod doctor;
pub mod explain;
pub mod identity;
pub mod layers;
pub mod run;

/// All is well.
pub const SUCCESS: u8 = 0;
/// What was asked for is not so, or cannot be told.
pub const FAILURE: u8 = 1;

/// A line without characters that would do something to a terminal: names of files may have any.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
