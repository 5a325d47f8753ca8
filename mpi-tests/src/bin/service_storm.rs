//! A storm: random loads, callbacks and records from random ranks and threads while the main threads pass messages round a
//! ring. Every rank ends with the same set, everything ran once, and the ring's data are right.
//!
//! Arguments: how many requests, and the seed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dlcast::{CodeRef, OpenFlags, Session};
use mpi::Threading;
use mpi::traits::*;
use mpi_tests::{Fixture, Job, NOW, process, series, text};

const THREADS: u32 = 3;
const LIBRARIES: usize = 150;
const TAGS: u64 = 40;
/// Larger than what MPI sends at once, so that some messages wait for their receivers.
const LONGEST: usize = 20_000;

/// What one thread of one rank does at some time.
#[derive(Clone, Copy)]
enum Deed {
    Load(usize, OpenFlags),
    Record(usize),
    Register(u64),
    Sync,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>().expect("a number"));
    let (deeds, seed) = (arguments.next().expect("how many"), arguments.next().expect("a seed"));
    let job = Job::start_with(Threading::Multiple);
    let session = job.serve();
    job.once(|| series(&job.scratch, LIBRARIES));
    let code = job.build(&Fixture::new("code.cpp", "code"));
    let trampoline = CodeRef::symbol(text(&code), "code_trampoline", "").expect("it is there");

    // Every rank works out what all do.
    let mut random = fastrand::Rng::with_seed(seed);
    let mut mine: Vec<Vec<Deed>> = vec![Vec::new(); THREADS as usize];
    let (mut libraries, mut tags) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..deeds {
        let (rank, thread) = (random.i32(0..job.size), random.usize(0..THREADS as usize));
        let deed = match random.u8(0..20) {
            0..11 => {
                Deed::Load(random.usize(0..LIBRARIES), if random.u8(..4) == 0 { NOW | OpenFlags::GLOBAL } else { NOW })
            }
            11..13 => Deed::Record(random.usize(0..LIBRARIES)),
            13..19 => Deed::Register(random.u64(0..TAGS)),
            _ => Deed::Sync,
        };
        match deed {
            Deed::Load(number, _) | Deed::Record(number) => _ = libraries.insert(format!("unit{number:04}")),
            Deed::Register(tag) => _ = tags.insert(format!("code_storm_{tag}")),
            Deed::Sync => {}
        }
        if rank == job.rank {
            mine[thread].push(deed);
        }
    }

    let busy = AtomicU32::new(THREADS);
    let start = Instant::now();
    let passes = thread::scope(|scope| {
        for (number, deeds) in mine.iter().enumerate() {
            let (session, job, trampoline, busy) = (&session, &job.scratch, &trampoline, &busy);
            let mut random = fastrand::Rng::with_seed(seed << 32 | number as u64);
            scope.spawn(move || {
                for &deed in deeds {
                    thread::sleep(Duration::from_micros(random.u64(0..3000)));
                    carry_out(deed, session, &|name| text(&job.join(format!("lib{name}.so"))).to_owned(), trampoline);
                }
                busy.fetch_sub(1, Ordering::SeqCst);
            });
        }
        pass_round(&job, &busy)
    });
    let took = start.elapsed();
    // What was recorded last.
    session.sync().expect("the service goes on");
    job.barrier();

    let mut mapped: Vec<String> = libraries.iter().map(|name| format!("lib{name}.so")).collect();
    if !tags.is_empty() {
        mapped.push("libcode.so".into());
    }
    mapped.sort();
    assert_eq!(job.fixtures_mapped(), mapped, "seed {seed}");
    for name in libraries.iter().chain(&tags) {
        assert_eq!(process::constructed(name), 1, "seed {seed}: runs of {name}");
    }
    if job.rank == 0 {
        job.say(&format!("{deeds} requests in {took:.1?}, {passes} passes of the ring"));
    }
    job.done();
}

fn carry_out(deed: Deed, session: &Session, path: &dyn Fn(&str) -> String, trampoline: &CodeRef) {
    match deed {
        Deed::Load(number, flags) => {
            let name = format!("unit{number:04}");
            let library = session.load_global(&path(&name), flags).expect("every rank can open it");
            assert!(library.path().ends_with(format!("lib{name}.so")), "{}", library.path().display());
        }
        Deed::Record(number) => {
            session.record_library(&path(&format!("unit{number:04}")), NOW).expect("recording is local");
        }
        Deed::Register(tag) => session.register_global(trampoline, b"storm", tag).expect("every rank can run it"),
        Deed::Sync => {
            let report = session.sync().expect("the service goes on");
            assert!(report.undone.is_empty(), "{:?}", report.undone);
        }
    }
}

/// Passes messages round until no rank is busy; how often.
fn pass_round(job: &Job, busy: &AtomicU32) -> u64 {
    let mut passes = 0;
    if job.size == 1 {
        while busy.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        return 0;
    }
    let next = job.world.process_at_rank((job.rank + 1) % job.size);
    let last = job.world.process_at_rank((job.rank + job.size - 1) % job.size);
    let is_first = job.rank == 0;
    loop {
        let own = u64::from(busy.load(Ordering::SeqCst));
        let length = if passes % 8 == 7 { LONGEST } else { 4 + (passes * 37 % 400) as usize };
        // Who is busy so far, how many have had it, then data that every rank adds one to.
        let content = |hops: u64| move |at: usize| passes * 1_000_003 + at as u64 * 17 + hops;
        let whole = |busy: u64, hops: u64| -> Vec<u64> {
            [busy, hops].into_iter().chain((0..length).map(content(hops))).collect()
        };
        if is_first {
            next.send(&whole(own, 0)[..]);
        }
        let (message, _) = last.receive_vec::<u64>();
        let hops = if is_first { job.size as u64 - 1 } else { job.rank as u64 - 1 };
        assert_eq!(message, whole(message[0], hops), "pass {passes} of the ring");
        let busy = message[0];
        if !is_first {
            next.send(&whole(busy + own, hops + 1)[..]);
        }
        passes += 1;
        // The first knows of all; the others are told by one more number.
        let goes_on = if is_first {
            let goes_on = u64::from(busy > 0);
            next.send(&goes_on);
            goes_on
        } else {
            let (goes_on, _) = last.receive::<u64>();
            if job.rank != job.last() {
                next.send(&goes_on);
            }
            goes_on
        };
        if goes_on == 0 {
            return passes;
        }
    }
}
