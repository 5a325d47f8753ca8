//! Two halves of a communicator have sessions of their own: what one loads, or fails at, does not disturb the other.

use std::time::Duration;

use dlcast::{CallError, Options, Session};
use mpi::topology::Color;
use mpi::traits::*;
use mpi_tests::{Job, NOW, process, series, text};

fn main() {
    let job = Job::start();
    job.once(|| series(&job.scratch, 20));
    let half = job.rank % 2;
    let comm = job.world.split_by_color(Color::with_value(half)).expect("every rank has a colour");
    let session = Session::attach(&comm, Options::default()).expect("the half attaches");
    let load = |number: i32| {
        let path = job.scratch.join(format!("libunit{number:04}.so"));
        session.load_global(text(&path), NOW).map(|_| ())
    };
    // The halves do a different number of rounds with different libraries.
    let mine = if half == 0 { 0..3 } else { 3..10 };
    for number in mine.clone() {
        load(number).expect("the half can open it");
    }
    // One half waits for its last rank in vain, while the other goes on.
    if half == 1 {
        for number in 10..20 {
            load(number).expect("the other half's trouble is not ours");
            std::thread::sleep(Duration::from_millis(150));
        }
    } else if comm.size() > 1 {
        if comm.rank() == comm.size() - 1 {
            std::thread::sleep(Duration::from_secs(4));
        }
        let error = session.within(Duration::from_secs(1)).sync().expect_err("the last rank of the half is elsewhere");
        assert!(matches!(error, CallError::Deadline(_) | CallError::Ended(_)), "{error}");
    }
    for number in 0..20 {
        let expected = u32::from(mine.contains(&number) || (half == 1 && number >= 10));
        assert_eq!(process::constructed(&format!("unit{number:04}")), expected, "library {number}");
    }
    job.barrier();
    // MPI frees communicators only until it is finalised.
    drop(comm);
    job.done();
}
