//! Ranks that do not call: after the deadline the others know which, where and in which phase; the late hear it at once.
//!
//! Arguments: the absent ranks, with commas; when they are missing: `attach`, `agree`, or in their `constructor`; and
//! `reversed`, where the communicator has the ranks of MPI_COMM_WORLD in the opposite order.

use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use dlcast::{CallError, Options, Session, Timeout};
use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::*;
use mpi_tests::{Job, NOW, process, text};

const DEADLINE: Duration = Duration::from_secs(5);
/// Within this long of the deadline everybody knows.
const ROLL_CALL: Duration = Duration::from_secs(2);
/// How long the absent do something else.
const ELSEWHERE: Duration = Duration::from_secs(9);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let who = arguments.next().expect("the absent ranks");
    let when = arguments.next().expect("when they are missing");
    let absent: Vec<i32> = who.split(',').map(|rank| rank.parse().expect("a rank")).collect();
    let reversed = arguments.next().is_some_and(|word| word == "reversed");
    let job = Job::start();
    let backwards;
    let comm: &SimpleCommunicator = if reversed {
        let split = job.world.split_by_color_with_key(Color::with_value(0), job.last() - job.rank);
        // Never freed: collectives on it are given up.
        backwards = ManuallyDrop::new(split.expect("every rank has a colour"));
        &backwards
    } else {
        &job.world
    };
    let late = absent.contains(&comm.rank());
    let apple = job.library("apple");
    // Asked without dlcast, while all are there.
    let mut hosts = job.gather(&process::host());
    if std::env::var_os("DLCAST_TEST_UNKNOWN_HOSTS").is_some() && when == "attach" && !all_equal(&hosts) {
        hosts.fill("unknown host: it never attached".into());
    }
    if reversed {
        hosts.reverse();
    }
    let names = |error: &CallError, rank: i32| names(error, rank, &hosts[rank as usize]);
    let options = Options { timeout: Timeout::After(DEADLINE), ..Options::default() };

    let (error, took) = if when == "attach" {
        pause(late);
        timed(|| Session::attach(comm, options).map(|_| ()))
    } else {
        let session = Session::attach(comm, options).expect("the ranks attach");
        if when == "constructor" && late {
            // SAFETY: no other thread reads the environment.
            unsafe { std::env::set_var("DLCAST_FIXTURE_SLEEP_MS", ELSEWHERE.as_millis().to_string()) };
        } else {
            pause(late);
        }
        let (error, took) = timed(|| session.load_global(text(&apple), NOW).map(|_| ()));
        let (again, at_once) = timed(|| session.sync().map(|_| ()));
        assert!(at_once < Duration::from_millis(500), "the session refuses at once: {at_once:?}");
        assert!(matches!(&again, CallError::Ended(_)), "{again}");
        for rank in &absent {
            assert!(names(&again, *rank), "the same reason: {again}");
        }
        (error, took)
    };
    for rank in &absent {
        assert!(names(&error, *rank), "it names rank {rank}: {error}");
    }
    let told = error.to_string();
    assert!(told.contains("in phase"), "{told}");
    if late {
        let waited = if when == "constructor" { took.saturating_sub(ELSEWHERE) } else { took };
        assert!(waited < ROLL_CALL, "the late hear it at once: {waited:?}");
    } else {
        assert!(matches!(error, CallError::Deadline(_)), "{told}");
        assert!(took >= DEADLINE - Duration::from_millis(200) && took < DEADLINE + ROLL_CALL, "{took:?}");
    }
    job.say(&told);
    job.done();
}

/// Where they are not, some launchers let nobody know where a rank was placed.
fn all_equal(hosts: &[String]) -> bool {
    hosts.iter().all(|host| *host == hosts[0])
}

/// What an absent rank does instead.
fn pause(late: bool) {
    if late {
        std::thread::sleep(ELSEWHERE);
    }
}

fn timed(call: impl FnOnce() -> Result<(), CallError>) -> (CallError, Duration) {
    let begin = Instant::now();
    let error = call().expect_err("a rank is missing");
    (error, begin.elapsed())
}

/// Whether the text has this rank as a number of its own, and this host.
fn names(error: &CallError, rank: i32, host: &str) -> bool {
    let told = error.to_string();
    let (rank, last) = (rank.to_string(), (rank - 1).to_string());
    let words: Vec<&str> = told.split(|letter: char| !letter.is_alphanumeric()).collect();
    // Ranks 2 and 3 are "ranks 2-3".
    (words.contains(&rank.as_str()) || words.contains(&last.as_str())) && told.contains(&format!("({host})"))
}
