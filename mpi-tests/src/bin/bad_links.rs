//! A good file that one rank, or no rank, can link: the others' constructors ran, yet nothing is visible anywhere.
//!
//! Arguments: `dependency` or `symbol`, which is missing, and `one` for the last rank alone or `all`.

use std::fs;

use dlcast::{CallError, OpenFlags};
use mpi_tests::{Fixture, Job, process, text};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (what, one) = (arguments.next().expect("what is missing"), arguments.next().expect("`one` or `all`") == "one");
    let job = Job::start();
    let session = job.attach();
    let provider = job.library("provider");
    let fixture = match what.as_str() {
        "dependency" => Fixture::new("counted.c", "apple")
            .flag("-Wl,--no-as-needed")
            .flag(text(&provider))
            .flag("-Wl,-rpath,/proc/self/cwd"),
        "symbol" => Fixture::new("consumer.c", "apple").flag("-DPROVIDER=provider"),
        other => panic!("no such fault: {other}"),
    };
    let apple = job.build(&fixture);
    let mine = job.enter_own_folder().join("libprovider.so");
    let provided = one && job.rank != job.last();
    if provided && what == "dependency" {
        fs::copy(&provider, mine).expect("the folder is writable");
    } else if provided {
        // The program's own doing; dlcast has no part in it.
        process::open_globally(&provider);
    }
    let error = session.load_global(text(&apple), OpenFlags::NOW | OpenFlags::GLOBAL).expect_err("it cannot be linked");
    let CallError::Undone(undone) = &error else { panic!("{error}") };
    let mut failing: Vec<u32> = undone.failures.iter().flat_map(|failure| failure.ranks.clone()).collect();
    failing.sort_unstable();
    let expected: Vec<u32> = if one { vec![job.last() as u32] } else { (0..job.size as u32).collect() };
    assert_eq!(failing, expected, "{undone}");
    assert!(undone.to_string().contains("provider"), "it says what is missing: {undone}");
    job.assert_same("the error", &undone.to_string());
    job.assert_invisible("apple");
    assert_eq!(process::constructed("apple"), u32::from(provided));
    job.done();
}
