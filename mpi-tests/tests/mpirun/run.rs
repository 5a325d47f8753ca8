//! Runs one command with a time limit and keeps its output; past the limit, nothing of it stays behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

/// Lines of each stream that a failure shows.
const TAIL: usize = 40;

/// How a command ended.
pub struct Outcome {
    /// The exit status; minus the signal, where one ended it; `None` where the time limit did.
    pub status: Option<i32>,
    /// All it wrote.
    pub stdout: String,
    /// All it complained.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// What to print about a run that went wrong.
    pub fn report(&self, command: &Command, complaints: &[String]) -> String {
        let tail = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(TAIL)..].join("\n")
        };
        format!(
            "{}\n--- command, {:.1} s\n{command:?}\n--- output\n{}\n--- error output\n{}",
            complaints.join("\n"),
            self.took.as_secs_f32(),
            tail(&self.stdout),
            tail(&self.stderr)
        )
    }
}

/// Runs `command` in a process group of its own. Output goes through files of `folder`: no pipe fills up, and no
/// process that stays behind keeps one open.
pub fn run(command: &mut Command, limit: Duration, folder: &Path) -> Result<Outcome, Failed> {
    let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
    command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?).process_group(0);
    let begin = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)));
        }
        if begin.elapsed() > limit {
            kill(&mut child)?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = begin.elapsed();
    let text = |path| -> Result<String, Failed> { Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned()) };
    Ok(Outcome { status, stdout: text(stdout)?, stderr: text(stderr)?, took })
}

/// First asks the launcher to end its job, then ends whatever is left of it.
fn kill(child: &mut Child) -> Result<(), Failed> {
    let mut family = descendants(child.id())?;
    signal(child.id(), libc::SIGTERM);
    let begin = Instant::now();
    while child.try_wait()?.is_none() && begin.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // A process that was waited for has no number any more.
    if child.try_wait()?.is_some() {
        family.remove(&child.id());
    }
    for process in family {
        signal(process, libc::SIGKILL);
    }
    child.wait()?;
    Ok(())
}

fn signal(process: u32, signal: i32) {
    // SAFETY: kill takes numbers. The number is that of our child, or of a descendant seen a moment ago.
    unsafe { libc::kill(process as libc::pid_t, signal) };
}

/// A process and all that it started, also those that have left its process group.
fn descendants(process: u32) -> Result<BTreeSet<u32>, Failed> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id: u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold anything; state and parent follow it.
            Some((id, stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?))
        })
        .collect();
    let mut family = BTreeSet::from([process]);
    loop {
        let known = family.clone();
        family.extend(parents.iter().filter(|(_, parent)| known.contains(parent)).map(|(id, _)| *id));
        if family == known {
            return Ok(family);
        }
    }
}
