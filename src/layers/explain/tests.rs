//! Claims about explanations: each hint is shown on objects for which it is true.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::layers::search::tests::fixture::{self, Bench};
use crate::layers::search::{Disk, System};

const OLD: &str = "-Wl,--disable-new-dtags";
const NEW: &str = "-Wl,--enable-new-dtags";

fn explained_with(target: &Target, program: Option<&Path>, library_path: &str, elsewhere: &Elsewhere) -> Explanation {
    let (system, disk): (System, Disk) = (fixture::system(), Disk::default());
    let mut process = Process::empty(&system, &disk, Some("/lib64/ld-linux-x86-64.so.2"));
    process.set_library_path(Process::library_path(Path::new("/"), library_path, &system));
    if let Some(program) = program {
        process.start(program).unwrap();
    }
    explain(&mut process, target, None, elsewhere)
}

fn explained(target: &Target) -> Explanation {
    explained_with(target, None, "", &|_| Vec::new())
}

fn open(path: &Path) -> Target {
    Target::Open(path.into())
}

fn step<'a>(explanation: &'a Explanation, name: &str) -> &'a Step {
    explanation.steps.iter().find(|step| step.trail.name == name).unwrap()
}

fn rpath(path: &str) -> String {
    format!("-Wl,-rpath,{path}")
}

#[test]
fn a_runpath_that_is_not_inherited_is_pointed_at() {
    let bench = Bench::new(&["liba.so", "libb.so"]);
    let b = bench.library("b/libb.so", &[], &[]);
    bench.library("a/liba.so", &["libb.so"], &[]);
    let program = bench.program("program", &["liba.so"], &[NEW, &rpath("$ORIGIN/a:$ORIGIN/b")]);
    let explanation = explained(&Target::Start(program.clone()));
    let missing = step(&explanation, "libb.so");
    assert_eq!(missing.outcome, Outcome::NotFound);
    assert_eq!(missing.hints, [Hint::NotInherited { path: b, runpath_of: program }]);
    assert_eq!(explanation.missing().count(), 1);
}

/// RUNPATH counts for what its own object opens: for ctypes that is not the program. RPATH of the program counts for everything.
#[test]
fn a_bare_name_is_searched_for_from_the_object_that_calls_dlopen() {
    let bench = Bench::new(&[]);
    bench.library("b/libb.so", &[], &[]);
    let system: System = fixture::system();
    for (of_program, of_caller, found) in [
        (vec![NEW, "-Wl,-rpath,$ORIGIN/b"], vec![], false),
        (vec![OLD, "-Wl,-rpath,$ORIGIN/b"], vec![], true),
        (vec![OLD, "-Wl,-rpath,$ORIGIN/b"], vec![NEW, "-Wl,-rpath,/nowhere"], false),
        (vec![], vec![NEW, "-Wl,-rpath,$ORIGIN/b"], true),
    ] {
        let program = bench.program("program", &[], &of_program);
        let caller = bench.library("libcaller.so", &[], &of_caller);
        let disk = Disk::default();
        let mut process = Process::empty(&system, &disk, None);
        process.start(&program).unwrap();
        let (caller, _) = process.take(&caller).unwrap();
        let explanation = explain(&mut process, &Target::Open("libb.so".into()), Some(caller), &|_| Vec::new());
        assert_eq!(explanation.missing().count() == 0, found, "{of_program:?} {of_caller:?}: {explanation:?}");
    }
}

#[test]
fn an_rpath_that_is_turned_off_is_pointed_at() {
    let bench = Bench::new(&["liba.so", "libb.so"]);
    let b = bench.library("b/libb.so", &[], &[]);
    let a = bench.library("a/liba.so", &["libb.so"], &[NEW, &rpath("/nowhere")]);
    let program = bench.program("program", &["liba.so"], &[OLD, &rpath("$ORIGIN/a:$ORIGIN/b")]);
    let explanation = explained(&Target::Start(program.clone()));
    let missing = step(&explanation, "libb.so");
    assert_eq!(missing.own, Own { rpath: None, runpath: Some("/nowhere".into()) });
    let turned_off = Hint::TurnedOff { path: b, rpath_of: program, runpath_of: a.clone() };
    let no_folders = Hint::NoFolders { of: a, path: "/nowhere".into() };
    assert_eq!(missing.hints, [turned_off, no_folders]);
}

#[test]
fn a_link_whose_folder_is_no_origin_is_pointed_at() {
    let bench = Bench::new(&["libb.so"]);
    let a = bench.library("real/liba.so", &["libb.so"], &[NEW, &rpath("$ORIGIN")]);
    let b = bench.library("real/libb.so", &[], &[]);
    std::fs::create_dir(bench.path("links")).unwrap();
    let link = bench.path("links/liba.so");
    symlink(&a, &link).unwrap();
    let explanation = explained(&open(&link));
    let hint = Hint::Origin { path: b, link: link.clone(), real: a.clone() };
    assert_eq!(step(&explanation, "libb.so").hints, [hint]);
    assert_eq!(explained(&open(&a)).missing().count(), 0);
}

#[test]
fn what_stops_a_search_is_told_by_its_content() {
    let bench = Bench::new(&["libb.so"]);
    let a = bench.library("liba.so", &["libb.so"], &[]);
    std::fs::create_dir(bench.path("bad")).unwrap();
    std::fs::write(bench.path("bad/libb.so"), "INPUT(libb.so.1)").unwrap();
    let explanation = explained_with(&open(&a), None, &bench.text("bad"), &|_| Vec::new());
    let hints = &step(&explanation, "libb.so").hints;
    let [Hint::Stopped { path, what, means }] = &hints[..] else { panic!("{hints:?}") };
    assert_eq!(*path, bench.path("bad/libb.so"));
    assert!(what.starts_with("a linker script (`INPUT(libb.so.1)`)"), "{what}");
    assert_eq!(means.as_deref(), Some("libb.so.1"));
}

