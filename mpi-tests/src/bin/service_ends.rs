//! How service mode ends, and what does not end it.
//!
//! Argument: `finalize` while other threads call; one rank finalises `early`, and serves on; the communicator is `freed`;
//! `attached` twice, in the same mode and in the other; a process `forks`; a rank `exits` without MPI_Finalize; a rank `panics`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dlcast::{CallError, Ended, Mode, Options, Session, Timeout};
use mpi::Threading;
use mpi::traits::*;
use mpi_tests::{Job, NOW, assert_answers, process, series, served, text, wait_until};

const LIBRARIES: usize = 400;

fn main() {
    let case = std::env::args().nth(1).expect("a case");
    let job = Job::start_with(Threading::Multiple);
    match case.as_str() {
        "finalize" => finalize(job),
        "early" => early(job),
        "freed" => freed(job),
        "attached" => attached(job),
        "forks" => forks(job),
        "exits" => exits(&job),
        "panics" => panics(&job),
        other => panic!("{other:?} is no case"),
    }
}

fn path(job: &Job, number: usize) -> String {
    text(&job.scratch.join(format!("libunit{number:04}.so"))).to_owned()
}

/// Every call of the threads is either carried out, or told that it is over.
fn finalize(mut job: Job) {
    let session = job.serve();
    job.once(|| series(&job.scratch, LIBRARIES));
    let done = AtomicU32::new(0);
    let paths: Vec<String> = (0..LIBRARIES).map(|number| path(&job, number)).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|first| {
                let (session, done, paths) = (&session, &done, &paths);
                scope.spawn(move || {
                    for number in (first..).step_by(3) {
                        match session.load_global(&paths[number % LIBRARIES], NOW) {
                            Ok(_) => done.fetch_add(1, Ordering::SeqCst),
                            Err(error) => return error,
                        };
                    }
                    unreachable!("there is no end of numbers")
                })
            })
            .collect();
        wait_until("some loads", || done.load(Ordering::SeqCst) > 5);
        let start = Instant::now();
        job.finalize();
        assert!(start.elapsed() < Duration::from_secs(20), "MPI_Finalize took {:?}", start.elapsed());
        for thread in threads {
            let error = thread.join().expect("it has an end");
            assert!(error.to_string().contains("finalised"), "{error}");
        }
    });
    job.done();
}

/// A rank that has said goodbye takes part until all have, however long that takes: it waits for nobody who is dead.
fn early(mut job: Job) {
    const DEADLINE: Duration = Duration::from_secs(2);
    let session = job.serve_within(DEADLINE);
    let apple = job.library("apple");
    if job.rank == 0 {
        job.finalize();
    } else {
        thread::sleep(DEADLINE * 2 + Duration::from_secs(1));
        if job.rank == job.last() {
            let library = session.load_global(text(&apple), NOW).expect("the first rank serves on");
            assert_answers(&library, "apple");
        }
        Session::leave();
        let error = session.load_global(text(&apple), NOW).map(|_| ()).expect_err("it has said goodbye");
        assert!(matches!(error, CallError::Ended(_)), "{error}");
        job.finalize();
    }
    assert_eq!(process::constructed("apple"), 1);
    job.done();
}

fn freed(job: Job) {
    let other = job.serve();
    let (apple, pear) = (job.library("apple"), job.library("pear"));
    let comm = job.world.duplicate();
    let session = Session::attach(&comm, served(Timeout::Default)).expect("the ranks attach");
    if job.rank == job.last() {
        session.load_global(text(&apple), NOW).expect("every rank can open it");
    }
    job.barrier();
    // A thread calls while it is freed: its calls are carried out, or told.
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            loop {
                if let Err(error) = session.sync() {
                    return error;
                }
            }
        });
        thread::sleep(Duration::from_millis(50));
        drop(comm);
        let error = caller.join().expect("it has an end");
        assert!(matches!(error, CallError::Ended(Ended::Freed)), "{error}");
    });
    let error = session.load_global(text(&pear), NOW).map(|_| ()).expect_err("its communicator is gone");
    assert!(matches!(error, CallError::Ended(Ended::Freed)), "{error}");
    if job.rank == 0 {
        assert_answers(&other.load_global(text(&pear), NOW).expect("this session has its own"), "pear");
    }
    job.barrier();
    job.assert_loaded_once(&["apple", "pear"]);
    // Many, one after the other: nothing is left behind.
    for _ in 0..300 {
        let comm = job.world.duplicate();
        Session::attach(&comm, served(Timeout::Default)).expect("MPI has communicators left");
        drop(comm);
    }
    job.done();
}

fn attached(job: Job) {
    let first = job.serve();
    let apple = job.library("apple");
    // Local: one rank alone may do it.
    if job.rank == 0 {
        let second = job.serve();
        let third = Session::attach(&job.world, Options::default()).expect("whatever the mode");
        for session in [&second, &third] {
            session.load_global(text(&apple), NOW).expect("every rank can open it");
        }
        let collective = Options { mode: Some(Mode::Collective), ..Options::default() };
        let error = Session::attach(&job.world, collective).map(|_| ()).expect_err("it serves");
        assert!(matches!(error, CallError::Invalid(_)) && error.to_string().contains("service mode"), "{error}");
    }
    job.barrier();
    assert_answers(&first.load_global(text(&apple), NOW).expect("it is there"), "apple");
    job.assert_loaded_once(&["apple"]);
    job.done();
}

fn forks(job: Job) {
    let session = job.serve();
    let (apple, pear) = (job.library("apple"), job.library("pear"));
    session.load_global(text(&apple), NOW).expect("every rank can open it");
    job.barrier();
    // SAFETY: the child calls what it must not call, to see that it is refused, writes a byte, and is gone without cleaning up.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let load = session.load_global(text(&pear), NOW).map(|_| ());
        let sync = session.sync().map(|_| ());
        let attach = Session::attach(&job.world, served(Timeout::Default)).map(|_| ());
        let is_refused = [load, sync, attach]
            .iter()
            .all(|told| told.as_ref().is_err_and(|error| error.to_string().contains("forked")));
        // SAFETY: ends the child at once: MPI, which it shares with its parent, is not finalised.
        unsafe { libc::_exit(if is_refused { 17 } else { 18 }) };
    }
    let mut status = 0;
    // SAFETY: the child is this process's own; the pointer is to a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(libc::WEXITSTATUS(status), 17, "the child was not refused, or not in time: {status}");
    if job.rank == job.last() {
        assert_answers(&session.load_global(text(&pear), NOW).expect("the parent goes on"), "pear");
    }
    job.barrier();
    job.assert_loaded_once(&["apple", "pear"]);
    job.done();
}

/// What the launcher makes of it is the launcher's; but the process itself goes at once, though its threads serve.
fn exits(job: &Job) {
    let session = job.serve();
    let apple = job.library("apple");
    session.load_global(text(&apple), NOW).expect("every rank can open it");
    job.barrier();
    if job.rank == job.last() {
        job.say("exits");
        std::process::exit(3);
    }
    // Nobody comes.
    thread::sleep(Duration::from_secs(50));
}

fn panics(job: &Job) {
    let session = job.serve();
    let apple = job.library("apple");
    session.load_global(text(&apple), NOW).expect("every rank can open it");
    assert_ne!(job.rank, job.last(), "meant to be seen");
    thread::sleep(Duration::from_secs(50));
}
