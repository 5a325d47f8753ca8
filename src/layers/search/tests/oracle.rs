//! The real ld.so has the last word: for each rule a program whose searches it tells with LD_DEBUG=libs, place by place.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::fixture::{Bench, ask, seen};
use super::*;
use crate::layers::search::process::NotGiven;

const OLD: &str = "-Wl,--disable-new-dtags";
const NEW: &str = "-Wl,--enable-new-dtags";

fn rpath(path: &str) -> String {
    format!("-Wl,-rpath,{path}")
}

/// Starts the program in thought and in earnest; both must look at the same places in the same order.
fn agree(program: &Path, library_path: Option<&str>) -> Vec<Trail> {
    agree_on(program, library_path, true)
}

/// `tells`: ld.so can be asked. It does not trace a program that has other rights, and just fails.
fn agree_on(program: &Path, library_path: Option<&str>, tells: bool) -> Vec<Trail> {
    let (system, disk) = (fixture::system(), Disk::default());
    let mut process = Process::empty(&system, &disk, Some("/lib64/ld-linux-x86-64.so.2"));
    process.set_library_path(Process::library_path(program, library_path.unwrap_or_default(), &system));
    let needs = process.start(program).unwrap();
    let trails: Vec<Trail> = needs.into_iter().map(|need| need.trail).collect();
    let (theirs, told) = ask(program, &[], library_path, tells);
    if !tells {
        let is_well = !told.contains("error while loading shared libraries");
        assert_eq!(trails.iter().all(|trail| trail.found.is_some()), is_well, "{told}");
        return trails;
    }
    assert_eq!(seen(&trails.iter().collect::<Vec<_>>(), true), theirs, "{told}");
    trails
}

fn found(trails: &[Trail], name: &str) -> Option<(Rule, PathBuf)> {
    let trail = trails.iter().find(|trail| trail.name == name).unwrap();
    trail.found.clone().map(|found| (found.rule, found.path))
}

#[test]
fn rpath_goes_before_the_variable_and_runpath_after_it() {
    let bench = Bench::new(&["liba.so"]);
    let (own, variable) = (bench.library("own/liba.so", &[], &[]), bench.library("variable/liba.so", &[], &[]));
    let library_path = bench.text("variable");
    let old = bench.program("old", &["liba.so"], &[OLD, &rpath("$ORIGIN/own")]);
    let new = bench.program("new", &["liba.so"], &[NEW, &rpath("${ORIGIN}/own")]);
    assert_eq!(found(&agree(&old, Some(&library_path)), "liba.so"), Some((Rule::Rpath(old), own.clone())));
    assert_eq!(found(&agree(&new, Some(&library_path)), "liba.so"), Some((Rule::LibraryPath, variable)));
    assert_eq!(found(&agree(&new, None), "liba.so"), Some((Rule::Runpath(new), own)));
}

#[test]
fn rpath_is_inherited_and_a_runpath_turns_it_off() {
    let bench = Bench::new(&["liba.so", "libb.so"]);
    let b = bench.library("b/libb.so", &[], &[]);
    let paths = rpath("$ORIGIN/a:$ORIGIN/b");
    let program = bench.program("program", &["liba.so"], &[OLD, &paths]);
    bench.library("a/liba.so", &["libb.so"], &[]);
    assert_eq!(found(&agree(&program, None), "libb.so"), Some((Rule::Rpath(program.clone()), b.clone())));
    // Even one that leads nowhere, or is empty.
    for runpath in ["/nowhere", "$ORIGIN/$LIB/$PLATFORM"] {
        bench.library("a/liba.so", &["libb.so"], &[NEW, &rpath(runpath)]);
        assert_eq!(found(&agree(&program, None), "libb.so"), None, "{runpath}");
    }
    bench.library("a/liba.so", &["libb.so"], &[NEW, &rpath("$ORIGIN/../b")]);
    let (_, path) = found(&agree(&program, None), "libb.so").unwrap();
    assert_eq!(path, bench.path("a/../b/libb.so"));
    // The program's own RUNPATH is for the program alone.
    let program = bench.program("program", &["liba.so"], &[NEW, &paths]);
    bench.library("a/liba.so", &["libb.so"], &[]);
    assert_eq!(found(&agree(&program, None), "libb.so"), None);
}

