//! A callback adds tasks to its plugin: the same on every rank, they have the same ids there. Added on some ranks only, they
//! are an error that names the ranks, and that plugin grows no more, which is said; others do. What another session of the
//! process has added disturbs nobody.

use dlcast::{CallError, CodeRef, Options, Session};
use mpi::traits::*;
use mpi_tests::{Fixture, Job, NOW, ids, text};

fn undone(outcome: Result<(), CallError>) -> String {
    match outcome {
        Err(CallError::Undone(undone)) => undone.to_string(),
        other => panic!("{other:?}"),
    }
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let paths = ["apple", "banana", "cherry"].map(|name| job.build(&Fixture::plugin(name)));
    paths.iter().for_each(|path| drop(session.load_global(text(path), NOW).expect("every rank can")));
    let [apple, banana, cherry] = ["apple", "banana", "cherry"].map(|name| {
        let path = job.scratch.join(format!("lib{name}.so"));
        CodeRef::symbol(text(&path), &format!("{name}_grow"), "").expect("it is there")
    });

    // The same everywhere.
    session.register_global(&apple, b"one", 0).expect("it adds a task");
    let one = session.tasks().find("apple", "one").expect("it was added");
    assert_eq!((one.id.plugin(), one.id.index()), (0, 2));
    job.assert_same("ids", &ids(&session));

    // A name that is taken: nothing of it is seen, and the plugin is not spoiled.
    let told = undone(session.register_global(&cherry, b"answer", 0));
    assert!(told.contains("two tasks are named `answer`"), "{told}");
    session.tasks().find("cherry", "answer").expect("it is as it was");

    if job.size > 1 {
        // Another name on one rank.
        let name: &[u8] = if job.rank == 0 { b"odd" } else { b"even" };
        let half = job.world.split_by_color(mpi::topology::Color::with_value(i32::from(job.rank == 0)));
        let half = half.expect("every rank has a colour");
        let own = Session::attach(&half, Options::default()).expect("the ranks of a half attach");
        own.load_global(text(&paths[0]), NOW).expect("it is loaded");
        own.register_global(&apple, name, 1).expect("the half agrees with itself");
        // Of which WORLD's session says nothing until somebody wants apple to grow there.
        let date = job.build(&Fixture::plugin("date"));
        session.load_global(text(&date), NOW).expect("it has to do with nobody else");
        assert!(session.tasks().find("apple", "odd").is_err() && session.tasks().find("apple", "even").is_err());
        let told = undone(session.register_global(&apple, b"two", 0));
        assert!(told.contains("plugin `apple` grows no more in this session"), "{told}");
        job.assert_same("the verdict", &told);

        // A callback that runs on one rank alone, by the program's own hand.
        if job.rank == 0 {
            own.register_global(&banana, b"alone", 0).expect("this half is this rank");
        } else {
            own.sync().expect("the others meet");
        }
        job.barrier();
        session.register_global(&banana, b"again", 1).expect_err("the ranks differ in it");
    }
    // Others grow on.
    let elder = job.build(&Fixture::plugin("elder"));
    session.load_global(text(&elder), NOW).expect("every rank can");
    let grow = CodeRef::symbol(text(&elder), "elder_grow", "").expect("it is there");
    session.register_global(&grow, b"more", 0).expect("it adds a task");
    session.tasks().find("elder", "more").expect("it was added");
    job.assert_same("ids", &ids(&session));
    job.done();
}
