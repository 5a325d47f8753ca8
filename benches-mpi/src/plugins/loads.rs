//! The agreed load of a plugin: its time over the same by hand, its messages over those of one task, its memory.

use std::fs;
use std::path::Path;

use benches_mpi::floor::{Floor, Style};
use benches_mpi::job::{Job, Took};
use benches_mpi::profile::Calls;
use benches_mpi::statistics::{median, quartile, ratios};
use dlcast::{OpenFlags, Session};

use crate::TASKS;
use crate::generated::{Copy, Maker};

fn load(session: &Session, path: &Path) {
    session.load_global(path.to_str().expect("a plain name"), OpenFlags::NOW).expect("every rank can open it");
}

/// Prints the times.
///
/// # Collective
/// All ranks.
pub fn times(job: &Job, session: &Session, maker: &mut Maker, pairs: usize) {
    let floor = Floor::new(job);
    let (mut ours, mut by_hand): (Vec<Took>, Vec<Took>) = (Vec::new(), Vec::new());
    for turn in 0..=pairs {
        let [mut own, mut other] = [Took::default(); 2];
        for place in 0..2 {
            let copy = maker.fresh(job);
            if (place + turn) % 2 == 0 {
                own = job.timed(|| load(session, &copy.path));
            } else {
                other = job.timed(|| floor.all_name_it(Style::NonBlocking, &copy.path));
            }
            Maker::remove(job, &copy);
        }
        // The first turn warms up.
        if turn > 0 {
            ours.push(own);
            by_hand.push(other);
        }
    }
    let walls = |taken: &[Took]| taken.iter().map(|took| took.wall).collect::<Vec<f64>>();
    let processors = |taken: &[Took]| taken.iter().map(|took| took.processor).collect::<Vec<f64>>();
    let ratio = ratios(&walls(&ours), &walls(&by_hand));
    job.say(&format!(
        "
Time until the last rank has it, all ranks naming it, in ms: medians of {pairs} loads of each kind by turns. By hand: two
collectives, one digest a node, one dlopen a rank. A ratio is the median of the ratios of neighbours, with its quartiles.

  dlcast   by hand  ratio               | processors   by hand  ratio
{:8.1}  {:8.1}  {:5.2} ({:.2}-{:.2})   | {:10.1}  {:8.1}  {:5.2}",
        median(&walls(&ours)),
        median(&walls(&by_hand)),
        median(&ratio),
        quartile(&ratio, 1),
        quartile(&ratio, 3),
        median(&processors(&ours)),
        median(&processors(&by_hand)),
        median(&ratios(&processors(&ours), &processors(&by_hand))),
    ));
}

/// Prints what a load sends. True if many tasks send what one sends.
///
/// # Collective
/// All ranks.
pub fn messages(job: &Job, session: &Session, one: &mut Maker, many: &mut Maker) -> bool {
    let sent = [one, many].map(|maker| {
        let copy = maker.fresh(job);
        job.barrier();
        let before = Calls::so_far();
        if job.rank == 0 {
            load(session, &copy.path);
        } else {
            assert_eq!(session.sync().expect("the ranks meet").committed.len(), 1);
        }
        let calls = before.since();
        (job.max(calls.collectives), job.sum(calls.messages))
    });
    let kept = sent[0] == sent[1];
    let [(collectives, messages), (many_collectives, many_messages)] = sent;
    job.say(&format!(
        "\nWhat the load of a plugin that one rank names sends: {collectives} collectives and {messages} messages with 1 task, {many_collectives} and {many_messages} with {TASKS}{}",
        if kept { "" } else { "  BROKEN: the same is claimed" }
    ));
    kept
}

/// Prints what a plugin takes beside its library; returns one that is loaded.
///
/// # Collective
/// All ranks.
pub fn memory(job: &Job, session: &Session, maker: &mut Maker) -> String {
    let (plain, agreed) = (maker.fresh(job), maker.fresh(job));
    let floor = Floor::new(job);
    let start = own_memory();
    floor.all_name_it(Style::NonBlocking, &plain.path);
    let after_plain = own_memory();
    load(session, &agreed.path);
    let after_load = own_memory();
    let Copy { name, .. } = agreed;
    let last = crate::generated::task_name(TASKS - 1);
    session.tasks().find(&name, &last).expect("it has that task");
    let after_name = own_memory();
    let library = (after_plain - start) as f64;
    let each = |bytes: i64| (bytes as f64 - library) / f64::from(TASKS);
    job.say(&format!(
        "\nMemory of a rank's own (RssAnon), beside the {:.1} MB that a plain dlopen takes, in bytes a task: {:.1} when it is loaded, {:.1} when a name has been looked up",
        library / 1e6,
        each(after_load - after_plain),
        each(after_name - after_plain),
    ));
    name
}

/// Bytes of this process that are no file's: on rank 0's own word.
fn own_memory() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes: Option<i64> = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok());
    kilobytes.unwrap_or(0) * 1024
}
