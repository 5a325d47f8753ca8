//! The catalogue of `plugins/mistakes`: each plugin fails on every rank with the message that its first lines promise, nothing
//! of it is registered, and a good plugin of the same round is; what is no mistake loads.
//!
//! A file says `Must say:` (any number of times) or `Must load:`; one that is loaded says what it `Registers:`, and what a
//! `Look-up says:` where that fails. A file that says neither fails the test. The crate in Rust, which cargo has to build, runs
//! in a job of its own: `plugins/mistakes/in-rust/tests/job.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use dlcast::{CallError, Session, TaskId};
use mpi_tests::{Fixture, Job, NOW, assert_registered_once, ids, patched, process, text};

/// One file of the catalogue.
struct Mistake {
    source: PathBuf,
    name: String,
    must_say: Vec<String>,
    must_load: bool,
    registers: Option<String>,
    look_up_says: Option<String>,
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let catalogue = catalogue(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/mistakes")));
    let good = job.build(&Fixture::plugin("good"));
    session.load_global(text(&good), NOW).expect("every rank can");
    let unasked = job.build(&Fixture::plugin("unasked"));
    // Good plugins that differ in their names alone.
    let bytes = fs::read(job.build(&Fixture::plugin("good000"))).expect("it was just built");
    for (number, mistake) in catalogue.iter().filter(|mistake| !mistake.is_rust()).enumerate() {
        let path = mistake.build(&job, &unasked);
        let name = format!("good{number:03}");
        let beside = job.scratch.join(format!("lib{name}.so"));
        job.once(|| fs::write(&beside, patched(&bytes, b"good000", name.as_bytes())).expect("the folder is writable"));
        let before = ids(&session);
        // The good one is the first in the plan: what is nobody's fault in particular must not become its.
        if job.rank == 0 {
            session.record_library(text(&beside), NOW).expect("recording is local");
        }
        if job.rank == job.last() {
            session.record_library(text(&path), NOW).expect("recording is local");
        }
        let report = session.sync().expect("what fails is in the report");
        let good_ones = report.undone.iter().filter(|undone| undone.undone.name == text(&beside));
        assert_eq!(good_ones.count(), 0, "beside {}: {:?}", mistake.name, report.undone);
        if mistake.must_load {
            assert!(report.undone.is_empty(), "{}: {:?}", mistake.name, report.undone);
            mistake.assert_loaded(&job, &session);
            session.unload_global(text(&path)).expect("every rank has it");
        } else {
            let undone = report.undone.iter().find(|undone| undone.undone.name == text(&path));
            let undone = undone.unwrap_or_else(|| panic!("{} was not refused: {report:?}", mistake.name));
            mistake.assert_said(&job, &undone.error);
            let error = session.load_global(text(&path), NOW).expect_err("a mistake does not go away");
            let CallError::Undone(undone) = &error else { panic!("{}: {error}", mistake.name) };
            mistake.assert_said(&job, &undone.to_string());
            let mut failing: Vec<u32> = undone.failures.iter().flat_map(|failure| failure.ranks.clone()).collect();
            failing.sort_unstable();
            assert_eq!(failing, (0..job.size as u32).collect::<Vec<_>>(), "{}: {undone}", mistake.name);
        }
        if mistake.name == "needs_a_plugin" {
            // What came with it is a plugin in its own right.
            assert_registered_once(&session, &["unasked"]);
            session.unload_global(text(&unasked)).expect("every rank has it");
        }
        // All that is new is the good one.
        let after = ids(&session);
        let new = after.strip_prefix(&before).unwrap_or_else(|| panic!("{}: {before}, then {after}", mistake.name));
        assert!(new.lines().count() == 1 && new.contains(&name), "{}: {new}", mistake.name);
        assert_registered_once(&session, &[&name]);
        job.assert_same("ids", &after);
        if job.rank == 0 {
            job.say(&format!("{}: {}", mistake.name, if mistake.must_load { "loaded" } else { "refused" }));
        }
    }
    assert_eq!(process::times_mapped("libunasked.so"), 1);
    two_of_a_name_at_once(&job, &session);
    job.done();
}

/// Two ranks name a plugin each, of one name: one of them is loaded, the same on all ranks, and the way out of the message works.
fn two_of_a_name_at_once(job: &Job, session: &Session) {
    let [left, right] = ["left", "right"].map(|name| job.build(&Fixture::sample("mistakes/correct/no_tasks.c", name)));
    if job.rank == 0 {
        session.record_library(text(&left), NOW).expect("recording is local");
    }
    if job.rank == job.last() {
        session.record_library(text(&right), NOW).expect("recording is local");
    }
    let report = session.sync().expect("what fails is in the report");
    let ([committed], [undone]) = (&report.committed[..], &report.undone[..]) else { panic!("{report:?}") };
    job.assert_same("the verdict", &undone.error);
    assert!(undone.error.contains("plugin `no_tasks` is loaded already, from lib"), "{}", undone.error);
    session.unload_global(&committed.name).expect("every rank has it");
    session.load_global(&undone.undone.name, NOW).expect("its name is free");
}

/// Every source of the folder and of those below it.
///
/// # Panics
///
/// Where one does not say what it is to come to.
fn catalogue(folder: &Path) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    entries.sort();
    for path in entries {
        match path.extension().and_then(|extension| extension.to_str()) {
            // What cargo builds around a mistake is none.
            _ if path.ends_with("tests") || path.ends_with("examples") => {}
            _ if path.is_dir() => found.extend(catalogue(&path)),
            Some("c" | "cpp" | "rs") => found.push(Mistake::read(path)),
            Some("toml" | "md") => {}
            _ => panic!("{}: what is this?", path.display()),
        }
    }
    found
}

