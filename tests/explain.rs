//! `dlcast explain` from outside: what it prints, its exit codes, and that it says what ld.so says.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
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

fn script(path: &Path, text: &str) -> PathBuf {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_path_buf()
}

fn ask(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), told(&output))
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

/// A script that starts a Python is asked, wherever it is named: as the program, as what is to be explained, behind another script.
#[test]
fn a_wrapper_is_the_python_that_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let a = library(dir.path());
    let b = dir.path().join("b").display().to_string();
    std::fs::create_dir(dir.path().join("modules")).unwrap();
    std::fs::copy(&a, dir.path().join("modules/dlcast_ext.abi3.so")).unwrap();
    let modules = dir.path().join("modules").display().to_string();
    let text = format!("#!/bin/bash -p\nexport LD_LIBRARY_PATH='{b}' PYTHONPATH='{modules}'\nexec python3 \"$@\"\n");
    let wrapper = script(&dir.path().join("bin/python"), &text);
    let tool = script(&dir.path().join("bin/tool"), &format!("#!{}\n", wrapper.display()));
    for program in [&wrapper, &tool] {
        let starts = format!(", which {} starts; LD_LIBRARY_PATH={b}\n", program.display());
        for asked in [a.as_str(), "dlcast_ext"] {
            let (code, text) = ask(dlcast().arg(asked).arg("--program").arg(program));
            assert_eq!(code, Some(0), "{text}");
            has(&text, &[&starts, "LD_LIBRARY_PATH: ", "libdlcastb.so: found\n"]);
        }
        let (code, text) = ask(dlcast().arg(program));
        assert_eq!(code, Some(0), "{text}");
        has(&text, &[&format!("{}\nstarts /", program.display()), &format!("; LD_LIBRARY_PATH={b}\n")]);
    }
    // The Python in PATH has no such module.
    assert_eq!(ask(dlcast().arg("dlcast_ext")).0, Some(1));
}

#[test]
fn any_other_script_is_what_runs_it_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let a = library(dir.path());
    let tool = script(&dir.path().join("python-config"), "#!/bin/sh\necho was run > \"$0.log\"\n");
    let (_, text) = ask(dlcast().arg(&a).arg("--program").arg(&tool));
    has(&text, &["is opened by /bin/sh, which runs the script ", "; what that starts is not known; "]);
    let (code, text) = ask(dlcast().arg(&tool));
    assert_eq!(code, Some(0), "{text}");
    has(&text, &["is run by /bin/sh; what it starts in turn is not known; "]);
    assert!(!dir.path().join("python-config.log").exists());
}

/// A program that says of itself what a Python would, which has a RUNPATH; `ctypes` is what it says of that.
fn fake_python(dir: &Path, ctypes: &str) -> PathBuf {
    let (program, source) = (dir.join("python3"), dir.join("python.c"));
    let told = format!("\\\"program\\\": \\\"{}\\\", \\\"ctypes\\\": \\\"{ctypes}\\\"", program.display());
    std::fs::write(&source, format!("#include <stdio.h>\nint main(void) {{ puts(\"dlcast {{{told}}}\"); }}\n"))
        .unwrap();
    let (program, source) = (program.to_str().unwrap(), source.to_str().unwrap());
    cc(&["-o", program, source, "-Wl,--enable-new-dtags,-rpath,$ORIGIN/b"]);
    program.into()
}

/// ctypes.CDLL searches from the module behind ctypes.
#[test]
fn a_bare_name_is_searched_for_as_ctypes_would() {
    let dir = tempfile::tempdir().unwrap();
    library(dir.path());
    let text = |name: &str| dir.path().join(name).display().to_string();
    let ctypes = text("_ctypes.abi3.so");
    let explain = |of_ctypes: &str| {
        let python = fake_python(dir.path(), of_ctypes);
        ask(dlcast().arg("libdlcastb.so").arg("--program").arg(python))
    };
    cc(&["-shared", "-fPIC", "-o", &ctypes, &text("empty.c")]);
    let (code, text_of) = explain(&ctypes);
    assert_eq!(code, Some(1), "{text_of}");
    has(&text_of, &[&format!("(by ctypes, which is {ctypes})"), "in the RUNPATH of ", "and not for what others open"]);
    cc(&["-shared", "-fPIC", "-o", &ctypes, &text("empty.c"), "-Wl,--enable-new-dtags,-rpath,$ORIGIN/b"]);
    let (code, text_of) = explain(&ctypes);
    assert_eq!(code, Some(0), "{text_of}");
    has(&text_of, &[&format!("RUNPATH of {ctypes}: ")]);
    let (code, text_of) = explain("built-in");
    assert_eq!(code, Some(0), "{text_of}");
    has(&text_of, &["RUNPATH of ", "/python3: "]);
}

