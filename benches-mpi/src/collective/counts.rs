//! What a round may send: collectives and messages, whatever it carries. And how often a node reads a file.
//!
//! These are claims: a broken one is printed as such and ends the program with a failure.

use std::fs;

use benches_mpi::floor::ROOT;
use benches_mpi::fresh::{Maker, Size};
use benches_mpi::job::Job;
use benches_mpi::profile::Calls;
use dlcast::{OpenFlags, Session};

const MANY: u32 = 500;

/// What is claimed of a round: exactly this many collectives, no more messages than this.
struct Claim {
    round: &'static str,
    collectives: u64,
    messages: u64,
}

/// Prints a table. True if every claim holds.
///
/// # Collective
/// All ranks.
pub fn run(job: &Job, session: &Session, maker: &mut Maker) -> bool {
    job.say("");
    job.say("What one round sends: collectives of every rank, messages of all ranks beside them (MPI's profiling layer). Looks");
    job.say("are a rank's MPI_Test and MPI_Improbe; they depend on time, and nothing is claimed of them.");
    job.say("");
    job.say("round                                     collectives   messages   looks");
    let tree = 2 * (u64::try_from(job.size).unwrap_or(0) - 1);
    // A single rank never differs from itself: no broadcast, and no vote on the files.
    let alone = job.size == 1;
    let one = if alone { 2 } else { 4 };
    let known = maker.fresh(job, Size::Small);
    let known = known.to_str().expect("a plain name");
    let mut kept = true;
    let mut check = |round: &'static str, collectives: u64, messages: u64, work: &mut dyn FnMut()| {
        kept &= holds(job, &Claim { round, collectives, messages }, work);
    };

    check("all ranks name one library", 2, 0, &mut || load(session, known));
    check("all name a committed library again", 1, 0, &mut || load(session, known));
    check("one names a committed library again", 1, 0, &mut || match job.rank {
        ROOT => load(session, known),
        _ => sync(session, 0),
    });
    check("nobody names any", 1, 0, &mut || sync(session, 0));

    let path = maker.fresh(job, Size::Small);
    check("one rank names one library", one, 0, &mut || match job.rank {
        ROOT => load(session, path.to_str().expect("a plain name")),
        _ => sync(session, 1),
    });

    let paths = maker.many(job, Size::Small, MANY);
    check("all ranks name 500 libraries", 2, 0, &mut || {
        record(session, &paths);
        sync(session, paths.len());
    });
    let paths = maker.many(job, Size::Small, MANY);
    check("one rank names 500 libraries", one, 0, &mut || {
        if job.rank == ROOT {
            record(session, &paths);
        }
        sync(session, paths.len());
    });
    // Sets that differ are merged up a tree and sent down it: one message for every rank but one, each way.
    let paths = maker.many(job, Size::Small, u32::try_from(job.size).unwrap_or(1));
    check("every rank names another library", one - u64::from(!alone), tree, &mut || {
        record(session, &paths[job.rank as usize..][..1]);
        sync(session, paths.len());
    });

    kept & reads_once(job, session, maker)
}

fn holds(job: &Job, claim: &Claim, work: &mut dyn FnMut()) -> bool {
    job.barrier();
    let before = Calls::so_far();
    work();
    let calls = before.since();
    let most = job.max(calls.collectives);
    let least = u64::MAX - job.max(u64::MAX - calls.collectives);
    let messages = job.sum(calls.messages);
    let looks = job.sum(calls.looks) / u64::try_from(job.size).unwrap_or(1);
    let kept = most == claim.collectives && least == most && messages <= claim.messages;
    let verdict = match kept {
        true => String::new(),
        false => format!("  BROKEN: {} collectives and {} messages are claimed", claim.collectives, claim.messages),
    };
    let shown = if least == most { format!("{most}") } else { format!("{least}-{most}") };
    job.say(&format!("{:42}{shown:>11}{messages:11}{looks:8}{verdict}", claim.round));
    kept
}

/// A large library that all ranks name is read by one rank of each node.
fn reads_once(job: &Job, session: &Session, maker: &mut Maker) -> bool {
    let path = maker.fresh(job, Size::Large);
    let size = job.max(fs::metadata(&path).map_or(0, |meta| meta.len()));
    let (hashed, read) = (files_hashed(), bytes_read());
    load(session, path.to_str().expect("a plain name"));
    let (hashed, read) = (job.sum(files_hashed() - hashed), job.sum(bytes_read() - read));
    let kept = hashed == job.nodes && read < size * job.nodes + size / 2;
    job.say("");
    job.say(&format!(
        "A library of 50 MiB that all ranks name was hashed {hashed} times on {}; the ranks together read {:.2} times its size{}",
        job.nodes_in_words(),
        read as f64 / size as f64,
        if kept { "" } else { "  BROKEN: once a node is claimed" }
    ));
    kept
}

fn load(session: &Session, path: &str) {
    session.load_global(path, OpenFlags::NOW).expect("every rank can open it");
}

fn sync(session: &Session, libraries: usize) {
    let report = session.sync().expect("every rank takes part");
    assert_eq!((report.committed.len(), report.undone.len()), (libraries, 0));
}

fn record(session: &Session, paths: &[std::path::PathBuf]) {
    for path in paths {
        session.record_library(path.to_str().expect("a plain name"), OpenFlags::NOW).expect("recording is local");
    }
}

fn files_hashed() -> u64 {
    dlcast::host::dl::host(None).files_hashed()
}

/// What this process has read so far, with the calls of the read family.
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap_or(0)
}