#[test]
fn files_for_others_and_links_to_nowhere_are_pointed_at() {
    let bench = Bench::new(&["libb.so"]);
    let a = bench.library("liba.so", &["libb.so"], &[]);
    for folder in ["foreign", "dangling"] {
        std::fs::create_dir(bench.path(folder)).unwrap();
    }
    std::fs::write(bench.path("foreign/libb.so"), fixture::foreign()).unwrap();
    symlink("nowhere", bench.path("dangling/libb.so")).unwrap();
    let path = format!("{}:{}", bench.text("foreign"), bench.text("dangling"));
    let explanation = explained_with(&open(&a), None, &path, &|_| Vec::new());
    let hints = &step(&explanation, "libb.so").hints;
    let [Hint::Foreign { what, .. }, Hint::Dangling { to, .. }] = &hints[..] else { panic!("{hints:?}") };
    assert!(what.contains("this machine is"), "{what}");
    assert_eq!(to, Path::new("nowhere"));
}

#[test]
fn what_others_have_is_pointed_at_where_it_is_missing_and_where_the_systems_hides_it() {
    let bench = Bench::new(&["libdlcastb.so", "libz.so.1"]);
    let a = bench.library("liba.so", &["libdlcastb.so", "libz.so.1"], &[]);
    let own = bench.library("own/libz.so.1", &[], &[]);
    let place = Place { layer: Some("below".into()), path: own.clone(), state: State::Offered };
    let elsewhere = |_: &OsStr| vec![place.clone()];
    let explanation = explained_with(&open(&a), None, "", &elsewhere);
    assert_eq!(step(&explanation, "libdlcastb.so").hints, [Hint::Elsewhere(place.clone())]);
    if step(&explanation, "libz.so.1").outcome == Outcome::Found {
        assert_eq!(step(&explanation, "libz.so.1").hints, [Hint::Trapped(place.clone())]);
    }
    let explanation = explained_with(&open(&a), None, &bench.text("own"), &elsewhere);
    assert_eq!(step(&explanation, "libz.so.1").trail.found.as_ref().unwrap().path, own);
    assert!(step(&explanation, "libz.so.1").hints.is_empty());
}

#[test]
fn other_versions_of_the_system_are_named() {
    let explanation = explained(&Target::Open("libc.so.7".into()));
    let hints = &explanation.steps[0].hints;
    assert!(matches!(&hints[..], [Hint::Alike(names)] if names.contains(&"libc.so.6".into())), "{hints:?}");
    let explanation = explained(&Target::Open("resolv".into()));
    let hints = &explanation.steps[0].hints;
    assert!(matches!(&hints[..], [Hint::Alike(names)] if names.contains(&"libresolv.so.2".into())), "{hints:?}");
}

#[test]
fn a_damaged_file_is_refused_with_what_is_wrong_with_it() {
    let bench = Bench::new(&["libb.so"]);
    let a = bench.library("liba.so", &["libb.so"], &[]);
    let good = std::fs::read(bench.path("stubs/libb.so")).unwrap();
    std::fs::create_dir(bench.path("bad")).unwrap();
    std::fs::write(bench.path("bad/libb.so"), &good[..good.len() / 3]).unwrap();
    let explanation = explained_with(&open(&a), None, &bench.text("bad"), &|_| Vec::new());
    let Outcome::Refused(why) = &step(&explanation, "libb.so").outcome else { panic!("{explanation:?}") };
    assert!(why.contains("truncated"), "{why}");
}

/// Nothing is believed of a file: any object with any damage is explained, or refused, without a panic.
#[test]
fn hostile_objects_are_explained_without_a_panic() {
    let bench = Bench::new(&["libb.so"]);
    let a = bench.library("liba.so", &["libb.so"], &[NEW, &rpath("$ORIGIN:$LIB:${PLATFORM}:$$:")]);
    let good = std::fs::read(&a).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..500 {
        let mut data = good.clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..data.len());
            data[at] = random.u8(..);
        }
        let at = bench.path("damaged.so");
        std::fs::write(&at, data).unwrap();
        let explanation = explained(&open(&at));
        assert!(!explanation.steps.is_empty());
    }
}

/// Nothing is waited for: a pipe that nobody writes into is no library.
#[test]
fn a_pipe_is_explained_and_not_read() {
    let bench = Bench::new(&["libb.so"]);
    let a = bench.library("liba.so", &["libb.so"], &[]);
    std::fs::create_dir(bench.path("bad")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(bench.path("bad/libb.so")).status().unwrap();
    assert!(made.success());
    let explanation = explained_with(&open(&a), None, &bench.text("bad"), &|_| Vec::new());
    let hints = &step(&explanation, "libb.so").hints;
    assert!(
        matches!(&hints[..], [Hint::Stopped { what, means: None, .. }] if what == "not a regular file"),
        "{hints:?}"
    );
}

/// A circle of needs, and a name that leads to the object itself.
#[test]
fn circles_come_to_an_end() {
    let bench = Bench::new(&["liba.so", "libb.so"]);
    let a = bench.library("liba.so", &["libb.so", "liba.so"], &[NEW, &rpath("$ORIGIN")]);
    bench.library("libb.so", &["liba.so", "libb.so"], &[NEW, &rpath("$ORIGIN")]);
    let explanation = explained(&open(&a));
    assert_eq!((explanation.steps.len(), explanation.missing().count()), (5, 0));
}
