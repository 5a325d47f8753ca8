//! Of the ranks of one host, one reads and hashes a file; the others take its word. On every host, because files may differ.

use std::collections::BTreeMap;

use mpi_tests::{Job, NOW, process, series, text};

const LIBRARIES: usize = 24;

fn main() {
    let job = Job::start();
    let session = job.attach();
    job.once(|| series(&job.scratch, LIBRARIES));
    for number in 0..LIBRARIES {
        let path = job.scratch.join(format!("libunit{number:04}.so"));
        session.record_library(text(&path), NOW).expect("recording is local");
    }
    let report = session.sync().expect("every rank can open every library");
    assert_eq!(report.committed.len(), LIBRARIES, "{:?}", report.undone);
    let (host, hashed) = (process::host(), dlcast::host::dl::host(None).files_hashed());
    let mut on_host: BTreeMap<String, usize> = BTreeMap::new();
    for (host, hashed) in job.gather(&host).into_iter().zip(job.gather(&hashed.to_string())) {
        *on_host.entry(host).or_default() += hashed.parse::<usize>().expect("a rank sent a number");
    }
    assert!(on_host.values().all(|&hashed| hashed == LIBRARIES), "files hashed on each host: {on_host:?}");
    job.say(&format!("{host} hashed {} files, this rank {hashed} of them", on_host[&host]));
    job.done();
}
