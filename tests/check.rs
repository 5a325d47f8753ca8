//! `dlcast layers check`, and `dlcast explain` in a stack, from outside: what they print, and their exit codes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn dlcast(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlcast"));
    let output = command.env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").args(arguments).output().unwrap();
    (output.status.code().unwrap(), told(&output))
}

/// The same with nothing else in PATH.
fn dlcast_beside(programs: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlcast"));
    command.env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").env("PATH", programs);
    let output = command.args(arguments).output().unwrap();
    (output.status.code().unwrap(), told(&output))
}

fn cc(arguments: &[&str]) {
    let output = Command::new("cc").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

/// `app`, whose module `pkg.ext` needs libdlcastb.so.1; `fw` has it, and `app` uses `fw` if so asked.
struct Made {
    dir: tempfile::TempDir,
}

const SITE: &str = "lib/python3.11/site-packages";

impl Made {
    fn new(uses: &str) -> Made {
        let made = Made { dir: tempfile::tempdir().unwrap() };
        let text = |name: &str| made.path(name).display().to_string();
        std::fs::write(made.path("main.c"), "int main(void) { return 0; }\n").unwrap();
        std::fs::write(made.path("b.c"), "int dlcast_b;\n").unwrap();
        std::fs::write(made.path("ext.c"), "void *PyInit_ext(void) { return 0; }\n").unwrap();
        for layer in ["app", "fw"] {
            std::fs::create_dir_all(made.path(layer).join(SITE).join("pkg")).unwrap();
            std::fs::create_dir_all(made.path(layer).join("bin")).unwrap();
            cc(&["-o", &text(&format!("{layer}/bin/python3.11")), &text("main.c")]);
            symlink("python3.11", made.path(layer).join("bin/python")).unwrap();
        }
        let (b, ext) = (format!("fw/{SITE}/pkg/libdlcastb.so.1"), format!("app/{SITE}/pkg/ext.abi3.so"));
        cc(&["-shared", "-fPIC", "-o", &text(&b), &text("b.c"), "-Wl,-soname,libdlcastb.so.1"]);
        cc(&["-shared", "-fPIC", "-o", &text(&ext), &text("ext.c"), "-Wl,--no-as-needed", &text(&b)]);
        let stack = format!(
            "[[layer]]\nname = \"app\"\npath = \"app\"\nuses = [{uses}]\n[[layer]]\nname = \"fw\"\npath = \"fw\"\nuses = []\n"
        );
        std::fs::write(made.path("stack.toml"), stack).unwrap();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn check(&self, more: &[&str]) -> (i32, String) {
        let stack = self.path("stack.toml");
        dlcast(&[&["layers", "check", stack.to_str().unwrap()], more].concat())
    }

    fn explain(&self, what: &str, more: &[&str]) -> (i32, String) {
        let stack = self.path("stack.toml");
        dlcast(&[&["explain", what, "--stack", stack.to_str().unwrap()], more].concat())
    }

    fn link(&self) {
        let (code, text) = dlcast(&["layers", "link", self.path("stack.toml").to_str().unwrap()]);
        assert_eq!(code, 0, "{text}");
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

#[test]
fn a_stack_that_is_not_linked_is_a_problem_and_a_linked_one_is_not() {
    let made = Made::new("\"fw\"");
    let (code, text) = made.check(&[]);
    assert_eq!(code, 1, "{text}");
    has(
        &text,
        &[
            "stack.toml: 2 layers, ",
            "not linked, or not as it would be now: `app`, `fw`; run dlcast layers link ",
            "problem: libdlcastb.so.1 is not found as the stack is now\n",
            "  needed by `app` lib/python3.11/site-packages/pkg/ext.abi3.so\n",
            "  way out: layer `fw` has it (",
            "\n1 problem, no warning",
        ],
    );
    // In the process nothing has to be linked.
    assert_eq!(made.check(&["--in-process"]).0, 0);
    assert_eq!(made.check(&["--ignore", "pkg/ext.*"]).0, 0);
    assert_eq!(made.check(&["--ignore", "libdlcastb.so.*"]).0, 0);
    assert_eq!(made.check(&["--ignore", "[a"]).0, 1);
    made.link();
    let (code, text) = made.check(&["--all"]);
    assert_eq!(code, 0, "{text}");
    has(
        &text,
        &["ext.abi3.so needs libdlcastb.so.1: `fw` ", "(link); without links: not found\n", "\nno problem, no warning"],
    );
}

#[test]
fn a_layer_that_is_not_used_is_named() {
    let made = Made::new("");
    made.link();
    let (code, text) = made.check(&[]);
    assert_eq!(code, 1, "{text}");
    has(
        &text,
        &[
            "problem: libdlcastb.so.1 is not found\n",
            "layer `fw` has it, which `app` does not use: ",
            "name it in `uses`",
        ],
    );
    let (code, text) = made.check(&["--json"]);
    assert_eq!(code, 1);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["version"], &json["problems"]), (&1.into(), &1.into()));
    let needs = json["needs"].as_array().unwrap();
    let one = needs.iter().find(|need| need["needs"] == "libdlcastb.so.1").unwrap();
    assert_eq!(
        (&one["problem"], &one["layer"], &one["linked"]["found"]),
        (&"missing".into(), &"app".into(), &().into())
    );
    assert_eq!((&one["has"][0]["layer"], &one["has"][0]["state"]), (&"fw".into(), &"not used".into()));
}

#[test]
fn a_damaged_file_is_blamed_and_not_the_layers() {
    let made = Made::new("\"fw\"");
    let b = made.path(&format!("fw/{SITE}/pkg/libdlcastb.so.1"));
    let good = std::fs::read(&b).unwrap();
    std::fs::write(&b, &good[..good.len() / 2]).unwrap();
    for more in [&[][..], &["--in-process"]] {
        let (code, text) = made.check(more);
        assert_eq!(code, 1, "{text}");
        let blamed = "  way out: layer `fw` has a file of that name, which is damaged (truncated: ";
        has(
            &text,
            &["problem: libdlcastb.so.1 is not found\n", blamed, &format!(": {}; put a sound one", b.display())],
        );
    }
    let (_, text) = made.check(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let one = json["needs"].as_array().unwrap().iter().find(|need| need["needs"] == "libdlcastb.so.1").unwrap();
    assert_eq!(one["has"][0]["state"], "broken");
    assert!(one["has"][0]["what"].as_str().unwrap().starts_with("damaged (truncated"), "{one}");
    let (code, text) = made.explain("pkg.ext", &[]);
    assert_eq!(code, 1);
    has(&text, &["layer `fw` has a file of that name, which is damaged (truncated: "]);
}

#[test]
fn what_is_the_hosts_or_shadowed_or_hidden_is_told_and_a_problem_where_one_asks() {
    let made = Made::new("\"fw\"");
    let text = |name: &str| made.path(name).display().to_string();
    // A library that every host with glibc has, and Python has not loaded.
    let host = "libmemusage.so";
    let (own, ext) = (format!("fw/{SITE}/pkg/{host}"), format!("app/{SITE}/pkg/trapped.abi3.so"));
    cc(&["-shared", "-fPIC", "-o", &text(&own), &text("b.c"), &format!("-Wl,-soname,{host}")]);
    cc(&["-shared", "-fPIC", "-o", &text(&ext), &text("ext.c"), "-Wl,--no-as-needed", &text(&own)]);
    // And one of the app's own in front of the framework's.
    let above = format!("app/{SITE}/pkg/libdlcastb.so.1");
    cc(&["-shared", "-fPIC", "-o", &text(&above), &text("main.c"), "-Wl,-soname,libdlcastb.so.1"]);
    std::fs::create_dir(made.path("tools")).unwrap();
    cc(&["-o", &text("tools/tool"), &text("main.c"), "-Wl,--no-as-needed", &text(&own)]);
    let check = |more: &[&str]| {
        let stack = text("stack.toml");
        let arguments = [&["layers", "check", &stack], more].concat();
        dlcast_beside(&made.path("tools"), &arguments)
    };

    let (code, said) = check(&[]);
    assert_eq!(code, 1, "{said}");
    has(&said, &["problem: libmemusage.so is the host's as the stack is now: ", "way out: layer `fw` has it ("]);
    made.link();
    let (code, said) = check(&[]);
    assert_eq!(code, 0, "{said}");
    has(
        &said,
        &[
            "warning: libmemusage.so is the host's without links and wrapper: ",
            "shadowed: libdlcastb.so.1 in `app`: lib/python3.11/site-packages/pkg/libdlcastb.so.1 of `app` hides the different ",
            "warning: links of `fw` hide libraries of the host from programs that inherit LD_LIBRARY_PATH\n  libmemusage.so for ",
            &format!(": {}\n", text("tools/tool")),
            "\nno problem, 3 warnings",
        ],
    );
    assert_eq!(check(&["--strict"]).0, 1);
}

#[test]
fn links_that_break_the_layers_own_python_are_a_problem() {
    let made = Made::new("\"fw\"");
    let text = |name: &str| made.path(name).display().to_string();
    // A library that every host with glibc has, and this Python needs.
    let host = "libmemusage.so";
    let own = format!("fw/{SITE}/pkg/{host}");
    cc(&["-shared", "-fPIC", "-o", &text(&own), &text("b.c"), &format!("-Wl,-soname,{host}")]);
    std::fs::create_dir(made.path("tools")).unwrap();
    cc(&["-o", &text("tools/python3.11"), &text("main.c"), "-Wl,--no-as-needed", &text(&own)]);
    std::fs::remove_file(made.path("app/bin/python3.11")).unwrap();
    symlink(made.path("tools/python3.11"), made.path("app/bin/python3.11")).unwrap();
    made.link();
    let check = |more: &[&str]| {
        let stack = text("stack.toml");
        dlcast_beside(&made.path("fw/bin"), &[&["layers", "check", &stack], more].concat())
    };
    let (code, said) = check(&[]);
    assert_eq!(code, 1, "{said}");
    let way =
        format!("  way out: name {SITE}/pkg/{host} in the `dynlib_exclude` of `fw`; or call dlcast.layers.activate");
    has(
        &said,
        &[
            "problem: a link of `fw` hides libmemusage.so of the host from the Python of `app`, which is the host's\n",
            &format!("  needed by {} as ", text("tools/python3.11")),
            &way,
            "\n1 problem, ",
        ],
    );
    let (_, json) = check(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["problems"], &json["interpreters"][0]["file"]), (&1.into(), &text(&own).into()));
    for more in [&["--ignore", host][..], &["--in-process"]] {
        assert_eq!(check(more).0, 0, "{more:?}");
    }
}

#[test]
fn explain_looks_where_the_layers_python_looks() {
    let made = Made::new("\"fw\"");
    let (code, text) = made.explain("pkg.ext", &[]);
    assert_eq!(code, 1, "{text}");
    has(
        &text,
        &[
            "is opened by the Python of layer `app`, ",
            "needs libdlcastb.so.1: NOT FOUND",
            "layer `fw` has it: ",
            "dlcast layers link ",
            "dlcast.layers.activate(",
        ],
    );
    made.link();
    let (code, text) = made.explain("pkg.ext", &[]);
    assert_eq!(code, 0, "{text}");
    has(&text, &["/fw/share/venv/dynlib/libdlcastb.so.1: found"]);
    // The same by a path, and by the name of the library.
    let ext = made.path(&format!("app/{SITE}/pkg/ext.abi3.so"));
    assert_eq!(made.explain(ext.to_str().unwrap(), &[]).0, 0);
    assert_eq!(made.explain("libdlcastb.so.1", &[]).0, 0);
    let (code, text) = made.explain("pkg.ext", &["--layer", "fw"]);
    assert_eq!(code, 1);
    has(&text, &["no module `pkg.ext` in layer `fw` and those that it uses"]);
    let (code, text) = made.explain("pkg.ext", &["--layer", "none"]);
    assert_eq!(code, 1);
    has(&text, &["no layer `none`; there are app, fw"]);
}

/// Its package chooses by a finder of its own: all are told in full, whether something lacks or not.
#[test]
fn the_files_that_a_package_chooses_from_are_told() {
    let made = Made::new("\"fw\"");
    made.link();
    let pkg = made.path("app").join(SITE).join("pkg");
    for kind in ["one", "two"] {
        std::fs::copy(pkg.join("ext.abi3.so"), pkg.join(format!("mpi.{kind}.abi3.so"))).unwrap();
    }
    let (code, text) = made.explain("pkg.mpi", &[]);
    assert_eq!(code, 0, "{text}");
    let [one, two] = ["one", "two"].map(|kind| pkg.join(format!("mpi.{kind}.abi3.so")).display().to_string());
    has(&text, &[&format!("module `pkg.mpi` is chosen by its package from 2 files:\n  {one}\n  {two}\nis opened by ")]);
    for file in [one, two] {
        has(&text, &[&format!("\n{file}\n  needs libdlcastb.so.1\n")]);
    }
}

/// A script that the project itself has made is no text in the way.
#[test]
fn the_wrapper_of_a_layer_is_explained_by_what_it_starts() {
    let made = Made::new("\"fw\"");
    made.link();
    let (wrapper, real) = (made.path("app/bin/python"), made.path("app/bin/python3.11").display().to_string());
    let (code, text) = made.explain(wrapper.to_str().unwrap(), &[]);
    assert_eq!(code, 0, "{text}");
    has(&text, &[&format!("starts {real}, the Python of layer `app`; LD_LIBRARY_PATH="), "app/share/venv/dynlib:"]);
    // Without the stack it is asked; this one is no Python.
    let asked = [
        &["explain", wrapper.to_str().unwrap()][..],
        &["explain", "libz.so.1", "--program", wrapper.to_str().unwrap()],
    ];
    for (arguments, starts) in asked.into_iter().zip(["starts ", "is opened by "]) {
        let (_, text) = dlcast(arguments);
        has(&text, &[&format!("{starts}{real}"), "is no Python", "which does not say what it adds to LD_LIBRARY_PATH"]);
    }
}

#[test]
fn what_is_no_stack_is_told() {
    for arguments in [&["layers", "check", "/nowhere"][..], &["explain", "libz.so.1", "--stack", "/nowhere"]] {
        let (code, text) = dlcast(arguments);
        assert_eq!(code, 1);
        assert!(text.starts_with("dlcast: ") && text.contains("/nowhere"), "{text}");
    }
}

/// No name of a file makes a terminal do something.
#[test]
fn names_of_files_are_printed_harmlessly() {
    let made = Made::new("\"fw\"");
    let site = made.path("app").join(SITE);
    std::fs::rename(site.join("pkg"), site.join("\u{1b}[31mpkg")).unwrap();
    let (_, text) = made.check(&["--all"]);
    assert!(!text.contains('\u{1b}') && text.contains("\u{fffd}[31mpkg"), "{text}");
    let path = site.join("\u{1b}[31mpkg/ext.abi3.so");
    assert!(Path::new(&path).is_file());
    let (_, text) = made.explain(path.to_str().unwrap(), &[]);
    assert!(!text.contains('\u{1b}') && text.contains("NOT FOUND"), "{text}");
}