/// The C library's development package has such files.
#[test]
fn a_text_for_the_linker_is_left_alone_where_it_names_a_library() {
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(text("empty.c"), "int dlcast_nothing;\n").unwrap();
    std::fs::create_dir(text("lib")).unwrap();
    let script = text("lib/libdlcastm.so");
    cc(&["-shared", "-fPIC", "-o", &script, &text("empty.c")]);
    cc(&["-shared", "-fPIC", "-o", &text("liba.so"), &text("empty.c"), "-Wl,--no-as-needed", &script]);
    // Without a SONAME its path is what is needed.
    cc(&["-shared", "-fPIC", "-o", &script, &text("empty.c"), "-Wl,-soname,libdlcastm.so"]);
    cc(&["-shared", "-fPIC", "-o", &text("liba.so"), &text("empty.c"), "-Wl,--no-as-needed", &script]);
    std::fs::write(&script, "/* GNU ld script */\nGROUP ( /lib/libdlcastm.so.6 AS_NEEDED ( /lib/libx.so.1 ) )\n")
        .unwrap();
    let explain = |asked: &str| ask(dlcast().env("LD_LIBRARY_PATH", text("lib")).arg(asked));
    for asked in ["libdlcastm.so", &script] {
        let (code, text) = explain(asked);
        assert_eq!(code, Some(1), "{text}");
        has(&text, &["stands for libdlcastm.so.6: ask for libdlcastm.so.6, and leave the file alone\n"]);
        assert!(!text.contains("take it away"), "{text}");
    }
    let (_, said) = explain(&text("liba.so"));
    has(&said, &[&format!("patchelf --replace-needed libdlcastm.so libdlcastm.so.6 {}", text("liba.so"))]);
    std::fs::write(&script, "GROUP ( -lx )\n").unwrap();
    has(&explain("libdlcastm.so").1, &["replace that file, or take it away\n"]);
}

/// Paths are bytes: in the variable, in an object's own path, in what Python says, in what is asked for.
#[test]
fn paths_that_are_no_text_are_searched() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join(OsStr::from_bytes(b"q\xff"));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("empty.c"), "int dlcast_nothing;\n").unwrap();
    std::fs::create_dir(dir.join("b")).unwrap();
    let cc = |out: &str, more: &[&OsStr]| {
        let mut cc = Command::new("cc");
        cc.current_dir(&dir).args(["-shared", "-fPIC", "-o", out, "empty.c", "-Wl,--no-as-needed"]).args(more);
        let output = cc.output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    };
    cc("b/libdlcastb.so", &["-Wl,-soname,libdlcastb.so".as_ref()]);
    let mut rpath = OsStr::new("-Wl,--enable-new-dtags,-rpath,").to_os_string();
    rpath.push(dir.join("b"));
    for (out, more) in [("liba.so", vec![]), ("libr.so", vec![rpath.as_os_str()])] {
        cc(out, &[&[OsStr::new("b/libdlcastb.so")][..], &more].concat());
    }
    std::fs::copy(dir.join("liba.so"), dir.join("dlcast_ext.abi3.so")).unwrap();
    std::fs::copy(dir.join("libr.so"), dir.join(OsStr::from_bytes(b"lib\xfe.so"))).unwrap();
    let explain = |asked: &OsStr, path: &Path| {
        let mut command = dlcast();
        ask(command.current_dir(&dir).env("LD_LIBRARY_PATH", path).env("PYTHONPATH", &dir).arg(asked))
    };
    for asked in ["./liba.so", "libdlcastb.so", "dlcast_ext"] {
        let (code, text) = explain(asked.as_ref(), &dir.join("b"));
        assert_eq!(code, Some(0), "{text}");
        has(&text, &["q\u{fffd}/b/libdlcastb.so: found\n", "is opened by /"]);
    }
    for asked in [&b"./libr.so"[..], b"./lib\xfe.so"] {
        let (code, text) = explain(OsStr::from_bytes(asked), Path::new(""));
        assert_eq!(code, Some(0), "{text}");
        has(&text, &["RUNPATH: ", "q\u{fffd}/b/libdlcastb.so: found\n"]);
    }
}

/// So are names: of what is needed, and of what is asked for.
#[test]
fn names_that_are_no_text_are_searched_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty.c"), "int dlcast_nothing;\n").unwrap();
    let name = OsStr::from_bytes(b"libdlcast\xfe.so");
    let cc = |out: &OsStr, more: &OsStr| {
        let mut cc = Command::new("cc");
        cc.current_dir(dir.path()).args(["-shared", "-fPIC", "-Wl,--no-as-needed", "empty.c", "-o"]).arg(out).arg(more);
        let output = cc.output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    };
    std::fs::create_dir(dir.path().join("b")).unwrap();
    let file = Path::new("b").join(name);
    let mut soname = OsStr::new("-Wl,-soname,").to_os_string();
    soname.push(name);
    cc(file.as_os_str(), &soname);
    cc("liba.so".as_ref(), file.as_os_str());
    for asked in [OsStr::new("./liba.so"), name] {
        let explain = |path: &Path| ask(dlcast().current_dir(dir.path()).env("LD_LIBRARY_PATH", path).arg(asked));
        let (code, text) = explain(&dir.path().join("b"));
        assert_eq!(code, Some(0), "{text}");
        has(&text, &["LD_LIBRARY_PATH: ", "/b/libdlcast\u{fffd}.so: found\n"]);
        assert_eq!(explain(dir.path()).0, Some(1));
    }
}
