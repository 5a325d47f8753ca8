//! Threads of one rank that call at once, from attach on, take their turns: every library is loaded once on every rank.

use dlcast::{Options, Session};
use mpi::Threading;
use mpi_tests::{Job, NOW, assert_answers, series, text};

const THREADS: usize = 4;
const CALLS: usize = 5;

fn main() {
    let job = Job::start_with(Threading::Multiple);
    job.once(|| series(&job.scratch, THREADS * CALLS));
    let scratch = &job.scratch;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                // The first call of each thread: one of them makes the session, the others find it.
                let session = Session::world(Options::default()).expect("the ranks attach");
                for call in 0..CALLS {
                    let path = scratch.join(format!("libunit{:04}.so", thread * CALLS + call));
                    let library = session.load_global(text(&path), NOW).expect("every rank can open it");
                    // The first of the series alone has a symbol that its hash table knows.
                    if thread + call == 0 {
                        assert_answers(&library, "unit0000");
                    }
                }
            });
        }
    });
    let mapped = job.fixtures_mapped();
    assert_eq!(mapped.len(), THREADS * CALLS);
    job.assert_same("the libraries", &mapped.join(" "));
    job.done();
}
