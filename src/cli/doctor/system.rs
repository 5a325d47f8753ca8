//! Settings and the host: what is wrong before any program is looked at.

use std::fs::{File, remove_file};
use std::path::Path;

use super::finding::Findings;
use crate::config;
use crate::layers::stack::Stack;

/// Looks at the environment and the host.
pub fn look(findings: &mut Findings) {
    settings(findings);
    preloaded(findings);
    shared_memory(findings);
    host(findings);
}

fn settings(findings: &mut Findings) {
    let environment = config::environment();
    let run = match config::mode().and_then(|_mode| config::checked_run(&environment)) {
        Ok(run) => run,
        Err(error) => return findings.problem("settings", error.to_string(), format!("set or unset {}", error.name)),
    };
    let unknown = config::unknown(&environment);
    let missing = |library: &&String| library.contains('/') && !Path::new(library).exists();
    let missing: Vec<&str> = run.load.iter().filter(missing).map(String::as_str).collect();
    let nowhere = run.report.as_deref().and_then(Path::parent).filter(|folder| !folder.is_dir());
    if !unknown.is_empty() {
        let says = format!("{}: dlcast has no such setting", unknown.join(", "));
        findings.warning("settings", says, "see dlcast --help and dlcast run --help for those it has");
    }
    if !missing.is_empty() {
        let says = format!("{} names {}, which is not on this host", config::LOAD, missing.join(", "));
        findings.problem("settings", says, "put it there, under the same name on every host");
    }
    if let Some(folder) = nowhere {
        let says = format!("{} lies in {}, which is no folder", config::REPORT, folder.display());
        findings.problem("settings", says, "make the folder");
    }
    let stack = run.stack.as_deref().map(|stack| Stack::read(stack, None));
    if let Some(Err(error)) = &stack {
        findings.problem("settings", format!("{}: {error}", config::STACK), "dlcast layers scan tells more");
    }
    if unknown.is_empty() && missing.is_empty() && nowhere.is_none() && !matches!(stack, Some(Err(_))) {
        findings.ok("settings", "every DLCAST_* variable says what it should");
    }
}

/// ld.so complains about a missing entry on every start of a program.
fn preloaded(findings: &mut Findings) {
    let environment = config::environment();
    let before = environment.iter().find(|(name, _)| name == config::LD_PRELOAD);
    let before = before.map(|(_, value)| value.to_string_lossy().into_owned()).unwrap_or_default();
    let entries = before.split([':', ' ']).filter(|entry| !entry.is_empty());
    let missing: Vec<&str> =
        entries.filter(|entry| entry.contains('/') && !entry.contains('$') && !Path::new(entry).exists()).collect();
    if !missing.is_empty() {
        let says = format!("LD_PRELOAD names {}, which is not there", missing.join(", "));
        findings.warning("preloaded", says, "take it out of LD_PRELOAD");
    } else if !before.is_empty() {
        findings.ok("preloaded", format!("{before} stays in front of dlcast's shim"));
    }
}

fn shared_memory(findings: &mut Findings) {
    let folder = config::node_dir();
    let file = folder.join(format!("dlcast-doctor-{}", std::process::id()));
    let made = File::create_new(&file);
    // What was made is there to be removed; what was not, is not.
    let _removed = made.is_ok() && remove_file(&file).is_ok();
    match made {
        Ok(_) if folder == Path::new("/dev/shm") => {
            findings.ok("memory", "/dev/shm: the ranks of this host share what they know about files");
        }
        Ok(_) => {
            let says = format!("there is no /dev/shm; the ranks of a host share digests in {}", folder.display());
            findings.warning("memory", says, "mount a tmpfs at /dev/shm, unless that folder is on a local disk");
        }
        Err(error) => {
            let says = format!("{}: {error}: every rank reads every file for itself", folder.display());
            findings.warning("memory", says, "let users write to /dev/shm");
        }
    }
}

/// Errors name hosts.
fn host(findings: &mut Findings) {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" | "(none)" | "localhost" | "localhost.localdomain" => {
            let says = format!("this host is called `{}`: errors will not tell it from others", name.trim());
            findings.warning("host", says, "give every host a name of its own");
        }
        name => findings.ok("host", format!("errors will call this host {name}")),
    }
}
