//! The plugins of this crate in a job of two ranks, which is an example of the crate: cargo has built all three.

use std::path::Path;
use std::process::Command;

#[test]
fn a_panic_is_the_calls_error_and_the_plugin_of_the_manual_loads() {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    let examples = deps.with_file_name("examples");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let quirks = std::env::var_os("DLCAST_MPI_ENV")
        .map_or_else(|| here.join("../../../ci/mpi/openmpi4-debian.env"), std::path::PathBuf::from);
    let quirks = std::fs::read_to_string(quirks).unwrap();
    let quirks = || quirks.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let launcher = quirks().find(|(key, _)| *key == "CI_LAUNCHER").map_or("mpirun", |(_, launcher)| launcher);
    let output = Command::new(std::env::var("DLCAST_MPIRUN").unwrap_or_else(|_| launcher.to_owned()))
        .args(["-n", "2"])
        .arg(examples.join("job"))
        .args([deps.join("libpanics.so"), examples.join("libstencil.so")])
        .envs(quirks().filter(|(key, _)| !key.starts_with("CI_") && std::env::var_os(key).is_none()))
        // A rank that does not come is an error, not a wait.
        .env("DLCAST_TIMEOUT", "30")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let done = said.contains("rank 0: ok") && said.contains("rank 1: ok");
    assert!(output.status.success() && done, "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_manual_shows_the_plugin_that_was_built() {
    let manual = include_str!("../../../../docs/plugin-authors.md");
    assert!(manual.contains(&format!("```rust\n{}```", include_str!("../examples/stencil.rs"))));
}
