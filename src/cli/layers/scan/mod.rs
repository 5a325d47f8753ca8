//! `dlcast layers scan`: which shared objects the layers have.
//!
//! # Layout
//! - `json` for programs
//! - `table` for people

mod json;
mod table;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use super::Which;
use crate::cli::{self, FAILURE, SUCCESS};
use crate::layers::scan::{self, Class};

/// What to look at.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// One JSON object, whose shape docs/layers.md tells
    #[arg(long)]
    json: bool,
}

/// Prints what was found.
pub fn run(arguments: &Arguments) -> u8 {
    let stack = match arguments.which.read() {
        Ok(stack) => stack,
        Err(error) => return fail(&error),
    };
    let scanned = match scan::scan(&stack) {
        Ok(scanned) => scanned,
        Err(error) => return fail(&error),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match arguments.json {
        true => json::write(&mut out, &stack, &scanned),
        false => table::write(&mut out, &stack, &scanned),
    };
    cli::written(written.and_then(|()| out.flush()), SUCCESS)
}

fn fail(error: &dyn std::error::Error) -> u8 {
    eprintln!("dlcast: {}", printable(&error.to_string()));
    FAILURE
}

/// What both call it.
fn class(class: &Class) -> &'static str {
    match class {
        Class::Extension(_) => "extension",
        Class::Library(_) => "library",
        Class::Program(_) => "program",
        Class::Neither(_) => "neither",
    }
}

/// A name may have characters that a terminal obeys.
fn printable(line: &str) -> Cow<'_, str> {
    match line.contains(char::is_control) {
        true => line.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect(),
        false => line.into(),
    }
}
