//! Code whose library is another one on one rank is an error that names the rank, never a wrong jump.
//!
//! Argument: the rank that has another library (at most the last).

use std::fs;

use dlcast::{CallError, CodeRef, wire};
use mpi::traits::*;
use mpi_tests::{Fixture, Job, patched, process};

fn main() {
    let job = Job::start();
    let culprit = std::env::args().nth(1).and_then(|rank| rank.parse::<i32>().ok()).expect("a rank").min(job.last());
    let session = job.attach();
    let path = job.build(&Fixture::new("code.cpp", "code"));
    let bytes = fs::read(&path).expect("it was built");
    let mine = job.enter_own_folder().join("libcode.so");
    let own = if job.rank == culprit { patched(&bytes, b"dlcast-fixture-data", b"dlcast-fixture-DATA") } else { bytes };
    fs::write(&mine, own).expect("the folder is writable");
    job.barrier();
    job.once(|| fs::remove_file(&path).expect("it was built"));

    let mut encoded = match job.rank {
        0 => wire::encode(&CodeRef::symbol("/proc/self/cwd/libcode.so", "code_trampoline", "").expect("it is there")),
        _ => Vec::new(),
    };
    let mut length = encoded.len();
    job.world.process_at_rank(0).broadcast_into(&mut length);
    encoded.resize(length, 0);
    job.world.process_at_rank(0).broadcast_into(&mut encoded[..]);
    let code: CodeRef = wire::decode(&encoded, job.size as u32).expect("it was sent");

    // Together: one verdict.
    let error = session.register_global(&code, b"x", 1).expect_err("one rank has another library");
    let CallError::Undone(undone) = &error else { panic!("{error}") };
    job.assert_same("the verdict", &undone.to_string());
    let failing: Vec<u32> = undone.failures.iter().flat_map(|failure| failure.ranks.clone()).collect();
    assert_eq!(failing, [culprit as u32], "{undone}");
    assert!(undone.to_string().contains("give all ranks the same file"), "{undone}");
    // By itself: this rank's own error.
    match session.resolve(&code, None) {
        Ok(_) => assert_ne!(job.rank, culprit),
        Err(error) => {
            assert_eq!((job.rank, error.rank), (culprit, culprit as u32), "{error}");
            assert!(error.to_string().starts_with(&format!("rank {culprit} (")), "{error}");
            assert!(error.what.contains("give all ranks the same file"), "{error}");
            assert_eq!(process::constructed("code"), 0, "it was not even opened");
        }
    }
    job.done();
}