#[test]
fn a_loaded_soname_serves_without_a_search_and_a_file_name_does_not() {
    let bench = Bench::new(&["liba.so", "libb.so", "libb.so.1"]);
    let path = rpath("$ORIGIN/lib");
    bench.library("lib/liba.so", &["libb.so.1"], &[]);
    let b = bench.library("lib/libb.so", &[], &["-Wl,-soname,libb.so.1"]);
    let program = bench.program("program", &["libb.so", "liba.so"], &[OLD, &path]);
    assert_eq!(found(&agree(&program, None), "libb.so.1"), Some((Rule::Loaded, b)));
    bench.library("lib/libb.so", &[], &[]);
    assert_eq!(found(&agree(&program, None), "libb.so.1"), None);
}

#[test]
fn one_file_under_two_names_is_one_object() {
    let bench = Bench::new(&["liba.so", "libb.so", "libc_.so"]);
    bench.library("lib/liba.so", &["libc_.so"], &[]);
    bench.library("lib/libc_.so", &[], &[]);
    symlink("liba.so", bench.path("lib/libb.so")).unwrap();
    let program = bench.program("program", &["liba.so", "libb.so"], &[OLD, &rpath("$ORIGIN/lib")]);
    let trails = agree(&program, None);
    assert_eq!(trails.iter().filter(|trail| trail.name == "libc_.so").count(), 1);
}

#[test]
fn a_link_is_at_home_where_it_is() {
    let bench = Bench::new(&["liba.so", "libb.so"]);
    bench.library("real/liba.so", &["libb.so"], &[NEW, &rpath("$ORIGIN")]);
    bench.library("real/libb.so", &[], &[]);
    std::fs::create_dir(bench.path("links")).unwrap();
    symlink("../real/liba.so", bench.path("links/liba.so")).unwrap();
    let program = bench.program("program", &["liba.so"], &[]);
    let trails = agree(&program, Some(&bench.text("links")));
    assert!(found(&trails, "liba.so").is_some());
    assert_eq!(found(&trails, "libb.so"), None);
    // A program is at home where its file is.
    bench.program("real/program", &["libb.so"], &[NEW, &rpath("$ORIGIN")]);
    symlink("../real/program", bench.path("links/program")).unwrap();
    let trails = agree(&bench.path("links/program"), None);
    assert_eq!(found(&trails, "libb.so").unwrap().1, bench.path("real/libb.so"));
}

#[test]
fn builds_for_this_processor_and_the_older_kind_of_folder_go_first() {
    let system = fixture::system();
    let bench = Bench::new(&["liba.so"]);
    bench.library("lib/liba.so", &[], &[]);
    let program = bench.program("program", &["liba.so"], &[]);
    let lib = bench.text("lib");
    for folder in system.subfolders.iter().rev() {
        let better = bench.library(&format!("lib/{folder}/liba.so"), &[], &[]);
        let better = (Rule::LibraryPath, better);
        assert_eq!(found(&agree(&program, Some(&lib)), "liba.so"), Some(better), "{folder}");
    }
    if let Some(best) = system.subfolders.first() {
        let path = bench.path(&format!("lib/{best}/liba.so"));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(path, "text").unwrap();
        assert_eq!(found(&agree(&program, Some(&lib)), "liba.so"), None);
    }
}

#[test]
fn an_empty_entry_of_the_variable_is_the_working_directory() {
    let bench = Bench::new(&["liba.so"]);
    let program = bench.program("program", &["liba.so"], &[]);
    for library_path in ["", ":", "/nowhere::/tmp/", ";"] {
        let trails = agree(&program, Some(library_path));
        let here = trails[0].tried.iter().any(|tried| tried.path == Path::new("liba.so"));
        assert_eq!(here, !library_path.is_empty(), "{library_path}");
    }
}

