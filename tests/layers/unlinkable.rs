//! Layers in which something is in the way of a link.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::tree::write;

/// Makes one for each mistake.
pub fn prepare(here: &Path) {
    for (name, size) in [("one", 1), ("two", 2)] {
        let layer = environment(here, "ambiguous");
        let folder = layer.join("lib").join(name);
        fs::create_dir_all(&folder).unwrap();
        let size = format!("-DSIZE={size}");
        let source = layer.join("x.c");
        write(&source, "int x[SIZE];");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", &size, "-Wl,-soname,libx.so.1", "-o"]).arg(folder.join("libx.so.1"));
        assert!(command.arg(&source).status().unwrap().success());
    }
    let foreign = "#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n";
    instead(&environment(here, "foreign").join("bin/python"), |path| write(path, foreign));
    instead(&environment(here, "foreign3").join("bin/python"), |path| symlink("python3", path).unwrap());
    write(&here.join("foreign3/bin/python3"), foreign);
    instead(&environment(here, "circle").join("bin/python"), |path| symlink("python3", path).unwrap());
    symlink("python", here.join("circle/bin/python3")).unwrap();
    instead(&environment(here, "dangling").join("bin/python"), |path| symlink("/opt/gone/python3", path).unwrap());
    instead(&environment(here, "python_is_folder").join("bin/python"), |path| fs::create_dir(path).unwrap());
    instead(&environment(here, "python_is_pipe").join("bin/python"), pipe);
    pipe(&environment(here, "python3_is_pipe").join("bin/python3"));
    write(&here.join("python3_is_pipe/pyvenv.cfg"), "");
    instead(&environment(here, "pipe_behind").join("bin/python"), |path| symlink("python_", path).unwrap());
    pipe(&here.join("pipe_behind/bin/python_"));
    elsewhere(here, "bin_elsewhere", "bin");
    environment(here, "behind:a colon");
    symlink("behind:a colon", here.join("link_to_colon")).unwrap();

    write(&environment(here, "not_a_link").join("share/venv/dynlib/libx.so"), "");
    fs::create_dir(environment(here, "share_elsewhere").join("share")).unwrap();
    elsewhere(here, "share_elsewhere", "share");
    symlink("share", environment(here, "share_circle").join("share")).unwrap();
    let busy = File::open(environment(here, "busy")).unwrap();
    busy.lock().unwrap();
    // Until the test ends.
    std::mem::forget(busy);
    for closed in
        [environment(here, "unreadable").join("lib/python3.11"), environment(here, "unreadable_bin").join("bin")]
    {
        fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let read_only = environment(here, "read_only");
    fs::set_permissions(read_only, fs::Permissions::from_mode(0o555)).unwrap();
}

/// One whose Python is a program that is there.
fn environment(here: &Path, name: &str) -> std::path::PathBuf {
    let path = here.join(name);
    if !path.exists() {
        crate::tree::environment(&path);
        instead(&path.join("bin/python"), |path| symlink("/bin/true", path).unwrap());
    }
    path
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn instead(path: &Path, make: impl FnOnce(&Path)) {
    fs::remove_file(path).unwrap();
    make(path);
}

/// Puts a folder of a layer beside the layer, with a link in its place.
fn elsewhere(here: &Path, layer: &str, folder: &str) {
    let (path, other) = (environment(here, layer).join(folder), format!("{folder}_of_{layer}"));
    fs::rename(&path, here.join(&other)).unwrap();
    symlink(format!("../{other}"), path).unwrap();
}
