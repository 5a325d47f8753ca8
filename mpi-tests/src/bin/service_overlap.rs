//! Two sessions on overlapping communicators, all ranks but the last and all but the first, both in service mode: random
//! plugins from several threads of every rank. Nobody waits for ever, and each session has plugin numbers of its own.

use std::thread;
use std::time::Duration;

use dlcast::{Session, Timeout};
use mpi::Threading;
use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::*;
use mpi_tests::{Fixture, Job, NOW, assert_registered_once, ids, served, text};

const PLUGINS: usize = 12;
const THREADS: usize = 3;
const CALLS: usize = 25;

fn main() {
    let job = Job::start_with(Threading::Multiple);
    let names: Vec<String> = (0..PLUGINS).map(|number| format!("plug{number:02}")).collect();
    job.once(|| names.iter().for_each(|name| _ = Fixture::plugin(name).build(&job.scratch)));
    let part = |is_in: bool| -> Option<SimpleCommunicator> {
        job.world.split_by_color(if is_in { Color::with_value(0) } else { Color::undefined() })
    };
    let comms = [part(job.rank != job.last()), part(job.rank != 0)];
    let attach =
        |comm: &SimpleCommunicator| Session::attach(comm, served(Timeout::Default)).expect("the part attaches");
    // The second one has the later plugins; a few are in both.
    let sessions: Vec<(usize, Session)> = comms
        .iter()
        .enumerate()
        .filter_map(|(number, comm)| Some((number * PLUGINS / 3, attach(comm.as_ref()?))))
        .collect();

    thread::scope(|scope| {
        for number in 0..THREADS {
            let (sessions, names, scratch) = (&sessions, &names, &job.scratch);
            let mut random = fastrand::Rng::with_seed((job.rank as u64) << 8 | number as u64);
            scope.spawn(move || {
                for _ in 0..CALLS {
                    let (first, session) = &sessions[random.usize(..sessions.len())];
                    let name = &names[first + random.usize(..PLUGINS * 2 / 3)];
                    let path = scratch.join(format!("lib{name}.so"));
                    session.load_global(text(&path), NOW).expect("every rank of the part can open it");
                    assert!(session.tasks().find(name, "answer").is_ok(), "{name} is registered");
                    thread::sleep(Duration::from_micros(random.u64(..500)));
                }
            });
        }
    });
    // All of them, in the end, whatever was chosen.
    for (first, session) in &sessions {
        for name in &names[*first..first + PLUGINS * 2 / 3] {
            let path = job.scratch.join(format!("lib{name}.so"));
            session.load_global(text(&path), NOW).expect("every rank of the part can open it");
        }
    }
    job.barrier();
    let texts: Vec<String> = (0..2)
        .map(|number| {
            let own = sessions.iter().find(|(first, _)| *first == number * PLUGINS / 3);
            own.map_or_else(String::new, |(_, session)| ids(session))
        })
        .collect();
    for (number, text) in texts.iter().enumerate() {
        let all: Vec<String> = job.gather(text).into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(all.len(), job.size as usize - 1);
        assert!(all.iter().all(|text| *text == all[0]), "session {number}: {all:?}");
    }
    for (first, session) in &sessions {
        let mine: Vec<&str> = names[*first..first + PLUGINS * 2 / 3].iter().map(String::as_str).collect();
        // Plugins of both have run their callbacks once all the same.
        assert_registered_once(session, &mine);
        assert_eq!(session.tasks().plugins().count(), mine.len(), "none of the other session's");
    }
    job.barrier();
    drop(comms);
    job.done();
}
