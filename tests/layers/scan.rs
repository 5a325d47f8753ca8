//! What a scan finds, in environments whose files are compiled here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::tree::{built, environment, metadata, write};
use crate::{layers, out, told};

const SITE: &str = "lib/python3.11/site-packages";

fn cc(path: &Path, source: &str, flags: &[&str]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = path.with_extension("c");
    fs::write(&text, source).unwrap();
    let output = Command::new("cc").arg("-o").arg(path).arg(&text).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    fs::remove_file(text).unwrap();
}

fn library(path: &Path, source: &str, flags: &[&str]) {
    cc(path, source, &[&["-shared", "-fPIC"], flags].concat());
}

/// A folder, and in it an environment `env` and a stack.toml that has it as its only layer.
fn stack() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("stack.toml"), "[[layer]]\nname = \"env\"\npath = \"env\"\n");
    let env = folder.path().canonicalize().unwrap().join("env");
    environment(&env);
    (folder, env)
}

fn scanned(folder: &Path, arguments: &[&str]) -> Value {
    let output = layers(folder, &[&["scan", "--json"], arguments].concat());
    assert_eq!((output.status.code(), told(&output).as_str()), (Some(0), ""));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `path: class`, or `path: reason`, of each object, without the interpreter.
fn found(layer: &Value) -> Vec<String> {
    let objects = layer["objects"].as_array().unwrap().iter();
    let told = objects.map(|object| {
        let class = object["reason"].as_str().or(object["class"].as_str()).unwrap();
        format!("{}: {class}", object["path"].as_str().unwrap().replace(SITE, "SITE"))
    });
    told.filter(|told| !told.starts_with("bin/python")).collect()
}

#[test]
fn what_wheels_put_into_a_layer_is_found_and_told_apart() {
    let (folder, env) = stack();
    let site = env.join(SITE);
    library(&site.join("pkg/_x.cpython-311-x86_64-linux-gnu.so"), "void PyInit__x(void) {}", &[]);
    library(&site.join("pkg/MPI.mpich.cpython-311-x86_64-linux-gnu.so"), "void PyInit_MPI(void) {}", &[]);
    library(&site.join("pkg/new.so"), "void PyModExport_new(void) {}", &[]);
    library(&site.join("pkg/image.so"), "int image;", &[]);
    library(&site.join("pkg.libs/libz.e05c5b49.so.1"), "int z;", &["-Wl,-soname,libz.so.1"]);
    // What a wheel's `data` folder leaves.
    library(&env.join("lib/libtbb.so.12.20"), "int tbb;", &["-Wl,-soname,libtbb.so.12"]);
    symlink("libtbb.so.12.20", env.join("lib/libtbb.so.12")).unwrap();
    library(&env.join("lib/plain_name"), "int plain;", &[]);
    library(&env.join("lib/openmpi/mca_btl_tcp.so"), "int mca;", &[]);
    library(&env.join("opt/tool/libopt.so"), "int opt;", &[]);
    library(
        &env.join("lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so"),
        "void PyInit__ssl(void) {}",
        &[],
    );
    symlink("lib", env.join("lib64")).unwrap();
    cc(&env.join("bin/tool"), "int main(void) { return 0; }", &[]);
    write(&env.join("bin/script"), "#!/bin/sh\n");
    // Linkers of before 2016 did not mark programs that can be loaded anywhere.
    library(&env.join("bin/old_tool"), "int main(void) { return 0; }", &[]);
    // What is named like them.
    write(&site.join("pkg/libmpi.so"), "INPUT(libmpi.so.12)\n");
    write(&site.join("pkg/empty.so"), "");
    write(&site.join("pkg/text.so"), "version https://git-lfs.github.com/spec/v1\n");
    write(&site.join("pkg/bytes.so"), [1, 2, 3]);
    write(&site.join("pkg/mac.dylib"), [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1]);
    symlink("nowhere", site.join("pkg/dangling.so")).unwrap();
    symlink("circle.so", site.join("pkg/circle.so")).unwrap();
    symlink("/dev/null", site.join("pkg/device.so")).unwrap();
    fs::create_dir(site.join("pkg/folder.so")).unwrap();
    let pipe = site.join("pkg/pipe.so");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let whole = fs::read(site.join("pkg/image.so")).unwrap();
    write(&site.join("pkg/cut.so"), &whole[..whole.len() / 2]);
    let mut other = whole;
    other[4] = 1;
    other[18] = 3;
    write(&site.join("pkg/other.so"), other);
    // What is not.
    write(&site.join("pkg/x.sorted"), "");
    write(&site.join("pkg/libx.so~"), "");

    let whole = scanned(folder.path(), &["."]);
    let expected = [
        "bin/old_tool: program",
        "bin/tool: program",
        "lib/libtbb.so.12: library",
        "lib/libtbb.so.12.20: library",
        "lib/openmpi/mca_btl_tcp.so: library",
        "lib/plain_name: library",
        "lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so: extension",
        "SITE/pkg/MPI.mpich.cpython-311-x86_64-linux-gnu.so: extension",
        "SITE/pkg/_x.cpython-311-x86_64-linux-gnu.so: extension",
        "SITE/pkg/bytes.so: not_elf",
        "SITE/pkg/circle.so: dangling",
        "SITE/pkg/cut.so: damaged",
        "SITE/pkg/dangling.so: dangling",
        "SITE/pkg/device.so: unreadable",
        "SITE/pkg/empty.so: empty",
        "SITE/pkg/image.so: library",
        "SITE/pkg/libmpi.so: linker_script",
        "SITE/pkg/mac.dylib: foreign",
        "SITE/pkg/new.so: extension",
        "SITE/pkg/other.so: foreign",
        "SITE/pkg/pipe.so: unreadable",
        "SITE/pkg/text.so: not_elf",
        "SITE/pkg.libs/libz.e05c5b49.so.1: library",
        "opt/tool/libopt.so: library",
    ];
    assert_eq!(found(&whole["layers"][0]), expected);
    // And the script; but neither what leads nowhere, nor the device and the pipe, which somebody may be waiting at.
    assert_eq!(whole["layers"][0]["counts"]["opened"], json!(expected.len() + 1 - 4));
    let object = |end: &str| {
        let objects = whole["layers"][0]["objects"].as_array().unwrap();
        objects.iter().find(|object| object["path"].as_str().unwrap().ends_with(end)).unwrap().clone()
    };
    assert_eq!(object("libtbb.so.12")["link"], json!(env.join("lib/libtbb.so.12.20")));
    assert_eq!(object("libtbb.so.12")["soname"], "libtbb.so.12");
    assert_eq!(object("libz.e05c5b49.so.1")["soname"], "libz.so.1");
    assert_eq!(object("dangling.so")["link"], "nowhere");
    assert_eq!(object("other.so")["detail"], "i386");
    assert!(object("cut.so")["detail"].as_str().unwrap().starts_with("truncated: "));
}

#[test]
fn json_has_the_shape_that_is_told_of_it() {
    let (folder, env) = stack();
    let lib = env.join(SITE).join("libx.so");
    let flags = ["-Wl,-soname,libx.so.1", "-Wl,-rpath,$ORIGIN/../lib:/opt/x", "-Wl,--enable-new-dtags", "-nostdlib"];
    library(&lib, "int x;", &flags);
    fs::remove_file(env.join("bin/python")).unwrap();
    write(&env.join("bin/python"), "#!/bin/sh\n");
    write(
        &folder.path().join("stack.toml"),
        "[[layer]]\nname = \"env\"\npath = \"env\"\ndynlib_exclude = [\"libx.*\"]\n",
    );
    let size = fs::metadata(&lib).unwrap().len();
    let mut whole = scanned(folder.path(), &["stack.toml"]);
    let read = whole["layers"][0]["counts"]["read"].take();
    assert!((1..=size + 100).contains(&read.as_u64().unwrap()), "{read}");
    let expected = json!({
        "version": 1,
        "stack": folder.path().canonicalize().unwrap().join("stack.toml"),
        "layers": [{
            "name": "env",
            "path": env,
            "platform": "posix",
            "uses": [],
            "dynlib_exclude": ["libx.*"],
            "counts": { "folders": 5, "listed": 2, "opened": 2, "read": null },
            "objects": [{
                "path": format!("{SITE}/libx.so"),
                "link": null,
                "size": size,
                "excluded": true,
                "class": "library",
                "soname": "libx.so.1",
                "needed": [],
                "rpath": [],
                "runpath": ["$ORIGIN/../lib", "/opt/x"],
                "python_init": null,
            }],
        }],
    });
    assert_eq!(whole, expected);
}

#[test]
fn the_table_has_a_line_for_each_object_and_a_sum() {
    let (folder, env) = stack();
    library(&env.join("lib/libx.so.1.2"), "int x;", &["-Wl,-soname,libx.so.1", "-Wl,-rpath,/opt/x", "-nostdlib"]);
    symlink("libx.so.1.2", env.join("lib/libx.so.1")).unwrap();
    symlink("nowhere", env.join("lib/libnowhere.so")).unwrap();
    fs::remove_file(env.join("bin/python")).unwrap();
    write(&env.join("bin/python"), "#!/bin/sh\n");
    let output = layers(folder.path(), &["scan", "."]);
    let text = out(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("env: {}", env.display()));
    assert_eq!(lines[1], "  neither  lib/libnowhere.so  -          dangling; link to nowhere");
    let link = format!("needs nothing; runpath /opt/x; link to {}", env.join("lib/libx.so.1.2").display());
    assert_eq!(lines[2], format!("  library  lib/libx.so.1      libx.so.1  {link}"));
    assert_eq!(lines[3], "  library  lib/libx.so.1.2    libx.so.1  needs nothing; runpath /opt/x");
    assert!(lines[4].starts_with(
        "  0 extension modules, 2 libraries, 0 programs, 1 neither; 4 files in 5 folders listed, 3 opened, "
    ));
    assert_eq!(lines.len(), 5);
}

/// Not every file: only what its name or its place makes a candidate.
#[test]
fn files_that_are_not_of_interest_are_not_opened() {
    let (folder, env) = stack();
    for number in 0..200 {
        write(&env.join(SITE).join(format!("pkg/module{number}.py")), "");
        write(&env.join(SITE).join(format!("pkg/__pycache__/module{number}.pyc")), "");
    }
    library(&env.join(SITE).join("pkg/_x.so"), "void PyInit__x(void) {}", &[]);
    let trace = folder.path().join("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=open,openat,openat2,stat,lstat,statx,newfstatat", "-o"])
        .arg(&trace)
        .args([env!("CARGO_BIN_EXE_dlcast"), "layers", "scan", "."])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let calls = fs::read_to_string(trace).unwrap();
    assert!(calls.contains("_x.so"));
    let others: Vec<&str> = calls.lines().filter(|line| line.contains("module") || line.contains("pycache")).collect();
    assert!(others.is_empty(), "{others:#?}");
    let counts = &scanned(folder.path(), &["."])["layers"][0]["counts"];
    assert_eq!((&counts["listed"], &counts["opened"]), (&json!(202), &json!(1)));
}

