//! In service mode a rank loads for all while the others are blocked in MPI: one rank alone; every rank its own library; every
//! rank the same; the same in a session that began in collective mode.

use std::time::{Duration, Instant};

use dlcast::Mode;
use mpi::Threading;
use mpi_tests::{Fixture, Job, NOW, assert_answers, assert_registered_once, process, series, text, wait_until};

fn main() {
    let job = Job::start_with(Threading::Multiple);
    let session = match std::env::args().nth(1).as_deref() {
        Some("turned") => {
            let session = job.attach();
            assert_eq!(session.mode(), Mode::Collective);
            session.serve().expect("MPI has threads");
            session
        }
        _ => job.serve(),
    };
    assert_eq!(session.mode(), Mode::Service);
    match std::env::args().nth(1).as_deref() {
        Some("one" | "turned") => {
            let apple = job.library("apple");
            if job.rank == 17 % job.size {
                let library = session.load_global(text(&apple), NOW).expect("every rank can open it");
                assert_answers(&library, "apple");
            }
            // The others wait here, in MPI.
            job.barrier();
            job.assert_loaded_once(&["apple"]);
            // Every rank has it: nobody is asked.
            let library = session.load_global(text(&apple), NOW).expect("it is there");
            assert_answers(&library, "apple");
        }
        Some("different") => {
            let size = usize::try_from(job.size).expect("a size");
            job.once(|| series(&job.scratch, size));
            let own = job.scratch.join(format!("libunit{:04}.so", job.rank));
            session.load_global(text(&own), NOW).expect("every rank can open it");
            job.barrier();
            let mapped = job.fixtures_mapped();
            assert_eq!(mapped.len(), size, "mapped are {mapped:?}");
            job.assert_same("the libraries", &mapped.join(" "));
        }
        Some("same") => {
            let apple = job.library("apple");
            let library = session.load_global(text(&apple), NOW).expect("every rank can open it");
            assert_answers(&library, "apple");
            job.barrier();
            job.assert_loaded_once(&["apple"]);
        }
        Some("recorded") => {
            let apple = job.library("apple");
            if job.rank == job.last() {
                session.record_library(text(&apple), NOW).expect("a good path");
            }
            let start = Instant::now();
            while process::constructed("apple") == 0 {
                assert!(start.elapsed() < Duration::from_secs(20), "what was recorded has not come");
                std::thread::sleep(Duration::from_millis(1));
            }
            job.barrier();
            job.assert_loaded_once(&["apple"]);
        }
        Some("plainly") => {
            // Nobody calls dlcast: what registers itself travels by itself.
            let apple = job.build(&Fixture::plugin("apple"));
            let start = Instant::now();
            if job.rank == job.last() {
                process::open_plainly(&apple);
            }
            wait_until("the plugin", || session.tasks().find("apple", "answer").is_ok());
            let took = start.elapsed();
            assert_registered_once(&session, &["apple"]);
            job.say(&format!("registered after {} ms", took.as_millis()));
            // It takes 100 ms to be noticed, and a few to be agreed on; the machine may be busy.
            assert!(took < Duration::from_secs(5), "{took:?}");
            job.barrier();
            job.assert_loaded_once(&["apple"]);
        }
        other => panic!("{other:?} is no case"),
    }
    job.done();
}
