//! Service mode needs MPI_THREAD_MULTIPLE: where any rank has less, all ranks are told which, and what it has. Ranks that want
//! different modes are told so, too. Another session of the same communicator can be had afterwards.
//!
//! Argument: what the last rank has, `single`, `funneled`, `serialized`, or `mode`: it wants the other mode. With `all` after
//! it, every rank has it.

use dlcast::{CallError, Mode, Options, Session, Timeout};
use mpi::Threading;
use mpi_tests::{Job, served};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().expect("a case");
    let all = arguments.next().is_some();
    let (level, name) = match case.as_str() {
        "single" => (Threading::Single, "MPI_THREAD_SINGLE"),
        "funneled" => (Threading::Funneled, "MPI_THREAD_FUNNELED"),
        "serialized" => (Threading::Serialized, "MPI_THREAD_SERIALIZED"),
        _ => (Threading::Multiple, "collective"),
    };
    // Who is last is known before MPI is up from the launcher alone: the environment of each has it.
    let rank = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].iter().find_map(|name| std::env::var(name).ok());
    let size = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"].iter().find_map(|name| std::env::var(name).ok());
    let [rank, size] = [rank, size].map(|number| number.expect("a launcher").parse::<u32>().expect("a number"));
    let is_odd = all || rank == size - 1;
    let job = Job::start_with(if is_odd { level } else { Threading::Multiple });
    let mut options = served(Timeout::Default);
    if case == "mode" && is_odd {
        options.mode = Some(Mode::Collective);
    }
    let error = Session::attach(&job.world, options).map(|_| ()).expect_err("the ranks do not go together");
    let told = error.to_string();
    assert!(matches!(error, CallError::Invalid(_)) && told.contains(name), "{told}");
    assert!(all || told.contains(&format!("on rank {}", job.last())), "{told}");
    job.assert_same("the error", &told);
    if job.rank == 0 {
        job.say(&told);
    }
    Session::attach(&job.world, Options { mode: Some(Mode::Collective), ..options }).expect("all can do that");
    job.done();
}