#[test]
fn the_systems_folders_can_be_refused() {
    let bench = Bench::new(&["libz.so.1"]);
    bench.library("lib/liba.so", &[], &[]);
    let program = bench.program("program", &["libz.so.1"], &["-Wl,-z,nodefaultlib"]);
    let trails = agree(&program, None);
    assert_eq!(found(&trails, "libz.so.1"), None);
    assert_eq!(found(&trails, "libc.so.6"), None);
}

/// Only root can make a program of somebody else's.
#[test]
fn a_program_with_other_rights_does_not_believe_the_variable() {
    let bench = Bench::new(&["liba.so"]);
    bench.library("lib/liba.so", &[], &[]);
    let program = bench.program("program", &["liba.so"], &[]);
    if std::os::unix::fs::chown(&program, Some(65534), Some(65534)).is_err() {
        return;
    }
    for (mode, is_believed) in [(0o755, true), (0o4755, false), (0o2755, false)] {
        std::fs::set_permissions(&program, PermissionsExt::from_mode(mode)).unwrap();
        let trails = agree_on(&program, Some(&bench.text("lib")), is_believed);
        assert_eq!(found(&trails, "liba.so").is_some(), is_believed, "{mode:o}");
    }
}

/// What each kind of bad file does to the search, beside a good one behind it.
#[test]
fn bad_files_do_to_the_search_what_they_do_to_ld_so() {
    let bench = Bench::new(&["liba.so"]);
    let good = bench.library("good/liba.so", &[], &[]);
    let program = bench.program("program", &["liba.so"], &[]);
    let data = std::fs::read(&good).unwrap();
    let with = |changes: &[(usize, u8)]| {
        let mut data = data.clone();
        changes.iter().for_each(|(at, byte)| data[*at] = *byte);
        data
    };
    let library_path = format!("{}:{}", bench.text("bad"), bench.text("good"));
    let cases: [(&str, Vec<u8>, bool); 14] = [
        ("empty", Vec::new(), false),
        ("a short text", b"INPUT(liba.so.1)".into(), false),
        ("a long text", vec![b' '; 200], false),
        ("cut short", data[..40].to_vec(), false),
        ("32 bits", with(&[(4, 1)]), true),
        ("the other byte order", with(&[(5, 2)]), false),
        ("another version", with(&[(6, 2)]), false),
        ("GNU's ABI", with(&[(7, 3)]), true),
        ("another system's ABI", with(&[(7, 9)]), false),
        ("padding", with(&[(12, 1)]), false),
        ("another machine", with(&[(18, 183)]), true),
        ("another version again", with(&[(20, 2)]), false),
        ("an object file", with(&[(16, 1)]), false),
        ("odd program headers", with(&[(54, 57)]), false),
    ];
    for (what, bytes, goes_on) in cases {
        std::fs::create_dir_all(bench.path("bad")).unwrap();
        std::fs::write(bench.path("bad/liba.so"), bytes).unwrap();
        let trails = agree(&program, Some(&library_path));
        assert_eq!(trails[0].found.is_some(), goes_on, "{what}: {:?}", trails[0]);
        says(&program, &trails[0], &library_path);
        says(&program, &agree(&program, Some(&bench.text("bad")))[0], &bench.text("bad"));
    }
    let bad = bench.path("bad/liba.so");
    let make: [(&str, &dyn Fn(), bool); 4] = [
        ("a folder", &|| std::fs::create_dir(&bad).unwrap(), false),
        ("a dangling link", &|| symlink("nowhere", &bad).unwrap(), true),
        // These two end the list that they stand in, and the good one stands in the same.
        ("a circle", &|| symlink("liba.so", &bad).unwrap(), false),
        ("a file for a folder", &|| symlink("../good/liba.so/x", &bad).unwrap(), false),
    ];
    for (what, make, goes_on) in make {
        let _gone = std::fs::remove_file(&bad).or_else(|_| std::fs::remove_dir(&bad));
        make();
        let trails = agree(&program, Some(&library_path));
        assert_eq!(trails[0].found.is_some(), goes_on, "{what}: {:?}", trails[0]);
        says(&program, &trails[0], &library_path);
    }
}

