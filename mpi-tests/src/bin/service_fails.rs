//! What fails in service mode fails alone: the session goes on, and the caller is told which rank, where, with what.
//!
//! Argument: a library that the last rank `lacks`; the library worker of the last rank `stuck` in a constructor beyond the
//! session's deadline, or `for_ever`; a caller that is `impatient`, and gives up before the session does.

#[path = "../../../benches-mpi/src/profile.rs"]
mod profile;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dlcast::{CallError, Phase, Session, Undone};
use mpi::Threading;
use mpi_tests::{Fixture, Job, NOW, assert_answers, process, text, wait_until};
use profile::Calls;

const DEADLINE: Duration = Duration::from_secs(2);
/// How much later than at its deadline a caller hears at the latest.
const LATER: Duration = Duration::from_secs(4);

static IS_INSIDE: AtomicBool = AtomicBool::new(false);
static IS_FREE: AtomicBool = AtomicBool::new(false);
static IS_LAST: AtomicBool = AtomicBool::new(false);

/// Called by a constructor, which it holds up on the last rank.
extern "C" fn hold() {
    if IS_LAST.load(Ordering::SeqCst) {
        IS_INSIDE.store(true, Ordering::SeqCst);
        while !IS_FREE.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn main() {
    let case = std::env::args().nth(1).expect("a case");
    let job = Job::start_with(Threading::Multiple);
    IS_LAST.store(job.rank == job.last(), Ordering::SeqCst);
    // SAFETY: no other thread reads the environment: there is none yet.
    unsafe { std::env::set_var("DLCAST_FIXTURE_CALL", (hold as *const () as usize).to_string()) };
    let (apple, holding) = (job.library("apple"), job.build(&Fixture::new("calling.c", "holding")));
    match case.as_str() {
        "lacks" => lacks(&job),
        "stuck" => stuck(&job, &holding),
        "for_ever" => return for_ever(job, &holding),
        "impatient" => impatient(&job, &holding),
        other => panic!("{other:?} is no case"),
    }
    // The service goes on.
    let session = job.serve();
    if job.rank == 0 {
        assert_answers(&session.load_global(text(&apple), NOW).expect("every rank can open it"), "apple");
    }
    job.barrier();
    assert_eq!(process::constructed("apple"), 1);
    job.done();
}

fn lacks(job: &Job) {
    let session = job.serve();
    let file = job.enter_own_folder().join("libpear.so");
    let pear = job.library("pear");
    if job.rank != job.last() {
        std::fs::copy(pear, file).expect("the folder is writable");
    }
    job.barrier();
    if job.rank == 0 {
        let undone = undone(&session, "/proc/self/cwd/libpear.so");
        assert_eq!(undone.failures.len(), 1, "{undone}");
        assert_eq!(undone.failures[0].ranks, [job.last() as u32], "{undone}");
        job.say(&undone.to_string());
    }
    job.barrier();
    job.assert_untouched("pear");
}

fn stuck(job: &Job, holding: &std::path::Path) {
    let session = job.serve_within(DEADLINE);
    let (quick, later) = (job.library("quick"), job.library("later"));
    if job.rank == 0 {
        let start = Instant::now();
        let told = undone(&session, text(holding));
        assert!((DEADLINE..DEADLINE + LATER).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert_names(job, &told, Phase::Open, "opening `");
        assert!(told.to_string().contains("libholding.so"), "{told}");
        job.say(&told.to_string());
    }
    if job.rank == job.last() {
        // It may record, and is told itself what is the matter when it asks.
        wait_until("the constructor", || IS_INSIDE.load(Ordering::SeqCst));
        session.record_library(text(&later), NOW).expect("recording is local");
        assert_names(job, &undone(&session, text(&quick)), Phase::Resolve, "the library worker is still opening `");
        assert!(session.sync().expect("the service goes on").committed.is_empty());
    } else if job.rank == 0 {
        // As long as it is stuck, others are told so, at once.
        let start = Instant::now();
        let told = undone(&session, text(&quick));
        assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
        assert_names(job, &told, Phase::Stage, "the library worker is still opening `");
        job.say(&told.to_string());
    }
    job.barrier();
    // On the last rank the loader's lock is held.
    if job.rank != job.last() {
        job.assert_invisible("quick");
    }
    // What is recorded there does not keep the ranks busy.
    let before = Calls::so_far();
    std::thread::sleep(Duration::from_millis(500));
    assert!(before.since().collectives <= 3, "{:?}", before.since());
    job.barrier();
    IS_FREE.store(true, Ordering::SeqCst);
    // It comes back: then everything can be had, and nothing runs twice.
    wait_until("what was recorded", || process::times_mapped("liblater.so") == 1);
    if job.rank == 0 {
        session.load_global(text(&quick), NOW).expect("every rank can open it");
        session.load_global(text(holding), NOW).expect("it is there");
    }
    job.barrier();
    let runs = ["holding", "quick", "later"].map(process::constructed);
    assert_eq!(runs, [1, 1, 1]);
}

/// A process in a constructor cannot end: it says so, and the job ends.
fn for_ever(mut job: Job, holding: &std::path::Path) {
    let session = job.serve_within(DEADLINE);
    if job.rank == 0 {
        assert_names(&job, &undone(&session, text(holding)), Phase::Open, "opening `");
    }
    job.barrier();
    job.finalize();
    assert_ne!(job.rank, job.last(), "the constructor has not ended");
    loop {
        std::thread::park();
    }
}

fn impatient(job: &Job, holding: &std::path::Path) {
    let session = job.serve();
    if job.rank == 0 {
        let start = Instant::now();
        let error = session.within(DEADLINE).load_global(text(holding), NOW).expect_err("it takes longer");
        let took = start.elapsed();
        assert!((DEADLINE..DEADLINE + LATER).contains(&took), "{took:?}");
        let CallError::Deadline(missed) = &error else { panic!("{error}") };
        assert!(missed.missing.is_empty(), "every rank answers: {error}");
        let busy: Vec<(u32, &str)> = missed.behind.iter().map(|absent| (absent.rank, &*absent.host)).collect();
        assert_eq!(busy, [(job.last() as u32, &*process::host())], "{error}");
        assert!(error.to_string().contains("opening `") && error.to_string().contains("libholding.so"), "{error}");
        job.say(&error.to_string());
    }
    job.barrier();
    assert_eq!(IS_INSIDE.load(Ordering::SeqCst), job.rank == job.last());
    IS_FREE.store(true, Ordering::SeqCst);
    // The caller has given up, the request has not.
    wait_until("the library", || process::times_mapped("libholding.so") == 1);
    if job.rank == 0 {
        session.load_global(text(holding), NOW).expect("every rank has it");
    }
    job.barrier();
    assert_eq!(process::constructed("holding"), 1);
}

/// Why this cannot be loaded.
fn undone(session: &Session, path: &str) -> Undone {
    let error = session.load_global(path, NOW).expect_err("the last rank cannot");
    let CallError::Undone(undone) = error else { panic!("{error}") };
    undone
}

/// The last rank, its host, the phase, and what it is at.
fn assert_names(job: &Job, undone: &Undone, phase: Phase, doing: &str) {
    assert_eq!(undone.failures.len(), 1, "{undone}");
    let failure = &undone.failures[0];
    assert_eq!((&*failure.ranks, failure.phase), (&[job.last() as u32][..], phase), "{undone}");
    assert_eq!(failure.hosts, [process::host()]);
    assert!(failure.message.contains(doing), "{undone}");
}
