//! Files that somebody has made to break dlcast, and names that are no text: an answer or an error with the path, never a panic.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::tree::{environment, write};
use crate::{out, told};

const SITE: &str = "lib/python3.11/site-packages";

fn odd(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

fn library(path: &Path, source: &str, flags: &[&OsStr]) {
    let text = path.with_extension("c");
    write(&text, source);
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wl,--no-as-needed", "-o"]).arg(path).arg(&text).args(flags);
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    fs::remove_file(text).unwrap();
}

/// `dlcast` in little memory and with a time limit.
fn dlcast(arguments: &[&OsStr]) -> Output {
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -v 524288; exec timeout 120 \"$@\"", "bash", env!("CARGO_BIN_EXE_dlcast")]);
    command.args(arguments).env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").output().unwrap()
}

/// A stack of `app` over `base`, in a folder of this name.
fn stack(folder: &Path, name: &OsStr) -> PathBuf {
    let top = folder.canonicalize().unwrap().join(name);
    for layer in ["app", "base"] {
        let python = top.join(layer).join("bin/python");
        environment(&top.join(layer));
        fs::remove_file(&python).unwrap();
        symlink("/usr/bin/env", python).unwrap();
    }
    let text =
        "[[layer]]\nname = \"app\"\npath = \"app\"\nuses = [\"base\"]\n[[layer]]\nname = \"base\"\npath = \"base\"\n";
    write(&top.join("stack.toml"), text);
    top
}

/// Every way of looking at it.
fn looks<'a>(top: &'a OsStr, object: &'a OsStr) -> Vec<Vec<&'a OsStr>> {
    let layers = ["scan", "scan --json", "check --all", "check --json", "check --json --in-process", "link --dry-run"];
    let words = |line: &'static str| line.split(' ').map(OsStr::new);
    let mut all: Vec<Vec<&OsStr>> =
        layers.into_iter().map(|line| words("layers").chain(words(line)).collect()).collect();
    all.push(words("layers link --dry-run --json").collect());
    all.iter_mut().for_each(|line| line.push(top));
    for line in ["explain --stack", "explain --json --stack"] {
        all.push(words(line).chain([top, object]).collect());
    }
    all
}

#[test]
fn names_that_are_no_text_are_told_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    for name in [odd(b"plain"), odd(b"f\xff\x1b[1m")] {
        let top = stack(folder.path(), name);
        let (own, b) = (top.join("app").join(SITE).join("libown.so"), top.join("base/lib").join(odd(b"libb\xfe.so")));
        library(&own, "int own;", &[odd(b"-Wl,-soname,libown.so")]);
        library(&b, "int b;", &[odd(b"-Wl,-soname,libb\x1b[31m\xfe.so")]);
        let object = top.join("app").join(SITE).join(odd(b"m\xff.so"));
        let flags = [own.as_os_str(), b.as_os_str(), odd(b"-Wl,-rpath,$ORIGIN")];
        library(&object, "int PyInit_m(void) { return 0; }", &flags);
        for words in looks(top.as_os_str(), object.as_os_str()) {
            let output = dlcast(&words);
            let text = told(&output);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{words:?}: {text}");
            assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{words:?}: {text}");
            let text = std::str::from_utf8(&output.stdout).unwrap();
            assert!(!text.contains('\x1b'), "{words:?}: {text}");
            if words.contains(&OsStr::new("--json")) {
                let _: Value = serde_json::from_str(text).unwrap();
            }
        }
        // What is in the folder of such a name is found.
        let output = dlcast(&looks(top.as_os_str(), object.as_os_str())[3]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let needs = json["needs"].as_array().unwrap().iter().find(|need| need["needs"] == "libown.so").unwrap();
        assert_eq!(needs["now"]["by"], "own path", "{needs}");
    }
}