#[test]
fn what_belongs_to_others_is_left_out() {
    let (folder, env) = stack();
    let site = env.join(SITE);
    library(&site.join("libown.so"), "int own;", &[]);
    let copy = |to: PathBuf| {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(site.join("libown.so"), to).unwrap();
    };
    // An environment in the environment, and another layer in it.
    copy(env.join("inner/lib/libinner.so"));
    write(&env.join("inner/pyvenv.cfg"), "");
    environment(&env.join("layer"));
    copy(env.join("layer/lib/liblayer.so"));
    // Links that were made before, and what an interrupted run has left.
    fs::create_dir_all(env.join("share/venv/dynlib")).unwrap();
    symlink(site.join("libown.so"), env.join("share/venv/dynlib/libown.so")).unwrap();
    copy(env.join("share/venv/.dynlib-1/libown.so"));
    copy(site.join("pkg/__pycache__/libcache.so"));
    // A folder elsewhere that a package links to.
    copy(folder.path().join("elsewhere/libelsewhere.so"));
    symlink(folder.path().join("elsewhere"), site.join("elsewhere")).unwrap();
    // But one that a package calls dynlib is its own.
    copy(site.join("pkg/dynlib/libdyn.so"));
    let text = fs::read_to_string(folder.path().join("stack.toml")).unwrap();
    let text = text + "[[layer]]\nname = \"layer\"\npath = \"env/layer\"\nuses = [\"env\"]\n";
    write(&folder.path().join("stack.toml"), text);
    let whole = scanned(folder.path(), &["."]);
    assert_eq!(found(&whole["layers"][0]), ["SITE/libown.so: library", "SITE/pkg/dynlib/libdyn.so: library"]);
    assert_eq!(found(&whole["layers"][1]), ["lib/liblayer.so: library"]);
    assert_eq!(whole["layers"][1]["uses"], json!(["env"]));
}

