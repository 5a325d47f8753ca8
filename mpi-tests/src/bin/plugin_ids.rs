//! Twenty plugins, recorded by each rank in an order of its own, some in rounds of their own: the ids of all tasks are
//! equal on all ranks.

use mpi_tests::{Fixture, Job, NOW, assert_registered_once, ids, text};

const PLUGINS: usize = 20;

fn main() {
    let job = Job::start();
    let session = job.attach();
    let names: Vec<String> = (0..PLUGINS).map(|number| format!("plug{number:02}")).collect();
    job.once(|| {
        for name in &names {
            Fixture::plugin(name).build(&job.scratch);
        }
    });
    let mut order: Vec<usize> = (0..PLUGINS).collect();
    fastrand::Rng::with_seed(job.rank as u64).shuffle(&mut order);
    for round in order.chunks(PLUGINS / 2) {
        for &number in round {
            let path = job.scratch.join(format!("lib{}.so", names[number]));
            session.record_library(text(&path), NOW).expect("recording is local");
        }
        let report = session.sync().expect("every rank can open every plugin");
        assert!(report.undone.is_empty(), "{:?}", report.undone);
        job.assert_same("ids", &ids(&session));
    }
    assert_eq!(session.tasks().plugins().count(), PLUGINS);
    assert_registered_once(&session, &names.iter().map(String::as_str).collect::<Vec<_>>());
    job.done();
}
