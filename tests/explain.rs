//! `dlcast explain` from outside: what it prints, its exit codes, and that it says what ld.so says.

use std::path::Path;
use std::process::{Command, Output};

fn dlcast() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlcast"));
    command.env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").arg("explain");
    command
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn cc(arguments: &[&str]) {
    let output = Command::new("cc").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

/// liba.so, which needs libdlcastb.so, which is in another folder.
fn library(dir: &Path) -> String {
    let text = |name: &str| dir.join(name).display().to_string();
    std::fs::create_dir(dir.join("b")).unwrap();
    std::fs::write(dir.join("empty.c"), "int dlcast_nothing;\n").unwrap();
    cc(&["-shared", "-fPIC", "-o", &text("b/libdlcastb.so"), &text("empty.c")]);
    let (a, b) = (text("liba.so"), format!("-L{}", text("b")));
    cc(&["-shared", "-fPIC", "-o", &a, &text("empty.c"), "-Wl,--no-as-needed", &b, "-ldlcastb"]);
    a
}

#[test]
fn a_missing_library_is_told_place_by_place_and_the_exit_code_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let a = library(dir.path());
    let output = dlcast().arg(&a).output().unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "needs libdlcastb.so: NOT FOUND\n",
        "cache: /etc/ld.so.cache: not in the cache\n",
        "ld.so says: libdlcastb.so: cannot open shared object file: No such file or directory\n",
        "needs libc.so.6",
        "\nnot found: libdlcastb.so; ",
        "\nway out, libdlcastb.so:\n  - no file of that name is known here: install",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
    let b = dir.path().join("b");
    let output = dlcast().env("LD_LIBRARY_PATH", &b).arg(&a).output().unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains(&format!("LD_LIBRARY_PATH: {}: found\n", b.join("libdlcastb.so").display())), "{text}");
}

#[test]
fn json_has_the_whole_search() {
    let dir = tempfile::tempdir().unwrap();
    let a = library(dir.path());
    let output = dlcast().arg(&a).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["version"], &json["kind"]), (&1.into(), &"library".into()));
    let object = &json["objects"][0];
    assert_eq!(object["missing"], serde_json::json!(["libdlcastb.so"]));
    let searches = object["searches"].as_array().unwrap();
    let missing = searches.iter().find(|search| search["name"] == "libdlcastb.so").unwrap();
    assert_eq!((&missing["outcome"], &missing["needed_by"]), (&"not found".into(), &a.into()));
    assert!(missing["tried"].as_array().unwrap().iter().any(|tried| tried["rule"] == "cache"));
}

#[test]
fn a_module_is_found_by_the_python_in_path() {
    let dir = tempfile::tempdir().unwrap();
    let a = library(dir.path());
    let package = dir.path().join("dlcast_pkg");
    std::fs::create_dir(&package).unwrap();
    // Code of a package is not run to find what is in it.
    std::fs::write(package.join("__init__.py"), "raise SystemExit('was run')\n").unwrap();
    std::fs::copy(&a, package.join("ext.abi3.so")).unwrap();
    let ask = |name: &str| dlcast().env("PYTHONPATH", dir.path()).arg(name).output().unwrap();
    for (name, what) in [("dlcast_pkg.ext", "ext.abi3.so\n"), ("dlcast_pkg", "__init__.py, with one object: ")] {
        let output = ask(name);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.starts_with(&format!("module `{name}` is ")) && text.contains(what), "{text}");
        assert!(text.contains("needs libdlcastb.so: NOT FOUND"), "{text}");
    }
    let output = ask("json");
    assert_eq!(output.status.code(), Some(0));
    assert!(told(&output).contains("no object that ld.so would open"), "{}", told(&output));
    let output = ask("dlcast_no_such_module");
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("no module `dlcast_no_such_module` for /"), "{}", told(&output));
}

#[test]
fn what_is_nothing_is_told_in_a_line() {
    for (asked, says) in [
        ("", "an empty name is no library"),
        ("./no-such-file.so", "No such file or directory"),
        ("/", "not a regular file"),
        ("/dev/null", "not a regular file"),
    ] {
        let output = dlcast().arg(asked).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = told(&output);
        assert!(text.starts_with("dlcast: ") && text.lines().count() == 1 && text.contains(says), "{text}");
    }
}

/// What is no program of this machine, or no program at all, is said to be so by name.
#[test]
fn the_program_that_opens_can_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let a = library(dir.path());
    let b = format!("-Wl,--disable-new-dtags,-rpath,{}", dir.path().join("b").display());
    let (program, source) = (dir.path().join("program"), dir.path().join("main.c"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    cc(&["-o", program.to_str().unwrap(), source.to_str().unwrap(), &b]);
    let output = dlcast().arg(&a).arg("--program").arg(&program).output().unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains(&format!("RPATH of {}: ", program.display())), "{text}");
    let output = dlcast().arg(&a).args(["--program", "dlcast-no-such-program"]).output().unwrap();
    assert!(told(&output).contains("dlcast-no-such-program: no such program in PATH"), "{}", told(&output));
}