#[test]
fn a_layer_may_have_its_main_folders_elsewhere() {
    let (folder, env) = stack();
    fs::rename(env.join("lib"), folder.path().join("store")).unwrap();
    symlink("../store", env.join("lib")).unwrap();
    symlink("lib", env.join("lib64")).unwrap();
    library(&env.join("lib/libx.so"), "int x;", &[]);
    let whole = scanned(folder.path(), &["."]);
    assert_eq!(found(&whole["layers"][0]), ["lib/libx.so: library"]);
}

#[test]
fn names_are_not_obeyed_by_the_terminal() {
    let (folder, env) = stack();
    library(&env.join("lib/lib\u{1b}[31mred\n.so"), "int x;", &["-Wl,-soname,lib\u{1b}]0;x\u{7}.so", "-nostdlib"]);
    let text = out(&layers(folder.path(), &["scan", "."]));
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.contains("lib\\u{1b}[31mred\\n.so"), "{text}");
    assert_eq!(found(&scanned(folder.path(), &["."])["layers"][0]), ["lib/lib\u{1b}[31mred\n.so: library"]);
}

/// A thousand damaged libraries in one layer: each is told with its path, and nothing panics.
#[test]
fn damaged_files_are_told_one_by_one() {
    let (folder, env) = stack();
    let good = folder.path().join("good.so");
    library(&good, "void PyInit_good(void) {} int x; int *y = &x;", &["-Wl,-soname,libgood.so.1"]);
    let good = fs::read(good).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for number in 0..1000 {
        let mut data = good.clone();
        match number % 2 {
            0 => data.truncate(random.usize(..data.len())),
            _ => (0..8).for_each(|_| data[random.usize(..2048)] = random.u8(..)),
        }
        write(&env.join(SITE).join(format!("x{number}.so")), data);
    }
    let whole = scanned(folder.path(), &["."]);
    let objects = found(&whole["layers"][0]);
    assert_eq!(objects.len(), 1000);
    let cut = |object: &&String| {
        let number: u32 = object["SITE/x".len()..object.find(".so").unwrap()].parse().unwrap();
        number.is_multiple_of(2)
    };
    assert!(objects.iter().filter(cut).all(|object| object.ends_with(": damaged") || object.ends_with(": empty")));
}

