//! dlcast and the floor by turns: the time until the last rank has the library.
//!
//! Other work on the machine disturbs both alike, because they alternate within one job; the ratio is the median of the
//! ratios of neighbours. Nothing here passes or fails.

use std::path::Path;

use dlcast::{OpenFlags, Session};

use benches_mpi::floor::{Floor, ROOT, Style};
use benches_mpi::fresh::{Maker, Size};
use benches_mpi::job::{Job, Took};
use benches_mpi::statistics::{median, quartile, ratios};

/// Who names which library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Nobody,
    All(Size),
    One(Size),
}

/// How it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Dlcast,
    ByHand(Style),
}

const WAYS: [Way; 3] = [Way::Dlcast, Way::ByHand(Style::NonBlocking), Way::ByHand(Style::Blocking)];

const CASES: [Case; 5] =
    [Case::Nobody, Case::All(Size::Small), Case::One(Size::Small), Case::All(Size::Large), Case::One(Size::Large)];

/// Prints a table.
///
/// # Collective
/// All ranks.
pub fn run(job: &Job, session: &Session, maker: &mut Maker, pairs: usize) {
    let floor = Floor::new(job);
    job.say(&format!(
        "
Time until the last rank has a library that nobody has seen before, in ms: medians of {pairs} loads of each kind by turns.
By hand: the same number of collectives (non-blocking, then MPI_Wait), one digest a node, one dlopen a rank; no deadline, no
undoing. Blocking: by hand with MPI_Allreduce and MPI_Bcast. A ratio is the median of the ratios of
neighbours, with its quartiles. Processors: their time spent by all ranks together, which other programs disturb less.

library  named by  |   dlcast   by hand  ratio               | blocking  ratio | processors   by hand  ratio"
    ));
    for case in CASES {
        let mut taken = [const { Vec::new() }; WAYS.len()];
        // The first turn warms up what is made once: buffers, the paths of MPI's messages.
        for turn in 0..=pairs {
            let mut row = [Took::default(); WAYS.len()];
            // Who comes first changes from turn to turn.
            for place in 0..WAYS.len() {
                let which = (place + turn) % WAYS.len();
                row[which] = take(job, session, maker, &floor, case, WAYS[which]);
            }
            if turn > 0 {
                taken.iter_mut().zip(row).for_each(|(taken, took)| taken.push(took));
            }
        }
        job.say(&line(case, &taken));
    }
}

fn take(job: &Job, session: &Session, maker: &mut Maker, floor: &Floor, case: Case, way: Way) -> Took {
    let path = match case {
        Case::Nobody => Path::new("").into(),
        Case::All(size) | Case::One(size) => maker.fresh(job, size),
    };
    match way {
        Way::Dlcast => job.timed(|| ours(job, session, case, &path)),
        Way::ByHand(style) => job.timed(|| match case {
            Case::Nobody => floor.nobody_names_any(style),
            Case::All(_) => floor.all_name_it(style, &path),
            Case::One(_) => floor.one_names_it(style, &path),
        }),
    }
}

fn ours(job: &Job, session: &Session, case: Case, path: &Path) {
    let names_it = match case {
        Case::Nobody => false,
        Case::All(_) => true,
        Case::One(_) => job.rank == ROOT,
    };
    if names_it {
        let path = path.to_str().expect("the folder has a plain name");
        session.load_global(path, OpenFlags::NOW).expect("every rank can open it");
    } else {
        let report = session.sync().expect("every rank takes part");
        assert_eq!((report.committed.len(), report.undone.len()), (usize::from(case != Case::Nobody), 0));
    }
}

fn line(case: Case, taken: &[Vec<Took>; WAYS.len()]) -> String {
    let (library, who) = match case {
        Case::Nobody => ("none", "nobody"),
        Case::All(size) => (size.words(), "all ranks"),
        Case::One(size) => (size.words(), "one rank"),
    };
    let wall = taken.each_ref().map(|taken| taken.iter().map(|took| took.wall).collect::<Vec<f64>>());
    let processor = taken.each_ref().map(|taken| taken.iter().map(|took| took.processor).collect::<Vec<f64>>());
    let [ours, by_hand, blocking] = wall.each_ref().map(|times| median(times));
    let ratio = ratios(&wall[0], &wall[1]);
    let spread = format!("({:.2}-{:.2})", quartile(&ratio, 1), quartile(&ratio, 3));
    format!(
        "{library:7}  {who:9} | {ours:8.3}  {by_hand:8.3}  {:5.2} {spread:13} | {blocking:8.3}  {:5.2} | {:10.3}  {:8.3}  {:5.2}",
        median(&ratio),
        median(&ratios(&wall[0], &wall[2])),
        median(&processor[0]),
        median(&processor[1]),
        median(&ratios(&processor[0], &processor[1])),
    )
}
