//! A library that needs the symbols of another, which is named RTLD_GLOBAL in the same round: both are loaded.
//!
//! Argument: who names them: `same` rank, `split` over the first rank and the last, or `reversed`, the last and the first.

use dlcast::OpenFlags;
use mpi_tests::{Fixture, Job, NOW, process, text};

fn main() {
    let who = std::env::args().nth(1).expect("an argument");
    let job = Job::start();
    let session = job.attach();
    let provider = job.library("provider");
    let consumer = job.build(&Fixture::new("consumer.c", "consumer").flag("-DPROVIDER=provider"));
    let (provides, consumes) = match who.as_str() {
        "same" => (0, 0),
        "split" => (0, job.last()),
        "reversed" => (job.last(), 0),
        other => panic!("no such order: {other}"),
    };
    if job.rank == provides {
        session.record_library(text(&provider), NOW | OpenFlags::GLOBAL).expect("recording is local");
    }
    if job.rank == consumes {
        session.record_library(text(&consumer), NOW).expect("recording is local");
    }
    let report = session.sync().expect("one round");
    assert!(report.undone.is_empty(), "{:?}", report.undone);
    assert_eq!(report.committed.len(), 2);
    job.assert_loaded_once(&["provider", "consumer"]);
    assert!(process::is_visible("provider_answer"), "GLOBAL at commit");
    assert!(!process::is_visible("consumer_answer"), "LOCAL stays local");
    job.done();
}
