//! However a plugin comes to the ranks, its constructor and its callback run once in every process, and its tasks are
//! there under the same ids.
//!
//! Argument: `once`, `twice`, `two_paths`, `all`, `half`, `plainly` (rank 0 alone opens it, without dlcast), `chain`
//! (constructors that ask for the next), `cycle`.

use mpi_tests::{Fixture, Job, NOW, assert_registered_once, ids, process, text};

fn main() {
    let how = std::env::args().nth(1).expect("an argument");
    let job = Job::start();
    let session = job.attach();
    let apple = Fixture::plugin("apple");
    let mut expected = vec!["apple"];
    let path = match how.as_str() {
        "chain" | "cycle" => {
            let cherry = Fixture::plugin("cherry");
            job.build(&if how == "cycle" { cherry.asking_for("apple") } else { cherry });
            job.build(&Fixture::plugin("banana").asking_for("cherry"));
            expected.extend(["banana", "cherry"]);
            job.build(&apple.asking_for("banana"))
        }
        _ => job.build(&apple),
    };
    let link = job.scratch.join("another_name.so");
    job.once(|| std::os::unix::fs::symlink(&path, &link).expect("the folder is writable"));
    match how.as_str() {
        "plainly" if job.rank == 0 => session.record(|| process::open_plainly(&path)).expect("recording is local"),
        "once" | "chain" | "cycle" if job.rank == 0 => session.record_library(text(&path), NOW).expect("local"),
        "half" if job.rank % 2 == 1 || job.size == 1 => session.record_library(text(&path), NOW).expect("local"),
        "two_paths" => {
            let mine = if job.rank % 2 == 0 { &path } else { &link };
            session.record_library(text(mine), NOW).expect("local");
            session.record_library(text(&link), NOW).expect("local");
        }
        "all" | "twice" => {
            session.load_global(text(&path), NOW).expect("every rank can");
        }
        _ => {}
    }
    let report = session.sync().expect("every rank can");
    assert!(report.undone.is_empty(), "{:?}", report.undone);
    if how == "twice" {
        session.load_global(text(&link), NOW).expect("it is loaded");
        job.barrier();
        session.load_global(text(&path), NOW).expect("it is loaded");
    }
    assert_registered_once(&session, &expected);
    job.assert_same("ids", &ids(&session));
    assert_eq!(session.tasks().plugins().count(), expected.len());
    job.done();
}
