//! What a look-up takes, by id and by name: random tasks of a large plugin, on one rank.

use std::hint::black_box;
use std::time::Instant;

use benches_mpi::job::Job;
use dlcast::{Session, TaskId};

use crate::TASKS;
use crate::generated::task_name;

const LOOK_UPS: usize = 200_000;

/// Prints the times.
///
/// # Collective
/// All ranks; rank 0 works.
pub fn run(job: &Job, session: &Session, plugin: &str) {
    let mut random = fastrand::Rng::with_seed(1);
    let wanted: Vec<u32> = (0..LOOK_UPS).map(|_| random.u32(..TASKS)).collect();
    let names: Vec<String> = wanted.iter().map(|&task| task_name(task)).collect();
    if job.rank == 0 {
        let number = session.tasks().find(plugin, &names[0]).expect("it is loaded").id.plugin();
        let begin = Instant::now();
        let tasks = session.tasks();
        for &task in &wanted {
            black_box(tasks.get(TaskId::new(number, task)).expect("it is loaded"));
        }
        let by_id = begin.elapsed();
        let begin = Instant::now();
        for name in &names {
            black_box(tasks.find(plugin, name).expect("it is loaded"));
        }
        let by_name = begin.elapsed();
        let each = |time: std::time::Duration| time.as_nanos() as f64 / LOOK_UPS as f64;
        job.say(&format!(
            "\nA look-up of a random task of {TASKS}: {:.0} ns by id, {:.0} ns by name",
            each(by_id),
            each(by_name)
        ));
    }
    job.barrier();
}
