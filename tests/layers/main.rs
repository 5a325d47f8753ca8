//! `dlcast layers` from outside, on environments that are made here.
//!
//! # Layout
//! - `errors` every mistake of a stack is told; `mistakes`: the table of them, with a fixture file each
//! - `scan` what a scan finds
//! - `tree` environments for both

mod errors;
mod mistakes;
mod scan;
mod tree;

use std::path::Path;
use std::process::{Command, Output};

/// `dlcast layers ARGUMENTS`, in a folder, with a time limit.
fn layers(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").arg(env!("CARGO_BIN_EXE_dlcast")).arg("layers").args(arguments).current_dir(folder);
    command.env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
