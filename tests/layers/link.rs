//! Claims about `dlcast layers link` as a program: what it says, what it leaves when it is killed or cannot write, and that a second
//! run touches nothing. Python is played by a shell: it tells what it finds by the variable that it was given.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::layers_as_nobody;

/// Past this a test fails instead of hanging.
const LIMIT: &str = "60";

/// What changes a folder or a file. A run is killed before each of them.
const CHANGES: &[&str] =
    &["mkdir", "symlink", "link", "linkat", "rename", "renameat2", "unlink", "unlinkat", "rmdir", "write", "fsync"];

/// As venvstacks makes one.
const VENVSTACKS: &str = r#"#!/usr/bin/bash
# Allow extension modules to find shared libraries published by lower layers
here=${0%/*}
export LD_LIBRARY_PATH=$here/../share/venv/dynlib
exec -a "$here/python" "$here/python_" "$@"
"#;

/// The layers `app`, over `fw`, on the disk.
struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new() -> Made {
        let made = Made { folder: tempfile::tempdir().unwrap() };
        for layer in ["app", "fw"] {
            fs::create_dir_all(made.path(&format!("{layer}/bin"))).unwrap();
            fs::create_dir_all(made.path(&format!("{layer}/lib/python3.11/site-packages"))).unwrap();
            fs::write(made.path(&format!("{layer}/pyvenv.cfg")), "home = /usr/bin\n").unwrap();
            // As `python3.11 -m venv` leaves it.
            symlink("/bin/bash", made.path(&format!("{layer}/bin/python3.11"))).unwrap();
            symlink("python3.11", made.path(&format!("{layer}/bin/python"))).unwrap();
            symlink("python3.11", made.path(&format!("{layer}/bin/python3"))).unwrap();
        }
        let text = "[[layer]]\nname = 'app'\npath = 'app'\nuses = ['fw']\n[[layer]]\nname = 'fw'\npath = 'fw'\n";
        fs::write(made.path("stack.toml"), text).unwrap();
        made.library("app/lib/libapp.so.1.2", "libapp.so.1");
        made.library("fw/lib/libfw.so", "libfw.so");
        made
    }

    /// The same as venvstacks would have linked it, with a link that is no longer right.
    fn of_venvstacks() -> Made {
        let made = Made::new();
        for layer in ["app", "fw"] {
            fs::remove_file(made.path(&format!("{layer}/bin/python"))).unwrap();
            let python = made.path(&format!("{layer}/bin/python"));
            fs::write(&python, VENVSTACKS).unwrap();
            fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
            symlink("/bin/bash", made.path(&format!("{layer}/bin/python_"))).unwrap();
            let dynlib = made.path(&format!("{layer}/share/venv/dynlib"));
            fs::create_dir_all(&dynlib).unwrap();
            symlink("../../../lib/gone.so", dynlib.join("gone.so")).unwrap();
        }
        made
    }

    /// The same with a Python that is in the layer below, where both were moved to together.
    fn moved() -> Made {
        let made = Made::new();
        fs::remove_file(made.path("fw/pyvenv.cfg")).unwrap();
        fs::remove_file(made.path("fw/bin/python3.11")).unwrap();
        fs::copy("/bin/bash", made.path("fw/bin/python3.11")).unwrap();
        fs::remove_file(made.path("app/bin/python3.11")).unwrap();
        symlink("../../fw/bin/python3.11", made.path("app/bin/python3.11")).unwrap();
        fs::write(made.path("app/pyvenv.cfg"), "home = /gone/fw/bin\n").unwrap();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn library(&self, path: &str, soname: &str) {
        let soname = format!("-Wl,-soname,{soname}");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-x", "c", "/dev/null", &soname, "-o"]).arg(self.path(path));
        assert!(command.status().unwrap().success());
    }

    fn link(&self, before: &[&str], options: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--foreground", LIMIT]).args(before).arg(env!("CARGO_BIN_EXE_dlcast"));
        command.args(["layers", "link"]).args(options).arg(self.path("stack.toml")).env_remove("LD_LIBRARY_PATH");
        command.output().unwrap()
    }

    fn good(&self, options: &[&str]) -> String {
        let output = self.link(&[], options);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a start of each name of a layer's Python finds, and what its links are.
    fn state(&self, layer: &str) -> State {
        let bin = self.path(&format!("{layer}/bin"));
        let started = ["python", "python3", "python3.11"].map(|name| {
            let code = "echo \"$0\"; IFS=:; for at in $LD_LIBRARY_PATH; do echo \"$at\"; done";
            let mut command = Command::new("timeout");
            let output = command.args([LIMIT, "env", "-i"]).arg(bin.join(name)).args(["-c", code]).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
            // The folder is another in each test.
            String::from_utf8(output.stdout).unwrap().replace(self.path("").to_str().unwrap(), "/")
        });
        let links = fs::read_dir(self.path(&format!("{layer}/share/venv/dynlib"))).ok();
        let links = links.map(|links| {
            let links = links.map(|entry| entry.unwrap());
            links.map(|link| (link.file_name().into_string().unwrap(), fs::read_link(link.path()).unwrap())).collect()
        });
        let home = fs::read_to_string(self.path(&format!("{layer}/pyvenv.cfg"))).ok();
        let home = home.map(|text| text.replace(self.path("").to_str().unwrap(), "/"));
        State { started, links, home }
    }

    /// Everything there is, and when it was changed last.
    fn times(&self) -> BTreeMap<PathBuf, std::time::SystemTime> {
        let entries = walkdir::WalkDir::new(self.folder.path()).into_iter().map(|entry| entry.unwrap());
        entries
            .map(|entry| (entry.path().into(), entry.path().symlink_metadata().unwrap().modified().unwrap()))
            .collect()
    }

    /// What is not to be there after a run.
    fn leftovers(&self) -> Vec<PathBuf> {
        let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".d"));
        self.times().into_keys().filter(hidden).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    started: [String; 3],
    links: Option<BTreeMap<String, PathBuf>>,
    home: Option<String>,
}

#[test]
fn it_says_what_it_has_done_and_a_second_run_touches_nothing() {
    let made = Made::new();
    assert_eq!(
        made.good(&["--dry-run"]),
        "app: 2 links (2 new), bin/python wrapped\nfw: 1 link (1 new), bin/python wrapped\nnothing was changed: --dry-run\n"
    );
    assert!(!made.path("app/share").exists());
    assert_eq!(made.good(&[]), "app: 2 links (2 new), bin/python wrapped\nfw: 1 link (1 new), bin/python wrapped\n");
    let before = made.times();
    assert_eq!(made.good(&[]), "app: 2 links, bin/python as it was\nfw: 1 link, bin/python as it was\n");
    assert_eq!(made.times(), before);
}

#[test]
fn a_mask_of_the_user_is_kept_and_changes_nothing_else() {
    let made = Made::new();
    for expected in ["bin/python wrapped", "bin/python as it was"] {
        let output = made.link(&["sh", "-c", "umask 077; exec \"$0\" \"$@\""], &[]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.matches(expected).count() == 2, "{said}");
    }
    let mode = fs::metadata(made.path("app/bin/python")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn what_it_says_is_there_for_programs_too() {
    let made = Made::new();
    let said: serde_json::Value = serde_json::from_str(&made.good(&["--json"])).unwrap();
    let expected = serde_json::json!({
        "version": 1,
        "applied": true,
        "layers": [
            {
                "name": "app",
                "links": {"libapp.so.1": "lib/libapp.so.1.2", "libapp.so.1.2": "lib/libapp.so.1.2"},
                "added": ["libapp.so.1", "libapp.so.1.2"],
                "changed": [],
                "removed": [],
                "python": "wrapped",
            },
            {
                "name": "fw",
                "links": {"libfw.so": "lib/libfw.so"},
                "added": ["libfw.so"],
                "changed": [],
                "removed": [],
                "python": "wrapped",
            },
        ],
        "shadowed": [],
    });
    assert_eq!(said, expected);
}

#[test]
fn of_a_layer_for_macos_it_says_that_libraries_are_not_read() {
    let made = Made::new();
    fs::write(made.path("fw/lib/libpython3.11.dylib"), "").unwrap();
    let expected = "no links, as Mach-O is not read, bin/python wrapped\n";
    assert_eq!(made.good(&[]), format!("app: {expected}fw: {expected}"));
    for layer in ["app", "fw"] {
        let text = fs::read_to_string(made.path(&format!("{layer}/bin/python"))).unwrap();
        assert!(text.contains("export DYLD_LIBRARY_PATH="), "{text}");
        assert!(!made.path(&format!("{layer}/share/venv/dynlib/libfw.so")).exists());
    }
    let said: serde_json::Value = serde_json::from_str(&made.good(&["--json"])).unwrap();
    assert_eq!((&said["layers"][0]["links"], &said["layers"][0]["python"]), (&().into(), &"unchanged".into()));
}

#[test]
fn a_layer_as_venvstacks_left_it_is_taken_over() {
    let (made, plain) = (Made::of_venvstacks(), Made::new());
    let said = made.good(&[]);
    assert!(said.contains("app: 2 links (2 new, 1 removed), bin/python taken over from venvstacks\n"), "{said}");
    plain.good(&[]);
    for layer in ["app", "fw"] {
        assert_eq!(made.state(layer), plain.state(layer));
    }
    let before = made.times();
    made.good(&[]);
    assert_eq!(made.times(), before);
}

/// Kills a run before each change that it would make, and looks at each layer.
fn killed_anywhere(make: impl Fn() -> Made) {
    let old = make();
    let old = ["app", "fw"].map(|layer| old.state(layer));
    let new = make();
    new.good(&[]);
    let new = ["app", "fw"].map(|layer| new.state(layer));
    let mut seen = Vec::new();
    for call in CHANGES {
        for at in 1.. {
            let made = make();
            let inject = format!("--inject={call}:signal=SIGKILL:when={at}");
            let output = made.link(&["strace", "-qq", "-o", "/dev/null", &inject], &[]);
            let state = ["app", "fw"].map(|layer| made.state(layer));
            for layer in [0, 1] {
                let (state, old, new) = (&state[layer], &old[layer], &new[layer]);
                let told = || format!("before {call} {at}: {state:?}");
                assert!([&old.links, &new.links].contains(&&state.links), "{}", told());
                assert!([&old.home, &new.home].contains(&&state.home), "{}", told());
                assert!([&old.started, &new.started].contains(&&state.started), "{}", told());
                // A wrapper is never there without the links that it leads to.
                assert!(state.started == old.started || state.links == new.links, "{}", told());
            }
            made.good(&[]);
            assert_eq!(["app", "fw"].map(|layer| made.state(layer)), new, "after {call} {at}");
            assert_eq!(made.leftovers(), [] as [PathBuf; 0]);
            if output.status.success() {
                break;
            }
            // timeout ends as what it has started.
            assert_eq!(output.status.signal().or(output.status.code()), Some(9), "{output:?}");
            seen.push(state);
        }
    }
    for layer in [0, 1] {
        assert!(
            seen.iter().any(|state| state[layer] == old[layer]) && seen.iter().any(|state| state[layer] == new[layer])
        );
    }
    assert!(seen.len() > 10, "only {} changes were seen", seen.len());
}

#[test]
fn a_first_run_that_is_killed_leaves_each_layer_as_it_was_or_linked() {
    // A wrapper is never there before the home, without which it starts nothing.
    killed_anywhere(Made::moved);
    let made = Made::moved();
    made.good(&[]);
    assert_eq!(made.state("app").home.as_deref(), Some("home = /fw/bin\n"));
}

#[test]
fn a_run_that_is_killed_while_it_takes_over_leaves_each_layer_as_it_was_or_linked() {
    killed_anywhere(|| {
        let made = Made::of_venvstacks();
        // So that its names start its wrapper, as they do.
        for (layer, name) in [("app", "python3"), ("app", "python3.11"), ("fw", "python3"), ("fw", "python3.11")] {
            let path = made.path(&format!("{layer}/bin/{name}"));
            fs::remove_file(&path).unwrap();
            symlink("python", path).unwrap();
        }
        made
    });
}

#[test]
fn a_later_run_that_is_killed_leaves_the_old_links_or_the_new_ones() {
    killed_anywhere(|| {
        let made = Made::new();
        made.good(&[]);
        made.library("app/lib/libmore.so", "libmore.so");
        made.library("fw/lib/libmore.so", "libmore.so");
        fs::remove_file(made.path("fw/lib/libfw.so")).unwrap();
        made
    });
}

#[test]
fn where_folders_cannot_be_exchanged_links_are() {
    let (made, plain) = (Made::of_venvstacks(), Made::new());
    let inject = "--inject=renameat2:error=EINVAL";
    let output = made.link(&["strace", "-qq", "-o", "/dev/null", inject], &[]);
    assert!(output.status.success(), "{output:?}");
    plain.good(&[]);
    for layer in ["app", "fw"] {
        assert_eq!(made.state(layer), plain.state(layer));
    }
    assert_eq!(made.leftovers(), [] as [PathBuf; 0]);
}

/// As somebody who may read the layers, and change one of them only.
#[test]
fn a_layer_that_cannot_be_written_is_named_and_no_other_is_changed() {
    let made = Made::new();
    let mode = |path: &str, mode| fs::set_permissions(made.path(path), fs::Permissions::from_mode(mode)).unwrap();
    let run = || layers_as_nobody(&made.path(""), &["link", "stack.toml"]);
    let dry_run = || layers_as_nobody(&made.path(""), &["link", "--dry-run", "stack.toml"]);
    let old = ["app", "fw"].map(|layer| made.state(layer));
    for refused in ["fw", "fw/bin", "app", "app/bin"] {
        for path in ["app", "app/bin", "fw", "fw/bin"] {
            mode(path, if path == refused { 0o555 } else { 0o777 });
        }
        let output = run();
        let said = String::from_utf8(output.stderr).unwrap();
        let layer = refused.split('/').next().unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let named = format!("layer `{layer}`: {}: cannot be written: permission denied", made.path(refused).display());
        assert!(said.contains(&named), "{said}");
        assert!(said.contains("run as its owner, or link a copy of the layer"), "{said}");
        assert_eq!(["app", "fw"].map(|layer| made.state(layer)), old, "{refused}");
        assert_eq!(made.leftovers(), [] as [PathBuf; 0]);
        // What a run may have begun with.
        assert!(["app/share", "fw/share"].iter().all(|folder| !made.path(folder).exists()), "{refused}");
        let output = dry_run();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), said));
    }
    mode("app/bin", 0o777);
    assert!(dry_run().status.success());
    assert!(run().status.success());
    // What is linked already needs no permission.
    for path in ["app", "app/bin", "fw", "fw/bin"] {
        mode(path, 0o555);
    }
    assert!(run().status.success());
}
