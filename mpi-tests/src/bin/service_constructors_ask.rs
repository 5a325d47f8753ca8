//! The classical deadlock: rank 0 is in the constructor of one library, rank 1 in that of another, and each wants a library of
//! its own everywhere, from there. Nothing waits in a constructor: both get what they want.
//!
//! Argument: who opens the two, `dlcast` or the program itself, `plainly`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use dlcast::{CallError, Session};
use mpi::Threading;
use mpi_tests::{Fixture, Job, NOW, process, text, wait_until};

/// What a constructor asks for, in the order in which they run.
static INSIDE: OnceLock<(Session, Vec<String>)> = OnceLock::new();
static RUNS: AtomicU32 = AtomicU32::new(0);
/// Both ranks have reached their constructors.
static BOTH: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

extern "C" fn ask() {
    let run = RUNS.fetch_add(1, Ordering::SeqCst) as usize;
    let (session, wanted) = INSIDE.get().expect("set before the libraries are opened");
    if let Some(both) = BOTH.get() {
        both();
    }
    let error = session.load_global(&wanted[run], NOW).expect_err("nothing may wait inside a constructor");
    assert!(matches!(error, CallError::Nested), "{error}");
}

fn main() {
    let how = std::env::args().nth(1).expect("`dlcast` or `plainly`");
    let job = Job::start_with(Threading::Multiple);
    let session = job.serve();
    let fruit = [job.library("apple"), job.library("pear")];
    let calling = ["first", "second"].map(|name| job.build(&Fixture::new("calling.c", name)));
    // SAFETY: no other thread reads the environment: the service has nothing to do yet.
    unsafe { std::env::set_var("DLCAST_FIXTURE_CALL", (ask as *const () as usize).to_string()) };
    let mut wanted: Vec<String> = fruit.iter().map(|path| text(path).to_owned()).collect();
    if how == "plainly" {
        wanted.rotate_left(job.rank as usize % 2);
        // Told by files, and not by MPI: that is forbidden there.
        let (scratch, rank) = (job.scratch.clone(), job.rank);
        let both = move || {
            std::fs::write(scratch.join(format!("inside-{rank}")), "").expect("the folder is writable");
            wait_until("the other constructor", || (0..2).all(|rank| scratch.join(format!("inside-{rank}")).exists()));
        };
        assert!(BOTH.set(Box::new(both)).is_ok());
    }
    assert!(INSIDE.set((session.clone(), wanted)).is_ok());
    job.barrier();

    if job.rank < 2 {
        let own = &calling[job.rank as usize];
        match how.as_str() {
            "dlcast" => _ = session.load_global(text(own), NOW).expect("every rank can open it"),
            _ => process::open_plainly(own),
        }
    }
    job.barrier();
    // What dlcast loads is complete when its call returns; what the program opens itself nobody waits for.
    wait_until("what the constructors want", || {
        how == "dlcast" || ["libapple.so", "libpear.so"].iter().all(|name| process::times_mapped(name) == 1)
    });
    session.sync().expect("the service goes on");
    job.barrier();
    assert_eq!((process::constructed("apple"), process::constructed("pear")), (1, 1));
    let both = process::constructed("first") + process::constructed("second");
    let opened = if how == "dlcast" { 2 } else { u32::from(job.rank < 2) };
    assert_eq!(both, opened);
    job.done();
}