#[test]
fn what_links_lead_to_in_a_folder_that_is_no_text_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let top = stack(folder.path(), odd(b"q\xff"));
    let b = top.join("base/lib/libdlcastb.so.1");
    library(&b, "int b;", &[odd(b"-Wl,-soname,libdlcastb.so.1")]);
    let object = top.join("app").join(SITE).join("m.so");
    let odd_b = top.join("base/lib").join(odd(b"libdlcast\xfe.so"));
    library(&odd_b, "int odd_b;", &[odd(b"-Wl,-soname,libdlcast\xfe.so")]);
    library(&object, "int PyInit_m(void) { return 0; }", &[b.as_os_str(), odd_b.as_os_str()]);
    let explain = |asked: &OsStr| dlcast(&["explain".as_ref(), asked, "--stack".as_ref(), top.as_os_str()]);
    for asked in [object.as_os_str(), OsStr::new("m"), OsStr::new("libdlcastb.so.1"), odd(b"libdlcast\xfe.so")] {
        assert_eq!(explain(asked).status.code(), Some(1), "{}", told(&explain(asked)));
    }
    let linked = dlcast(&["layers".as_ref(), "link".as_ref(), top.as_os_str()]);
    assert_eq!(linked.status.code(), Some(0), "{}", told(&linked));
    for asked in [object.as_os_str(), OsStr::new("m"), OsStr::new("libdlcastb.so.1"), odd(b"libdlcast\xfe.so")] {
        assert_eq!(explain(asked).status.code(), Some(0), "{}", told(&explain(asked)));
    }
}

#[test]
fn a_plan_says_which_path_it_cannot_carry() {
    let folder = tempfile::tempdir().unwrap();
    let words = |top: &Path| dlcast(&["layers".as_ref(), "plan".as_ref(), top.as_os_str()]);
    let top = stack(folder.path(), odd(b"plain"));
    library(&top.join("base/lib/libb.so"), "int b;", &[]);
    assert_eq!(words(&top).status.code(), Some(0));
    library(&top.join("base/lib").join(odd(b"lib\xff.so")), "int b;", &[]);
    let output = words(&top);
    let says = "base/lib/lib\u{fffd}.so: its path, or its SONAME, is not UTF-8, which the plan of the layers cannot carry; rename it\n";
    assert!(output.status.code() == Some(1) && told(&output).ends_with(says), "{}", told(&output));
    let top = stack(folder.path(), odd(b"\xff"));
    let output = words(&top);
    assert!(
        output.status.code() == Some(1) && told(&output).contains("its path, or its SONAME, is not UTF-8"),
        "{}",
        told(&output)
    );
}

/// A library of 1 TB, nearly all of it holes, in which its last segment and its tables lie.
fn holes(path: &Path, table: u64, size: u64) {
    const LENGTH: u64 = 1 << 40;
    let data = fs::read(path).unwrap();
    let get = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().unwrap());
    let headers = (0..usize::from(data[56])).map(|number| get(32) as usize + number * 56);
    let load = headers.clone().rfind(|at| data[*at..*at + 4] == [1, 0, 0, 0]).unwrap();
    let dynamic = headers.clone().find(|at| data[*at..*at + 4] == [2, 0, 0, 0]).unwrap();
    let entries = (get(dynamic + 8) as usize..).step_by(16).take_while(|at| get(*at) != 0);
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(LENGTH).unwrap();
    let put = |at: usize, value: u64| file.write_all_at(&value.to_le_bytes(), at as u64).unwrap();
    let room = LENGTH - get(load + 8) - (1 << 20);
    put(load + 32, room);
    put(load + 40, room);
    for at in entries {
        match get(at) {
            tag if tag == table => put(at + 8, get(load + 16) + (1 << 20)),
            tag if tag == size => put(at + 8, room / 2 / 24 * 24),
            _ => {}
        }
    }
}

#[test]
fn a_library_of_holes_is_told_in_little_memory_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let top = stack(folder.path(), odd(b"plain"));
    // Relocations, and strings.
    for (table, size, says) in [(7, 8, "DT_RELA has more relocations"), (5, 10, "DT_STRTAB is larger")] {
        let object = top.join("base/lib/libholes.so.1");
        library(
            &object,
            "extern int x; int *p = &x;",
            &[odd(b"-Wl,-soname,libholes.so.1"), odd(b"-Wl,--unresolved-symbols=ignore-all")],
        );
        library(&top.join("app").join(SITE).join("m.so"), "int PyInit_m(void) { return 0; }", &[object.as_os_str()]);
        holes(&object, table, size);
        let mut all = String::new();
        for words in looks(top.as_os_str(), object.as_os_str()) {
            let output = dlcast(&words);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{words:?}: {}", told(&output));
            all += &(out(&output) + &told(&output));
        }
        assert!(all.contains(says), "{all}");
        // Its content is not read before its tables are.
        let output = dlcast(&["identity".as_ref(), object.as_os_str()]);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(told(&output).contains(says) && told(&output).contains("libholes.so.1"), "{}", told(&output));
        assert!(all.contains("libholes.so.1"), "{all}");
    }
}