#[test]
fn what_venvstacks_has_built_is_read_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let build = folder.path().join("_build");
    built(&build.join("cpython-3.11"), &[]);
    built(&build.join("framework-a"), &["cpython-3.11"]);
    // The folder has no version here, but what is deployed has, and the metadata is about that.
    built(&build.join("framework-b"), &["cpython-3.11"]);
    built(&build.join("framework-c"), &["framework-b@7", "framework-a", "cpython-3.11"]);
    built(&build.join("app-x"), &["framework-c", "framework-b@7", "framework-a", "cpython-3.11"]);
    let text = r#"
        [[runtimes]]
        name = "cpython-3.11"
        python_implementation = "cpython@3.11.11"
        requirements = []
        [[frameworks]]
        name = "a"
        runtime = "cpython-3.11"
        requirements = ["numpy"]
        dynlib_exclude = ["libpng16.*"]
        [[frameworks]]
        name = "b"
        runtime = "cpython-3.11"
        versioned = true
        requirements = []
        [[frameworks]]
        name = "c"
        frameworks = ["b", "a"]
        requirements = []
        [[frameworks]]
        name = "other"
        runtime = "cpython-3.11"
        platforms = ["macosx_arm64", "win_amd64"]
        requirements = []
        [[applications]]
        name = "x"
        launch_module = "x.py"
        frameworks = ["c", "a"]
        requirements = []
        [[applications]]
        name = "elsewhere"
        launch_module = "x.py"
        frameworks = ["other"]
        requirements = []
        [tool.uv]
        exclude-newer = "2026-01-01"
    "#;
    write(&folder.path().join("venvstacks.toml"), text);
    let whole = scanned(folder.path(), &["."]);
    let layers = whole["layers"].as_array().unwrap();
    let uses: Vec<Value> = layers.iter().map(|layer| json!([layer["name"], layer["uses"]])).collect();
    let expected = [
        json!(["cpython-3.11", []]),
        json!(["framework-a", ["cpython-3.11"]]),
        json!(["framework-b", ["cpython-3.11"]]),
        json!(["framework-c", ["framework-b", "framework-a", "cpython-3.11"]]),
        json!(["app-x", ["framework-c", "framework-b", "framework-a", "cpython-3.11"]]),
    ];
    assert_eq!(uses, expected);
    assert_eq!(whole["layers"][1]["dynlib_exclude"], json!(["libpng16.*"]));

    // Exports are elsewhere, under their versioned names.
    fs::rename(&build, folder.path().join("exported")).unwrap();
    fs::rename(folder.path().join("exported/framework-b"), folder.path().join("exported/framework-b@7")).unwrap();
    let exported = scanned(folder.path(), &["venvstacks.toml", "--build-dir", "exported"]);
    let path = folder.path().canonicalize().unwrap().join("exported/framework-b@7");
    assert_eq!(exported["layers"][2]["path"], json!(path));
    // The file may lie among them.
    fs::create_dir(folder.path().join("exported/__venvstacks__")).unwrap();
    fs::copy(folder.path().join("venvstacks.toml"), folder.path().join("exported/venvstacks.toml")).unwrap();
    assert_eq!(scanned(folder.path(), &["exported"])["layers"], exported["layers"]);
}

