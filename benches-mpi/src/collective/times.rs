//! dlcast and the floor by turns: the time until the last rank has the library.
//!
//! Other work on the machine disturbs both alike, because they alternate within one job; the ratio is the median of the
//! ratios of neighbours. Nothing here passes or fails.

use std::path::Path;
use std::time::Duration;

use dlcast::{OpenFlags, Session};

use crate::floor::{Floor, ROOT, Style};
use crate::fresh::{Maker, Size};
use crate::job::Job;

/// Who names the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    All,
    One,
}

/// Prints a table.
///
/// # Collective
/// All ranks.
pub fn run(job: &Job, session: &Session, maker: &mut Maker, pairs: usize) {
    let floor = Floor::new(job);
    job.say("");
    job.say("Time until the last rank has a library that nobody has seen before, over the same work by hand: the same");
    job.say(&format!(
        "collectives (non-blocking, then MPI_Wait), one digest a node, one dlopen a rank. Medians of {pairs} by turns in ms;"
    ));
    job.say("the ratio is the median of the ratios of neighbours, with its quartiles. On the right the same by hand with");
    job.say("MPI_Allreduce and MPI_Bcast, which know no deadline.");
    job.say("");
    job.say("library  named by     dlcast    by hand   ratio            | blocking   ratio");
    for size in [Size::Small, Size::Large] {
        for by in [By::All, By::One] {
            let mut rows = [const { Vec::new() }; 3];
            // The first turn warms up what is made once: buffers, the paths of MPI's messages.
            for turn in 0..=pairs {
                let mut times = [Duration::ZERO; 3];
                // Who comes first changes from turn to turn.
                for place in 0..times.len() {
                    let which = (place + turn) % times.len();
                    let path = maker.fresh(job, size);
                    times[which] = match which {
                        0 => job.timed(|| ours(job, session, by, &path)).0,
                        1 => job.timed(|| by_hand(&floor, Style::NonBlocking, by, &path)).0,
                        _ => job.timed(|| by_hand(&floor, Style::Blocking, by, &path)).0,
                    };
                }
                if turn > 0 {
                    rows.iter_mut().zip(times).for_each(|(row, time)| row.push(time.as_secs_f64() * 1e3));
                }
            }
            let [ours, floor, blocking] = &rows;
            let who = if by == By::All { "all ranks" } else { "one rank" };
            let (ratio, other) = (Ratio::of(ours, floor), Ratio::of(ours, blocking));
            job.say(&format!(
                "{:7}  {who:9}  {:8.3}   {:8.3}   {:4.2} ({:4.2}-{:4.2})  | {:8.3}   {:4.2}",
                size.words(),
                quantile(ours, 2),
                quantile(floor, 2),
                ratio.median,
                ratio.low,
                ratio.high,
                quantile(blocking, 2),
                other.median
            ));
        }
    }
}

fn ours(job: &Job, session: &Session, by: By, path: &Path) {
    let path = path.to_str().expect("the folder has a plain name");
    if by == By::All || job.rank == ROOT {
        session.load_global(path, OpenFlags::NOW).expect("every rank can open it");
    } else {
        let report = session.sync().expect("every rank takes part");
        assert_eq!((report.committed.len(), report.undone.len()), (1, 0));
    }
}

fn by_hand(floor: &Floor, style: Style, by: By, path: &Path) {
    match by {
        By::All => floor.all_name_it(style, path),
        By::One => floor.one_names_it(style, path),
    }
}

/// How many times as long.
struct Ratio {
    low: f64,
    median: f64,
    high: f64,
}

impl Ratio {
    fn of(ours: &[f64], theirs: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        Ratio { low: quantile(&ratios, 1), median: quantile(&ratios, 2), high: quantile(&ratios, 3) }
    }
}

/// The first, second or third quartile; the lower one of two.
fn quantile(values: &[f64], quarter: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * quarter / 4).copied().unwrap_or(f64::NAN)
}
