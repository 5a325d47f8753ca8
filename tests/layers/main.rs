//! `dlcast layers` from outside, on environments that are made here.
//!
//! # Layout
//! - `errors` every mistake of a stack is told; `mistakes`: the table of them, with a fixture file each
//! - `scan` what a scan finds
//! - `hostile` files that were made to break it, and names that are no text
//! - `link` links and wrappers, and what is there when it was killed or may not write
//! - `unlinkable` layers in which something is in the way of a link
//! - `tree` environments for all

mod errors;
mod hostile;
mod link;
mod mistakes;
mod scan;
mod tree;
mod unlinkable;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

/// `dlcast layers ARGUMENTS`, in a folder, with a time limit.
fn layers(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").arg(env!("CARGO_BIN_EXE_dlcast")).arg("layers").args(arguments).current_dir(folder);
    command.env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").output().unwrap()
}

/// The same as somebody who may read everything in `folder`, and write what is for all.
fn layers_as_nobody(folder: &Path, arguments: &[&str]) -> Output {
    const NOBODY: u32 = 65534;
    let (program, all) = (folder.join("dlcast"), std::fs::Permissions::from_mode(0o755));
    if !program.exists() {
        // By another process: a child that another test starts meanwhile would inherit the file, open for writing, and nobody could run it.
        let copied = Command::new("cp").args([Path::new(env!("CARGO_BIN_EXE_dlcast")), &program]).status().unwrap();
        assert!(copied.success());
        std::fs::set_permissions(folder, all).unwrap();
    }
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).arg("layers").args(arguments).current_dir(folder).env_remove("LD_LIBRARY_PATH");
    // Only root may be somebody else; anybody else is not above permissions.
    if Path::new("/proc/self").metadata().unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
