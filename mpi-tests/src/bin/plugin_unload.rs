//! `unload_global` takes a plugin's tasks away on every rank at once; loading it again brings them back under new ids,
//! without a second constructor or callback; a stale id is an error that says so.

use dlcast::{CallError, TaskError};
use mpi_tests::{Fixture, Job, NOW, assert_registered_once, ids, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let apple = job.build(&Fixture::plugin("apple"));
    let banana = job.build(&Fixture::plugin("banana"));
    session.load_global(text(&apple), NOW).expect("every rank can");
    session.load_global(text(&banana), NOW).expect("every rank can");
    let stale = session.tasks().find("apple", "answer").expect("it is loaded").id;
    // One rank alone calls it by another name than the others, as with every verb.
    match job.rank {
        0 => session.unload_global(text(&apple)).expect("every rank has it"),
        _ => assert!(session.sync().expect("the ranks meet").undone.is_empty()),
    }
    let error = session.tasks().get(stale).expect_err("it is stale");
    assert_eq!(error, TaskError::Stale { id: stale, plugin: "apple".into() });
    let error = session.tasks().find("apple", "answer").expect_err("it is unloaded");
    assert_eq!(error.to_string(), "no plugin `apple` is loaded; loaded are banana");
    assert_registered_once(&session, &["banana"]);

    let error = session.unload_global(text(&apple)).expect_err("it is unloaded already");
    let CallError::Undone(undone) = &error else { panic!("{error}") };
    assert!(undone.to_string().contains("this session has not loaded it"), "{undone}");
    assert_eq!(undone.failures[0].ranks.len(), job.size as usize, "{undone}");

    session.load_global(text(&apple), NOW).expect("every rank can");
    let fresh = session.tasks().find("apple", "answer").expect("it is loaded").id;
    assert_ne!(fresh, stale);
    assert!(session.tasks().get(stale).is_err(), "an old id never means something new");
    assert_registered_once(&session, &["apple", "banana"]);
    job.assert_same("ids", &ids(&session));
    job.done();
}
