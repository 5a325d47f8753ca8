//! A plugin's callback fails on one rank: one verdict that names the rank and its message; the plugin is undone on all,
//! its tasks are not found, a second try repeats the failure without running anything again, and the next plugin loads.
//!
//! Arguments: the rank (at most the last), and how: `fail`, `missing` (it opens a library that is not there), `throw` (C++),
//! `panic` (Rust), `asked` (its constructor asked for a library that the rank lacks).

use std::fs;

use dlcast::CallError;
use mpi_tests::{Fixture, Job, NOW, assert_registered_once, ids, process, text};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let culprit: i32 = arguments.next().and_then(|rank| rank.parse().ok()).expect("a rank");
    let how = arguments.next().expect("how it fails");
    let job = Job::start();
    let culprit = culprit.min(job.last());
    let session = job.attach();
    let fixture = match how.as_str() {
        "throw" => Fixture::new("throwing.cpp", "apple"),
        "asked" => {
            let wanted = job.library("wanted");
            let mine = job.enter_own_folder();
            if job.rank != culprit {
                fs::copy(&wanted, mine.join("libwanted.so")).expect("the folder is writable");
            }
            Fixture::plugin("apple").flag("-DASKS=\"/proc/self/cwd/libwanted.so\"")
        }
        _ => Fixture::plugin("apple"),
    };
    let apple = match how.as_str() {
        "panic" => {
            let program = std::env::current_exe().expect("a program has a file");
            program.parent().expect("it is in a folder").join("examples/libpanicking.so")
        }
        _ => job.build(&fixture),
    };
    let banana = job.build(&Fixture::plugin("banana"));
    if job.rank == culprit && how != "asked" {
        // SAFETY: this process has one thread that reads the environment.
        unsafe { std::env::set_var("DLCAST_TEST_apple", &how) };
    }
    for attempt in 0..2 {
        let error = session.load_global(text(&apple), NOW).expect_err("one rank fails");
        let CallError::Undone(undone) = &error else { panic!("{error}") };
        let told = undone.to_string();
        job.assert_same("the verdict", &told);
        let failing: Vec<u32> = undone.failures.iter().flat_map(|failure| failure.ranks.clone()).collect();
        assert_eq!(failing, [culprit as u32], "{told}");
        let expected = match how.as_str() {
            "fail" => "callback: told to fail",
            "missing" => "libdlcast_test_nowhere.so: cannot open shared object file",
            "throw" => "runtime_error",
            "panic" => "panicked: panicked on purpose",
            _ => "it asks for `/proc/self/cwd/libwanted.so`",
        };
        assert!(attempt == 1 || told.contains(expected), "{told}");
        assert!(how == "asked" || attempt == 0 || told.contains("it ran once in this process and failed"), "{told}");
        assert!(session.tasks().find("apple", "answer").is_err());
        assert_eq!(ids(&session), "", "nothing is registered");
        assert_eq!((process::constructed("apple"), process::constructed("apple_callback")), (1, 1));
    }
    session.load_global(text(&banana), NOW).expect("every rank can");
    assert_registered_once(&session, &["banana"]);
    job.assert_same("ids", &ids(&session));
    assert!(ids(&session).starts_with("0 banana"), "numbers of what was undone were never given: {}", ids(&session));
    job.done();
}
