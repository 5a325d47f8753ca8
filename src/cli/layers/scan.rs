//! `dlcast layers scan`: which shared objects the layers have.

use super::Which;
use crate::cli::{FAILURE, SUCCESS};
use crate::layers::scan;

/// What to look at.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Prints what was found.
pub fn run(arguments: &Arguments) -> u8 {
    let stack = match arguments.which.read() {
        Ok(stack) => stack,
        Err(error) => {
            eprintln!("dlcast: {error}");
            return FAILURE;
        }
    };
    match scan::scan(&stack) {
        Ok(_) => SUCCESS,
        Err(error) => {
            eprintln!("dlcast: {error}");
            FAILURE
        }
    }
}
