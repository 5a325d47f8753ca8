//! A random rank loads a library that nobody has seen: in service mode by itself, in collective mode with a call of all ranks.
//!
//! By turns within one job, so that other work on the machine disturbs both alike. Nothing here passes or fails.

use benches_mpi::fresh::{Maker, Size};
use benches_mpi::job::{Job, Took};
use benches_mpi::statistics::{median, ratios, spread};
use dlcast::{OpenFlags, Session};

/// What the main threads of the others do meanwhile in service mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// The processors are the service's.
    Asleep,
    /// As a program waits that knows nothing of it: MPI looks again and again whether a message has come.
    InBarrier,
}

/// Prints a table.
///
/// # Collective
/// All ranks.
pub fn run(job: &Job, [service, collective]: [&Session; 2], maker: &mut Maker, pairs: usize) {
    job.say(&format!(
        "
Time until every rank has a library of {} that one rank asks for, in ms: medians of {pairs} loads of each mode by turns, each pair
from another random rank. Service: only that rank calls. Collective: all do. A ratio is the median of the ratios of
neighbours, with its quartiles. Processors: their time spent by all ranks together, which other programs disturb less.

others       |  service  collective  ratio              | processors  collective  ratio",
        Size::Small.words()
    ));
    let mut random = fastrand::Rng::with_seed(17);
    for others in [Others::Asleep, Others::InBarrier] {
        let mut taken = [Vec::new(), Vec::new()];
        // The first turn warms up.
        for turn in 0..=pairs {
            let caller = random.i32(0..job.size);
            let mut row = [Took::default(); 2];
            // Who comes first changes from turn to turn.
            for place in 0..2 {
                let which = (place + turn) % 2;
                let path = maker.fresh(job, Size::Small);
                let path = path.to_str().expect("the folder has a plain name");
                row[which] = match which {
                    0 => one_sided(job, service, caller, others, path),
                    _ => together(job, collective, caller, path),
                };
            }
            if turn > 0 {
                taken.iter_mut().zip(row).for_each(|(taken, took)| taken.push(took));
            }
        }
        job.say(&line(others, &taken));
    }
}

/// The call returns when every rank has the library: the caller's time is that of the whole.
fn one_sided(job: &Job, session: &Session, caller: i32, others: Others, path: &str) -> Took {
    job.timed_on(|start| {
        let mut took = std::time::Duration::ZERO;
        if job.rank == caller {
            session.load_global(path, OpenFlags::NOW).expect("every rank can open it");
            took = start.elapsed();
        }
        match others {
            Others::Asleep => job.barrier_asleep(),
            Others::InBarrier => job.barrier(),
        }
        took
    })
}

fn together(job: &Job, session: &Session, caller: i32, path: &str) -> Took {
    job.timed(|| {
        if job.rank == caller {
            session.load_global(path, OpenFlags::NOW).expect("every rank can open it");
        } else {
            assert_eq!(session.sync().expect("every rank takes part").committed.len(), 1);
        }
    })
}

fn line(others: Others, taken: &[Vec<Took>; 2]) -> String {
    let walls = taken.each_ref().map(|taken| taken.iter().map(|took| took.wall).collect::<Vec<f64>>());
    let processors = taken.each_ref().map(|taken| taken.iter().map(|took| took.processor).collect::<Vec<f64>>());
    format!(
        "{:12} | {:8.3}  {:10.3}  {:18} | {:10.3}  {:10.3}  {}",
        match others {
            Others::Asleep => "asleep",
            Others::InBarrier => "in a barrier",
        },
        median(&walls[0]),
        median(&walls[1]),
        spread(&ratios(&walls[0], &walls[1])),
        median(&processors[0]),
        median(&processors[1]),
        spread(&ratios(&processors[0], &processors[1])),
    )
}
