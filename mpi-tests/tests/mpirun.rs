//! Runs the programs of `src/bin` and `fixtures/*_face.c` as `cases.toml` says: one named test a case and number of ranks.
//!
//! One job runs at a time, each with a time limit after which all of its processes are killed. A program without a case
//! and a case without a program are failures. What `dlcast run` does for programs that know nothing of it is in
//! `unmodified.rs`.

#[path = "mpirun/case.rs"]
mod case;
#[path = "mpirun/launch.rs"]
mod launch;
#[path = "mpirun/run.rs"]
mod run;
#[path = "mpirun/stage.rs"]
mod stage;
#[path = "mpirun/unmodified.rs"]
mod unmodified;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

use case::Case;
use launch::Launcher;

fn main() {
    let mut arguments = Arguments::from_args();
    // Two jobs at once would measure each other.
    arguments.test_threads = Some(1);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases = case::read(&here.join("cases.toml"));
    let launcher = Launcher::from_environment(here);
    let mut trials = vec![
        Trial::test("every_program_has_a_case_and_every_case_a_program", {
            let programs: BTreeSet<String> = cases.iter().map(|case| case.program.clone()).collect();
            move || programs_match(&programs, here)
        }),
        Trial::test("a_job_past_its_time_limit_is_killed_with_its_children", a_late_job_is_killed),
    ];
    for case in cases {
        for &ranks in &case.ranks {
            let (case, launcher) = (case.clone(), launcher.clone());
            trials.push(Trial::test(format!("{}::{ranks}", case.name), move || check(&case, ranks, &launcher)));
        }
    }
    trials.extend(unmodified::trials(&launcher));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Runs a case once and compares what it did with what it should do.
fn check(case: &Case, ranks: u32, launcher: &Launcher) -> Result<(), Failed> {
    let folder = launch::scratch_folder()?;
    let mut command = launcher.command(case, ranks, folder.path())?;
    let outcome = run::run(&mut command, Duration::from_secs(case.limit), folder.path())?;
    let complaints = case.complaints(ranks, &outcome, launcher);
    if complaints.is_empty() { Ok(()) } else { Err(outcome.report(&command, &complaints).into()) }
}

/// Compares the programs in the tree with those that cases name.
fn programs_match(cased: &BTreeSet<String>, here: &Path) -> Result<(), Failed> {
    let names = |folder: &str, suffix: &str| -> Result<Vec<String>, Failed> {
        let entries = std::fs::read_dir(here.join(folder))?.map(|entry| Ok(entry?.file_name().into_string().unwrap()));
        let names: Vec<String> = entries.collect::<Result<_, std::io::Error>>()?;
        Ok(names.into_iter().filter(|name| name.ends_with(suffix)).collect())
    };
    let mut programs: BTreeSet<String> =
        names("src/bin", ".rs")?.iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
    programs.extend(names("fixtures", "_face.c")?);
    programs.extend(names("fixtures", "_face.cpp")?);
    let without_case: Vec<_> = programs.difference(cased).collect();
    let without_program: Vec<_> = cased.difference(&programs).collect();
    if without_case.is_empty() && without_program.is_empty() {
        return Ok(());
    }
    Err(format!("programs without a case: {without_case:?}; cases without a program: {without_program:?}").into())
}

/// The runner's own claim: nothing of a late job stays behind.
fn a_late_job_is_killed() -> Result<(), Failed> {
    let folder = launch::scratch_folder()?;
    let begin = Instant::now();
    let mut command = Command::new("sh");
    // The grandchild leaves the process group, as the processes of some launchers do.
    command.args(["-c", "setsid sleep 60 & echo $!; sleep 60"]);
    let outcome = run::run(&mut command, Duration::from_millis(500), folder.path())?;
    let sleeper = outcome.stdout.trim();
    if outcome.status.is_some() || begin.elapsed() > Duration::from_secs(20) {
        return Err(format!("the job ran on for {:?}", begin.elapsed()).into());
    }
    // A killed process takes its time to go, and as a zombie longer than that.
    let state = || std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
    let gone = || !sleeper.is_empty() && (state().is_empty() || state().contains(") Z "));
    while !gone() {
        if begin.elapsed() > Duration::from_secs(20) {
            return Err(format!("the grandchild `{sleeper}` is still there: {}", state()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