/// Without the trace the program fails, with the words that we foretell.
fn says(program: &Path, trail: &Trail, library_path: &str) {
    if let Some(said) = trail.said() {
        let (_, told) = ask(program, &[], Some(library_path), false);
        assert!(told.contains(&format!("error while loading shared libraries: {said}")), "{said}\n{told}");
    }
}

/// dlopen: who calls it is no parent, and the first miss is the end.
#[test]
fn what_is_opened_inherits_the_programs_rpath_only() {
    let bench = Bench::new(&["liba.so", "libb.so", "libmissing.so"]);
    bench.library("lib/libb.so", &[], &[]);
    let extension = bench.library("else/extension.so", &["libb.so", "libmissing.so"], &[]);
    let plain = bench.program("plain", &[], &[]);
    let with_rpath = bench.program("with_rpath", &[], &[OLD, &rpath("$ORIGIN/lib")]);
    for (program, is_found) in [(&plain, false), (&with_rpath, true)] {
        let (system, disk) = (fixture::system(), Disk::default());
        let mut process = Process::empty(&system, &disk, Some("/lib64/ld-linux-x86-64.so.2"));
        let before = process.start(program).unwrap();
        let opened = process.open(extension.to_str().unwrap(), None);
        assert!(opened.given.is_ok());
        assert_eq!(opened.needs[0].given.is_ok(), is_found);
        assert!(matches!(opened.needs[1].given, Err(NotGiven::NotFound)));
        let trails: Vec<&Trail> = before.iter().chain(&opened.needs).map(|need| &need.trail).collect();
        let (theirs, told) = ask(program, &[extension.to_str().unwrap()], None, false);
        assert_eq!(seen(&trails, false), theirs, "{told}");
    }
}

/// Its RPATH leads to what it opens, and not to what that needs in turn.
#[test]
fn who_calls_dlopen_counts_for_the_search_alone() {
    let bench = Bench::new(&["libopener.so", "libb.so"]);
    std::fs::write(
        bench.path("opener.c"),
        "#include <dlfcn.h>\n#include <stdio.h>\n__attribute__((constructor)) static void open_it(void) {\n\
         if (!dlopen(\"libdlcasta.so\", RTLD_NOW)) fprintf(stderr, \"%s\\n\", dlerror());\n}\n",
    )
    .unwrap();
    let (opener, source) = (bench.text("libopener.so"), bench.text("opener.c"));
    bench.cc(&["-shared", "-fPIC", "-o", &opener, &source, OLD, &rpath("$ORIGIN/lib")]);
    bench.library("lib/libdlcasta.so", &["libb.so"], &[]);
    bench.library("lib/libb.so", &[], &[]);
    let program = bench.program("program", &["libopener.so"], &[NEW, &rpath("$ORIGIN")]);
    let (system, disk) = (fixture::system(), Disk::default());
    let mut process = Process::empty(&system, &disk, Some("/lib64/ld-linux-x86-64.so.2"));
    let before = process.start(&program).unwrap();
    let opened = process.open("libdlcasta.so", process.loaded("libopener.so".as_ref()));
    assert!(opened.given.is_ok() && opened.needs[0].given.is_err(), "{opened:?}");
    let needs = before.iter().chain(&opened.needs).map(|need| &need.trail);
    // It is searched for before what it needs.
    let mut trails: Vec<&Trail> = needs.collect();
    trails.insert(before.len(), &opened.trail);
    let (theirs, told) = ask(&program, &[], None, false);
    assert_eq!(seen(&trails, false), theirs, "{told}");
}

#[test]
fn a_program_is_no_library() {
    let bench = Bench::new(&[]);
    let program = bench.program("program", &[], &["-pie"]);
    let (system, disk) = (fixture::system(), Disk::default());
    let mut process = Process::empty(&system, &disk, None);
    process.start(&program).unwrap();
    let opened = process.open(bench.program("other", &[], &["-pie"]).to_str().unwrap(), None);
    assert!(matches!(opened.given, Err(NotGiven::Unread(_))), "{opened:?}");
}