impl Mistake {
    fn read(source: PathBuf) -> Mistake {
        let content = fs::read_to_string(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        let lines: Vec<&str> = content
            .lines()
            .take_while(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| line.trim_start_matches(['/', '*', '!', ' ']).trim_end_matches(" */"))
            .collect();
        let said = |key: &str| -> Vec<String> {
            lines.iter().filter_map(|line| line.strip_prefix(key)).map(|text| text.trim().to_owned()).collect()
        };
        let mistake = Mistake {
            name: source.file_stem().and_then(|stem| stem.to_str()).expect("sources have plain names").to_owned(),
            must_say: said("Must say:"),
            must_load: !said("Must load:").is_empty(),
            registers: said("Registers:").pop(),
            look_up_says: said("Look-up says:").pop(),
            source,
        };
        let source = mistake.source.display();
        assert!(mistake.must_load || !mistake.must_say.is_empty(), "{source}: what must it say?");
        assert!(!mistake.must_load || mistake.must_say.is_empty(), "{source}: must it load, or say something?");
        assert_eq!(mistake.must_load, mistake.registers.is_some(), "{source}: what does it register?");
        mistake
    }

    fn is_rust(&self) -> bool {
        self.source.extension().is_some_and(|extension| extension == "rs")
    }

    /// Its library, on all ranks.
    fn build(&self, job: &Job, unasked: &Path) -> PathBuf {
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");
        let fixture = Fixture::sample(self.source.strip_prefix(samples).expect("it is a sample"), &self.name);
        job.build(&if self.name == "needs_a_plugin" { fixture.needing(unasked) } else { fixture })
    }

    fn assert_said(&self, job: &Job, told: &str) {
        job.assert_same("the verdict", told);
        for wanted in &self.must_say {
            assert!(told.contains(wanted.as_str()), "{}: `{wanted}` is not in: {told}", self.name);
        }
    }

    fn assert_loaded(&self, job: &Job, session: &Session) {
        let tasks = session.tasks();
        let plugin = tasks.plugins().find(|(_, name, _, _)| *name == self.name);
        let registered = match plugin {
            None => "nothing".to_owned(),
            Some((_, _, _, count)) => format!("{count} tasks"),
        };
        assert_eq!(Some(&registered), self.registers.as_ref(), "what {} registers", self.name);
        let Some(wanted) = &self.look_up_says else { return };
        let (number, ..) = plugin.expect("a look-up is made in a plugin");
        // By id, what is whole is found.
        let first = tasks.get(TaskId::new(number, 0)).expect("the first task is whole");
        let error = tasks.find(&self.name, first.entry.name).expect_err("a look-up reads all names").to_string();
        assert_eq!(&error, wanted);
        job.assert_same("the look-up", &error);
    }
}
