//! Random trees of objects, paths and bad files, on which the real ld.so and ours must go the same way.

use std::os::unix::fs::symlink;

use super::fixture::{Bench, ask, seen};
use super::*;

const NAMES: [&str; 4] = ["liba.so", "libb.so", "libc_.so", "libd.so"];
const FOLDERS: [&str; 4] = ["one", "two", "three", "one/deep"];

fn some<'a>(random: &mut fastrand::Rng, of: &[&'a str], most: usize) -> Vec<&'a str> {
    (0..random.usize(..=most)).map(|_| of[random.usize(..of.len())]).collect()
}

/// RPATH or RUNPATH, of tokens, plain paths and nonsense.
fn path_flags(bench: &Bench, random: &mut fastrand::Rng) -> Vec<String> {
    let plain = FOLDERS.map(|folder| bench.text(folder));
    let mut entries = vec!["$ORIGIN", "${ORIGIN}/../two", "$ORIGIN/deep/", "$NOTHING/x", "/nowhere", "$ORIGIN/..", ""];
    entries.extend(plain.iter().map(String::as_str));
    let path = some(random, &entries, 4).join(":");
    let tags = if random.bool() { "--enable-new-dtags" } else { "--disable-new-dtags" };
    match path.as_str() {
        "" => Vec::new(),
        path => vec![format!("-Wl,{tags}"), format!("-Wl,-rpath,{path}")],
    }
}

/// A tree, and a program in it; the LD_LIBRARY_PATH to run it with.
fn plant(bench: &Bench, random: &mut fastrand::Rng) -> (PathBuf, String) {
    for folder in FOLDERS {
        std::fs::create_dir_all(bench.path(folder)).unwrap();
        for name in NAMES {
            let at = format!("{folder}/{name}");
            let path = bench.path(&at);
            let _gone = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path));
            match random.usize(..16) {
                0 => std::fs::write(&path, fixture::foreign()).unwrap(),
                1 => symlink("nowhere", &path).unwrap(),
                2 => symlink(name, &path).unwrap(),
                3 => symlink(bench.path(FOLDERS[0]).join(NAMES[random.usize(..4)]), &path).unwrap(),
                4 if random.usize(..4) == 0 => std::fs::write(&path, "text").unwrap(),
                5..=9 => {
                    let soname = format!("-Wl,-soname,{}", NAMES[random.usize(..4)]);
                    let mut flags = path_flags(bench, random);
                    flags.extend(random.bool().then_some(soname));
                    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                    bench.library(&at, &some(random, &NAMES, 3), &flags);
                }
                _ => {}
            }
        }
    }
    let flags = path_flags(bench, random);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let program = bench.program("program", &some(random, &NAMES, 4), &flags);
    let folders: Vec<String> = some(random, &FOLDERS, 3).into_iter().map(|folder| bench.text(folder)).collect();
    (program, folders.join(":"))
}

/// `DLCAST_SEARCH_RUNS` sets the number of trees; thousands were run by hand.
#[test]
fn random_trees_are_searched_as_ld_so_searches_them() {
    let bench = Bench::new(&NAMES);
    let system = fixture::system();
    for seed in 0..crate::config::search_runs() {
        let random = &mut fastrand::Rng::with_seed(seed);
        let (program, library_path) = plant(&bench, random);
        let disk = Disk::default();
        let mut process = Process::empty(&system, &disk, Some("/lib64/ld-linux-x86-64.so.2"));
        process.set_library_path(Process::library_path(&program, &library_path, &system));
        let needs = process.start(&program).unwrap();
        let trails: Vec<&Trail> = needs.iter().map(|need| &need.trail).collect();
        let (theirs, told) = ask(&program, &[], Some(&library_path), true);
        assert_eq!(seen(&trails, true), theirs, "seed {seed}, LD_LIBRARY_PATH={library_path}\n{told}");
    }
}
