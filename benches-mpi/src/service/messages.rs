//! What a round of the service sends: one message to wake each rank, and one to rank 0 from whoever wants it; the collectives are
//! as many as they are, whatever the number of ranks.
//!
//! These are claims: a broken one is printed as such and ends the program with a failure.

use benches_mpi::fresh::{Maker, Size};
use benches_mpi::job::Job;
use benches_mpi::profile::Calls;
use dlcast::{OpenFlags, Session};

/// What is claimed: exactly so many collectives of each rank, and messages of all ranks together.
#[derive(Clone, Copy)]
struct Claim {
    collectives: u64,
    messages: u64,
}

/// Prints a table. True if every claim holds.
///
/// # Collective
/// All ranks.
pub fn run(job: &Job, session: &Session, maker: &mut Maker) -> bool {
    job.say("");
    job.say("What rounds of the service send: collectives of every rank, messages of all ranks beside them (MPI's profiling layer).");
    job.say("Looks are a rank's MPI_Test and MPI_Improbe; they depend on time, and nothing is claimed of them.");
    job.say("");
    job.say("who asks                                  collectives   messages   looks");
    let others = u64::try_from(job.size).unwrap_or(1) - 1;
    let last = job.size - 1;
    let mut kept = true;
    let mut check = |what: &str, claim: Option<Claim>, who: &dyn Fn(i32) -> bool, path: &str| {
        kept &= holds(job, what, claim, || {
            if who(job.rank) {
                session.load_global(path, OpenFlags::NOW).expect("every rank can open it");
            }
        });
    };
    // A single rank never differs from itself: no broadcast, no vote on the files.
    let one = Claim { collectives: if job.size == 1 { 3 } else { 5 }, messages: others };

    let path = maker.fresh(job, Size::Small);
    let path = path.to_str().expect("a plain name");
    check("rank 0", Some(one), &|rank| rank == 0, path);
    let none = Claim { collectives: 0, messages: 0 };
    check("all ranks, for what all have", Some(none), &|_| true, path);
    let path = maker.fresh(job, Size::Small);
    let rings = Claim { messages: others + u64::from(last > 0), ..one };
    check("the last rank", Some(rings), &|rank| rank == last, path.to_str().expect("a plain name"));
    // One round if all ask before it begins, else a second one for those that come late.
    let path = maker.fresh(job, Size::Small);
    check("all ranks at once, for one library", None, &|_| true, path.to_str().expect("a plain name"));
    let paths = maker.many(job, Size::Small, u32::try_from(job.size).unwrap_or(1));
    let own = paths[job.rank as usize].to_str().expect("a plain name");
    check("all ranks at once, each for another", None, &|_| true, own);
    kept
}

fn holds(job: &Job, what: &str, claim: Option<Claim>, work: impl FnOnce()) -> bool {
    job.barrier();
    let before = Calls::so_far();
    // Nobody rings before all have looked.
    job.barrier_asleep();
    work();
    job.barrier_asleep();
    let calls = before.since();
    let barriers = 2;
    let most = job.max(calls.collectives) - barriers;
    let least = u64::MAX - job.max(u64::MAX - calls.collectives) - barriers;
    let messages = job.sum(calls.messages);
    let looks = job.sum(calls.looks) / u64::try_from(job.size).unwrap_or(1);
    let kept =
        claim.is_none_or(|claim| (least, most, messages) == (claim.collectives, claim.collectives, claim.messages));
    let verdict = match claim {
        Some(claim) if !kept => {
            format!("  BROKEN: {} collectives and {} messages are claimed", claim.collectives, claim.messages)
        }
        _ => String::new(),
    };
    let shown = if least == most { format!("{most}") } else { format!("{least}-{most}") };
    job.say(&format!("{what:42}{shown:>11}{messages:11}{looks:8}{verdict}"));
    kept
}
