//! `unload_global` takes a plugin's tasks away on every rank at once; loading it again brings them back under new ids,
//! without a second constructor or callback; a stale id is an error that says so.

use std::fs;

use dlcast::{CallError, TaskError};
use mpi_tests::{Fixture, Job, NOW, assert_registered_once, ids, patched, text};

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

    // One rank takes it away while the others want it: neither is told that all is well when it is not.
    if job.size > 1 {
        match job.rank {
            0 => session.unload_global(text(&apple)).expect("every rank has it"),
            _ => {
                let error = session.load_global(text(&apple), NOW).expect_err("it was taken away");
                assert!(error.to_string().contains("was unloaded in the same round"), "{error}");
            }
        }
        assert!(session.tasks().find("apple", "answer").is_err());
        session.load_global(text(&apple), NOW).expect("every rank can");
    }

    // Rebuilt: another library of the same plugin name. What lies at the path by now is not what is to be unloaded.
    job.once(|| {
        let built = fs::read(&apple).expect("it was built");
        let other = job.scratch.join("rebuilt");
        fs::write(&other, patched(&built, b"another payload", b"ANOTHER payload")).expect("the folder is writable");
        fs::rename(&other, &apple).expect("the folder is writable");
    });
    let error = session.load_global(text(&apple), NOW).expect_err("the older one is still loaded");
    assert!(error.to_string().contains("unload that one first"), "{error}");
    session.unload_global(text(&apple)).expect("the older one was loaded from there");
    session.load_global(text(&apple), NOW).expect("its name is free");
    session.tasks().find("apple", "answer").expect("it is loaded");
    job.assert_same("ids", &ids(&session));
    job.done();
}