#[test]
fn a_layer_for_macos_is_known_by_its_runtime() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["runtime", "fw", "alone", "posix"] {
        environment(&folder.path().join(name));
    }
    write(&folder.path().join("runtime/lib/libpython3.11.dylib"), "");
    write(&folder.path().join("alone/pyvenv.cfg"), "home = /opt/homebrew/opt/python@3.11/bin\n");
    let layer = |name: &str, uses: &str| format!("[[layer]]\nname = \"{name}\"\npath = \"{name}\"\nuses = [{uses}]\n");
    let text = [layer("runtime", ""), layer("fw", "\"runtime\""), layer("alone", ""), layer("posix", "")];
    write(&folder.path().join("stack.toml"), text.concat());
    let whole = scanned(folder.path(), &["."]);
    let platforms: Vec<&Value> = whole["layers"].as_array().unwrap().iter().map(|layer| &layer["platform"]).collect();
    assert_eq!(platforms, ["macos", "macos", "macos", "posix"]);
}

#[test]
fn a_stack_is_found_by_its_folder_whatever_links_lead_to_it() {
    let (folder, env) = stack();
    metadata(&env, "bin/python", &[]);
    symlink(folder.path(), folder.path().join("link")).unwrap();
    let whole = scanned(folder.path(), &["link/../link"]);
    // Links are not resolved: a layer is where its stack says.
    assert_eq!(whole["layers"][0]["path"], json!(folder.path().canonicalize().unwrap().join("link/env")));
}

#[test]
fn a_reader_that_goes_away_is_not_complained_of() {
    let (folder, _env) = stack();
    let script = format!("{} layers scan --json . | true", env!("CARGO_BIN_EXE_dlcast"));
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    assert_eq!(told(&output), "");
}
