//! Layouts of `bin` as they are found, with `cat` in place of Python: it tells the name that it was started by.

use std::process::Command;

use super::*;
use crate::layers::stack::Platform;
use crate::layers::wrapper::tests::ended;
use crate::layers::wrapper::text;

struct Made {
    folder: tempfile::TempDir,
}

const ENVIRONMENT: &[&str] = &["python", "python3", "python3.11"];

/// What venvstacks puts there.
const VENVSTACKS: &str = r#"#!/usr/bin/bash
# Allow extension modules to find shared libraries published by lower layers
exec -a "$0" "${0%/*}/python_" "$@"
"#;

impl Made {
    /// A layer whose `bin` has these names: `-> target`, `script text` or a copy of a program.
    fn new(names: &[(&str, &str)], is_environment: bool) -> Made {
        let made = Made { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(made.bin()).unwrap();
        fs::create_dir_all(made.root().join("outside")).unwrap();
        fs::copy("/bin/cat", made.root().join("outside/python3.11")).unwrap();
        symlink("python3.11", made.root().join("outside/python")).unwrap();
        if is_environment {
            fs::write(made.layer().join("pyvenv.cfg"), "home = /usr/bin\n").unwrap();
        }
        for (name, what) in names {
            let path = made.bin().join(name);
            match what.strip_prefix("-> ") {
                Some(target) => {
                    symlink(target.replace("OUTSIDE", made.root().join("outside").to_str().unwrap()), path).unwrap()
                }
                None if what.starts_with('/') => drop(fs::copy(what, path).unwrap()),
                None => {
                    fs::write(&path, what).unwrap();
                    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
        }
        made
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn layer(&self) -> PathBuf {
        self.root().join("layer")
    }

    fn bin(&self) -> PathBuf {
        self.layer().join("bin")
    }

    fn plan(&self, roots: &[PathBuf]) -> Result<Placement, WrapperError> {
        let text = text(Platform::Posix, &self.layer(), &[]).unwrap();
        plan(&self.layer(), roots, text)
    }

    /// Puts the wrapper there, and checks that there is nothing left to do.
    fn place(&self, roots: &[PathBuf]) -> Placement {
        let placement = self.plan(roots).unwrap();
        placement.prepare().unwrap();
        placement.carry_out().unwrap();
        let again = self.plan(roots).unwrap();
        assert!(again.is_done(), "{again:?}");
        placement
    }

    /// The name by which a start of this name is known to the program behind.
    fn start(&self, name: &str) -> String {
        let mut command = Command::new("timeout");
        let output = ended(command.arg("60").arg(self.bin().join(name)).arg("/proc/self/cmdline"));
        assert!(output.status.success(), "{name}: {output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.split('\0').next().unwrap().replace(self.layer().to_str().unwrap(), "LAYER")
    }

    fn says(&self, name: &str) -> String {
        let says = fs::read_link(self.bin().join(name)).unwrap();
        says.to_str().unwrap().replace(self.root().to_str().unwrap(), "ROOT")
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.bin()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// All ways in which the layouts below make an environment.
fn environments() -> Vec<Vec<(&'static str, &'static str)>> {
    vec![
        // python3.11 -m venv
        vec![("python3.11", "-> OUTSIDE/python3.11"), ("python", "-> python3.11"), ("python3", "-> python3.11")],
        // python -m venv, uv venv
        vec![("python", "-> OUTSIDE/python"), ("python3", "-> python"), ("python3.11", "-> python")],
        // python3 -m venv
        vec![("python3", "-> OUTSIDE/python"), ("python", "-> python3"), ("python3.11", "-> python3")],
        // Without a python at all.
        vec![("python3", "-> OUTSIDE/python"), ("python3.11", "-> python3")],
        // -m venv --copies
        vec![("python", "/bin/cat"), ("python3", "/bin/cat"), ("python3.11", "/bin/cat")],
        vec![("python3.11", "/bin/cat"), ("python", "-> python3.11"), ("python3", "-> python3.11")],
        // venvstacks, with libraries and without
        vec![
            ("python_", "-> OUTSIDE/python"),
            ("python", VENVSTACKS),
            ("python3", "-> python"),
            ("python3.11", "-> python"),
        ],
        vec![
            ("python_", "-> python"),
            ("python", "-> OUTSIDE/python"),
            ("python3", "-> python"),
            ("python3.11", "-> python"),
        ],
        // The wrapper, and the other names made anew by python -m venv --upgrade.
        vec![("python_", "-> OUTSIDE/python"), ("python", VENVSTACKS), ("python3", "-> OUTSIDE/python3.11")],
    ]
}

#[test]
fn every_name_of_an_environments_python_starts_the_wrapper() {
    for layout in environments() {
        let made = Made::new(&layout, true);
        made.place(&[made.layer()]);
        for name in ENVIRONMENT.iter().filter(|name| layout.iter().any(|(there, _)| there == *name)) {
            assert_eq!(made.start(name), "LAYER/bin/python", "{name} of {layout:?}");
            assert!(*name == "python" || made.says(name) == "python", "{name} of {layout:?}");
        }
        assert_eq!(made.start("python_"), "LAYER/bin/python_");
        assert!(made.names().iter().all(|name| !name.starts_with('.')), "{:?}", made.names());
    }
}

/// What is done before the last step is not seen: until then every name starts what it did before.
#[test]
fn a_run_that_is_interrupted_has_wrapped_no_name_or_all() {
    for layout in environments() {
        let roots = |made: &Made| [made.layer()];
        let steps = { |made: Made| made.plan(&roots(&made)).unwrap().links.len() }(Made::new(&layout, true));
        for done in 0..=steps {
            let made = Made::new(&layout, true);
            let names = ENVIRONMENT.iter().filter(|name| layout.iter().any(|(there, _)| there == *name));
            let before: Vec<(&str, String)> = names.map(|name| (*name, made.start(name))).collect();
            let mut placement = made.plan(&roots(&made)).unwrap();
            placement.prepare().unwrap();
            placement.script = None;
            placement.links.truncate(done);
            placement.carry_out().unwrap();
            for (name, before) in &before {
                // Those that went around venvstacks' wrapper go by it now.
                let by_venvstacks = made.plan(&roots(&made)).unwrap().before == Some(Kind::Venvstacks);
                assert!(made.start(name) == *before || by_venvstacks, "{name} of {layout:?} after {done} steps");
            }
            // The next run does the rest.
            made.place(&roots(&made));
            assert!(made.names().iter().all(|name| !name.starts_with('.')), "{:?}", made.names());
            for (name, _) in before {
                assert_eq!(made.start(name), "LAYER/bin/python", "{name} of {layout:?} after {done} steps");
            }
        }
    }
}

#[test]
fn an_installation_keeps_the_names_that_others_have_links_to() {
    let layout = [("python3.11", "/bin/cat"), ("python", "-> python3.11"), ("python3", "-> python3.11")];
    let made = Made::new(&layout, false);
    made.place(&[made.layer()]);
    assert_eq!(made.start("python"), "LAYER/bin/python");
    assert_eq!(made.start("python3.11"), "LAYER/bin/python3.11");
    assert_eq!((made.says("python3"), made.says("python_")), ("python3.11".into(), "python3.11".into()));
    assert!(!made.bin().join("python3.11").is_symlink());
}

#[test]
fn the_interpreter_of_another_layer_moves_along() {
    for target in ["OUTSIDE/python", "OUTSIDE/python3.11", "../../outside/python3.11"] {
        let layout = [("python", format!("-> {target}")), ("python3", "-> python".into())];
        let layout: Vec<(&str, &str)> = layout.iter().map(|(name, what)| (*name, what.as_str())).collect();
        let made = Made::new(&layout, true);
        let outside = made.root().join("outside");
        // As long as that is no layer, the link stays as it was.
        made.place(&[made.layer()]);
        assert_eq!(made.says("python_"), target.replace("OUTSIDE", "ROOT/outside"));
        made.place(&[made.layer(), outside]);
        assert_eq!(made.says("python_"), "../../outside/python3.11");
        assert_eq!(made.start("python3"), "LAYER/bin/python");
    }
}

#[test]
fn a_wrapper_behind_is_passed_over() {
    let made = Made::new(&[("python", "-> OUTSIDE/python"), ("python3", "-> python")], true);
    let outside = made.root().join("outside");
    fs::remove_file(outside.join("python")).unwrap();
    fs::write(outside.join("python"), VENVSTACKS).unwrap();
    symlink("python3.11", outside.join("python_")).unwrap();
    made.place(&[made.layer()]);
    assert_eq!(made.says("python_"), "ROOT/outside/python3.11");
    assert_eq!(made.start("python3"), "LAYER/bin/python");
}

#[test]
fn names_of_other_interpreters_stay() {
    let layout = [
        ("python", "-> OUTSIDE/python"),
        ("python2", "-> /bin/true"),
        ("python3.12", "/bin/true"),
        ("python3", "-> nowhere"),
    ];
    let made = Made::new(&layout, true);
    made.place(&[made.layer()]);
    assert_eq!((made.says("python2"), made.says("python3")), ("/bin/true".into(), "nowhere".into()));
    assert!(!made.bin().join("python3.12").is_symlink());
}

#[test]
fn a_wrapper_that_was_changed_is_mended() {
    let made = Made::new(&environments()[0], true);
    made.place(&[made.layer()]);
    let python = made.bin().join("python");
    let text = fs::read(&python).unwrap();
    fs::write(&python, [&text[..], b"# more"].concat()).unwrap();
    assert!(!made.plan(&[made.layer()]).unwrap().is_done());
    made.place(&[made.layer()]);
    assert_eq!(fs::read(&python).unwrap(), text);
    fs::set_permissions(&python, fs::Permissions::from_mode(0o644)).unwrap();
    made.place(&[made.layer()]);
    assert_eq!(made.start("python3"), "LAYER/bin/python");
}

#[test]
fn what_is_no_interpreter_is_told_with_the_way_out() {
    for (layout, says) in [
        (&[][..], "bin/python: leads to no interpreter"),
        (&[("pip", "/bin/cat")], "bin/python: leads to no interpreter"),
        (&[("python", "#!/bin/sh\nexec other\n")], "bin/python: a script that neither dlcast nor venvstacks has made"),
        (&[("python", "-> python3"), ("python3", "#!/bin/sh\n")], "bin/python3: a script that neither"),
        (&[("python", "-> nowhere")], "bin/python: leads to no interpreter"),
        (&[("python", VENVSTACKS)], "bin/python: leads to no interpreter"),
        (&[("python", "-> python3"), ("python3", "-> python")], "bin/python: leads back to itself"),
        (&[("python", VENVSTACKS), ("python_", "-> python")], "bin/python: leads back to itself"),
    ] {
        let made = Made::new(layout, true);
        let said = made.plan(&[made.layer()]).unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
    }
    let made = Made::new(&environments()[0], true);
    fs::rename(made.bin(), made.root().join("elsewhere")).unwrap();
    symlink("../elsewhere", made.bin()).unwrap();
    let said = made.plan(&[made.layer()]).unwrap_err().to_string();
    assert!(said.contains("leads to") && said.contains("elsewhere"), "{said}");
}
