//! A library that cannot be unloaded is undone because one rank lacks its dependency, and loaded by a second try, without
//! a crash and without a second constructor.
//!
//! Argument: why it cannot be unloaded: `threaded`, `unique`, `nodelete`; or `plain`.

use std::fs;
use std::time::Duration;

use dlcast::{CallError, OpenFlags};
use mpi_tests::{Fixture, Job, assert_answers, process};

fn main() {
    let why = std::env::args().nth(1).expect("an argument");
    let job = Job::start();
    let session = job.attach();
    let source = match why.as_str() {
        "threaded" => "threaded.c",
        "unique" => "unique.cpp",
        _ => "counted.c",
    };
    let dependency = job.library("dependency");
    let mut fixture = Fixture::new(source, "apple")
        .flag("-Wl,--no-as-needed")
        .flag(dependency.to_str().expect("a plain name"))
        .flag("-Wl,-rpath,/proc/self/cwd");
    if why == "nodelete" {
        fixture = fixture.flag("-Wl,-z,nodelete");
    }
    let apple = job.build(&fixture);
    let mine = job.enter_own_folder().join("libdependency.so");
    if job.rank != job.last() {
        fs::copy(&dependency, &mine).expect("the folder is writable");
    }
    let path = apple.to_str().expect("a plain name");
    let flags = OpenFlags::NOW | OpenFlags::GLOBAL;

    let error = session.load_global(path, flags).expect_err("the last rank lacks the dependency");
    let CallError::Undone(undone) = &error else { panic!("{error}") };
    let failing: Vec<u32> = undone.failures.iter().flat_map(|failure| failure.ranks.clone()).collect();
    assert_eq!(failing, [job.last() as u32], "{undone}");
    assert!(undone.to_string().contains("libdependency.so"), "{undone}");
    job.assert_invisible("apple");
    // A thread of an unmapped library would crash now.
    std::thread::sleep(Duration::from_millis(100));

    if job.rank == job.last() {
        fs::copy(&dependency, &mine).expect("the folder is writable");
    }
    let library = session.load_global(path, flags).expect("now every rank has all of it");
    assert_answers(&library, "apple");
    assert!(process::is_visible("apple_answer"), "promoted at commit");
    assert_eq!((process::times_mapped("libapple.so"), process::constructed("apple")), (1, 1));
    job.done();
}
