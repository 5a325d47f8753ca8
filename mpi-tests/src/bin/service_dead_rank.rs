//! A rank that does not answer any more, though its process is there or was: nobody waits longer than the deadline, and all
//! name it. A rank that is only stopped hears the same when it goes on.
//!
//! Argument: the last rank is `stopped` (SIGSTOP), or `killed` (SIGKILL) under a launcher that does not clean up.

use std::time::{Duration, Instant};

use dlcast::CallError;
use mpi::Threading;
use mpi_tests::{Job, NOW, process, text};

const DEADLINE: Duration = Duration::from_secs(3);
/// A roll-call, and a slow machine.
const ROLL_CALL: Duration = Duration::from_secs(4);

fn main() {
    let case = std::env::args().nth(1).expect("`stopped` or `killed`");
    let job = Job::start_with(Threading::Multiple);
    let launcher = mpi::environment::library_version().unwrap_or_default();
    if case == "killed" && !launcher.starts_with("Open MPI v4") {
        // Only this launcher can be told by the environment not to end the others.
        return job.done();
    }
    let session = job.serve_within(DEADLINE);
    let apple = job.library("apple");
    let processes = job.gather(&std::process::id().to_string());
    let victim: libc::pid_t = processes[job.last() as usize].parse().expect("a process id");
    job.barrier();
    if job.rank == job.last() {
        let signal = if case == "stopped" { libc::SIGSTOP } else { libc::SIGKILL };
        // SAFETY: kill takes numbers, and they are this process's own.
        unsafe { libc::kill(victim, signal) };
        // Here goes on who was stopped.
        let error = session.load_global(text(&apple), NOW).map(|_| ()).expect_err("the others have given up");
        assert_names(&error, job.last());
        job.say(&error.to_string());
        // The verdict was waiting.
        return job.done();
    }
    wait_for(victim, if case == "stopped" { "T" } else { "Z" });

    // Rank 0 and the one before the last call; with enough ranks one between does not, and hears of it all the same.
    let start = Instant::now();
    if job.rank == 0 || job.rank == job.last() - 1 {
        let error = session.load_global(text(&apple), NOW).map(|_| ()).expect_err("the last rank does not answer");
        let took = start.elapsed();
        assert!(took < DEADLINE + ROLL_CALL, "{took:?}");
        assert_names(&error, job.last());
        job.say(&format!("after {took:.1?}: {error}"));
    } else {
        while session.record_library("libnone.so", NOW).is_ok() {
            assert!(start.elapsed() < DEADLINE + ROLL_CALL, "the session has not ended here");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    // From now on at once.
    let start = Instant::now();
    let error = session.load_global(text(&apple), NOW).map(|_| ()).expect_err("the session has ended");
    assert!(matches!(error, CallError::Ended(_)), "{error}");
    assert_names(&error, job.last());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    job.assert_untouched("apple");
    if case == "killed" {
        // MPI_Finalize would wait for the dead.
        job.say("ok");
        std::process::exit(0);
    }
    // Until all have seen it: messages of MPI, too, are left behind by a rank that is stopped.
    std::thread::sleep(ROLL_CALL);
    if job.rank == 0 {
        // SAFETY: kill takes numbers; the process is the last rank's, which is stopped.
        unsafe { libc::kill(victim, libc::SIGCONT) };
    }
    job.done();
}

/// Until a process on this host is in a state; "Z", a zombie, may be gone altogether.
fn wait_for(process: libc::pid_t, state: &str) {
    mpi_tests::wait_until("the last rank stops", || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let is = stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with(state));
        is.unwrap_or(state == "Z")
    });
}

fn assert_names(error: &CallError, rank: i32) {
    let told = error.to_string();
    assert!(told.contains(&format!("rank {rank} ({})", process::host())), "{told}");
}
