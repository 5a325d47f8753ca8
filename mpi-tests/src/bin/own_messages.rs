//! A program's own wildcard receives and collectives never meet dlcast's messages.

use mpi::traits::*;
use mpi_tests::{Job, NOW, series, text};

const ROUNDS: usize = 20;

fn main() {
    let job = Job::start();
    let session = job.attach();
    job.once(|| series(&job.scratch, ROUNDS * job.size as usize));
    let next = (job.rank + 1) % job.size;
    for round in 0..ROUNDS {
        let mut received = [0i32; 2];
        mpi::request::scope(|scope| {
            // Posted before the round, from anybody, with any tag.
            let receive = job.world.any_process().immediate_receive_into(scope, &mut received[..]);
            let mine = job.scratch.join(format!("libunit{:04}.so", round * job.size as usize + job.rank as usize));
            session.load_global(text(&mine), NOW).expect("every rank can open it");
            job.world.process_at_rank(next).send(&[job.rank, round as i32][..]);
            receive.wait();
        });
        assert_eq!(received, [(job.rank + job.size - 1) % job.size, round as i32]);
        let mut sum = 0i32;
        job.world.all_reduce_into(&job.rank, &mut sum, mpi::collective::SystemOperation::sum());
        assert_eq!(sum, job.size * (job.size - 1) / 2);
    }
    job.done();
}
