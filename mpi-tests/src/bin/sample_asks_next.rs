//! A plugin whose constructor asks for another plugin brings it to every rank in the same call, its table and its callback
//! included; the second asks back for the first, and that ends.

use mpi_tests::{Fixture, Job, NOW, ids, process, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let first = job.build(&Fixture::sample("asks-next/first.c", "first"));
    job.build(&Fixture::sample("asks-next/second.c", "second"));
    if job.rank == job.last() {
        session.load_global(text(&first), NOW).expect("every rank can");
    } else {
        let report = session.sync().expect("every rank can");
        let committed = |library: &str| report.committed.iter().any(|committed| committed.name.ends_with(library));
        assert!(report.undone.is_empty() && committed("libfirst.so") && committed("libsecond.so"), "{report:?}");
    }
    let call = |plugin: &str, name: &str| {
        let task = session.tasks().find(plugin, name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(task.entry.signature, "c:uint64_t()");
        // SAFETY: what the signature says, and what the samples define.
        let function: extern "C" fn() -> u64 = unsafe { std::mem::transmute(task.entry.function.as_ptr()) };
        function()
    };
    assert_eq!((call("first", "cells"), call("second", "is_ready")), (64, 7));
    assert_eq!((process::times_mapped("libfirst.so"), process::times_mapped("libsecond.so")), (1, 1));
    job.assert_same("ids", &ids(&session));
    assert!(session.sync().expect("nothing is left").committed.is_empty());
    job.done();
}
