//! All ranks ask for the same library at once: one round takes all of them, told by counts and not by time.
//!
//! That they ask at once is no chance here: every rank asks while the constructor of another library holds up the round before,
//! and is let go when all have asked.

#[path = "../../../benches-mpi/src/profile.rs"]
mod profile;

use std::sync::atomic::{AtomicBool, Ordering};

use dlcast::OpenFlags;
use dlcast::request::Request;
use dlcast::session::call::{Call, Step};
use mpi::Threading;
use mpi_tests::{Fixture, Job, assert_answers, process, text, wait_until};
use profile::Calls;

static IS_HELD: AtomicBool = AtomicBool::new(false);
static IS_FREE: AtomicBool = AtomicBool::new(false);

/// Called by the constructor of the library that holds up its round.
extern "C" fn hold() {
    IS_HELD.store(true, Ordering::SeqCst);
    wait_until("every rank has asked", || IS_FREE.load(Ordering::SeqCst));
}

fn main() {
    let job = Job::start_with(Threading::Multiple);
    let session = job.serve();
    let holding = job.build(&Fixture::new("calling.c", "holding"));
    let apple = job.library("apple");
    // SAFETY: no other thread reads the environment: the service has nothing to do yet.
    unsafe { std::env::set_var("DLCAST_FIXTURE_CALL", (hold as *const () as usize).to_string()) };
    job.barrier();
    let ask = |path: &str| {
        let request = Request::Library { spelling: path.to_owned(), flags: OpenFlags::NOW, opened: false };
        session.begin(Some(request), None).expect("the session serves")
    };

    let holder = (job.rank == 0).then(|| ask(text(&holding)));
    wait_until("the round before", || IS_HELD.load(Ordering::SeqCst));
    job.barrier();
    let call = ask(text(&apple));
    job.barrier();
    let before = Calls::so_far();
    IS_FREE.store(true, Ordering::SeqCst);
    holder.map(finished);
    let report = finished(call).sync();

    assert_eq!(report.committed.len(), 1, "{:?}", report.committed);
    let everybody: Vec<u32> = (0..session.size()).collect();
    assert_eq!((&report.committed[0].ranks, report.rounds), (&everybody, 1), "one round has taken all of them");
    let made = before.since();
    job.barrier();
    // The round before: its vote, and that all have made it visible. This one: all turn out to ask the same; its vote; that all
    // have made it visible.
    job.assert_same("collectives", &made.collectives.to_string());
    assert!(made.collectives == 5, "{made:?}");
    let sent: u64 =
        job.gather(&made.messages.to_string()).iter().map(|sent| sent.parse::<u64>().expect("a number")).sum();
    let others = u64::from(session.size()) - 1;
    // Every rank but the first is woken once, and rings once at the most.
    assert!((others..=2 * others).contains(&sent), "{sent} notes");
    if job.rank == 0 {
        job.say(&format!("{} collectives, {sent} notes in all", made.collectives));
    }
    job.assert_loaded_once(&["holding", "apple"]);
    assert_eq!(process::constructed("apple"), 1);

    // Who comes later is answered without a message.
    let before = Calls::so_far();
    let library = session.load_global(text(&apple), OpenFlags::NOW).expect("every rank has it");
    let made = before.since();
    assert_eq!((made.collectives, made.messages), (0, 0));
    assert_answers(&library, "apple");
    job.done();
}

/// What a call came to, in service mode, where there are no jobs for the caller.
fn finished(mut call: Call) -> dlcast::session::call::Outcome {
    match call.step() {
        Step::Done(outcome) => (*outcome).unwrap_or_else(|error| panic!("{error}")),
        Step::Job(_) => panic!("a job for the caller"),
    }
}
