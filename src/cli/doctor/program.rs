//! What ld.so and the shim would make of a program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::finding::Findings;
use super::mpi::{self, Mpi};
use crate::cli::child;
use crate::config;
use crate::host::needs;
use crate::host::program::{self, Start};
use crate::vendor;

/// How long Python may take to import mpi4py from a slow file system.
const LIMIT: Duration = Duration::from_secs(60);

/// A program, and the MPI that it would have, as far as that can be told before it runs.
#[derive(Debug, Default)]
pub struct Own {
    /// The MPI.
    pub mpi: Option<Mpi>,
}

/// Looks at a program as `dlcast run` would be given it.
pub fn look(findings: &mut Findings, name: &OsStr) -> Own {
    let folders = config::program_folders();
    let path = match program::find(name, &folders) {
        Ok(path) => path,
        Err(error) => {
            findings.problem("program", error.to_string(), "give a program as dlcast run would be given it");
            return Own::default();
        }
    };
    let program::Program { chain, start } = program::look(&path, &folders);
    let shown: Vec<String> = chain.iter().map(|path| path.display().to_string()).collect();
    let shown = shown.join(", run by ");
    let last = &chain[chain.len() - 1];
    match start {
        Start::Dynamic => {}
        other => {
            untouched(findings, &shown, other);
            return Own::default();
        }
    }
    let needs = match needs::of(last, &config::library_path()) {
        Ok(needs) => needs,
        Err(error) => {
            findings.warning("program", error, "look at it with readelf -d");
            return Own::default();
        }
    };
    let missing: Vec<String> = needs
        .iter()
        .filter_map(|need| Some(format!("{} (for {})", need.found.as_ref().err()?, need.by.display())))
        .collect();
    if !missing.is_empty() {
        findings.problem(
            "program",
            format!("{shown} would not start: {}", missing.join("\n")),
            "install what is missing",
        );
        return Own { mpi: mpi::needed(&needs) };
    }
    let file = last.file_name().and_then(OsStr::to_str).unwrap_or_default();
    match mpi::needed(&needs) {
        Some(mpi) => {
            let is_own = std::fs::canonicalize(last).is_ok_and(|last| last == mpi.by);
            let by = if is_own { String::new() } else { format!(", by way of {}", mpi.by.display()) };
            let path = mpi.path.as_deref().unwrap_or(Path::new("?")).display();
            findings.ok("program", format!("{shown}: linked with {} ({path}){by}", mpi.name));
            intercepted(findings);
            Own { mpi: Some(mpi) }
        }
        None if file.starts_with("python") || file.starts_with("pypy") => {
            findings.ok("program", format!("{shown}: Python, which opens an MPI when mpi4py is imported"));
            intercepted(findings);
            Own { mpi: of_mpi4py(findings, last) }
        }
        None if ["sh", "bash", "dash", "zsh", "ksh", "csh", "tcsh"].contains(&file) => {
            let says = format!("{shown}: a shell, which hands what is preloaded on to what it starts");
            findings.warning("program", says, "give doctor the program that it starts");
            Own::default()
        }
        None => {
            let says =
                format!("{shown}: not linked with MPI; unless it opens one with dlopen, it runs as without dlcast");
            findings.warning(
                "program",
                says,
                "if it is a launcher or a wrapper, give doctor the program that it starts",
            );
            Own::default()
        }
    }
}

/// Programs into which nothing can be preloaded.
fn untouched(findings: &mut Findings, shown: &str, start: Start) {
    let (why, way_out) = match start {
        Start::Static => ("is static: nothing can be preloaded".into(), "link it dynamically"),
        Start::Library => ("is a shared library".into(), "give the program that opens it"),
        Start::OtherRights => {
            ("is setuid or setgid: ld.so ignores what is preloaded".into(), "run a copy without those bits")
        }
        Start::OtherLoader(loader) => {
            (format!("is started by {loader}, of another C library than dlcast's"), "link it with glibc")
        }
        Start::Foreign(why) => (format!("is {why}"), "build it for this machine"),
        Start::Unknown(why) => (why, "give a program that this machine starts"),
        Start::Dynamic => return,
    };
    findings.problem("program", format!("{shown} {why}; dlcast run leaves it as it is"), way_out);
}

fn intercepted(findings: &mut Findings) {
    let says = "the shim would see every dlopen of the program and its libraries; what was opened with RTLD_DEEPBIND or \
                from inside libc is found\nat the next look at the link maps; `dlcast doctor --policy` says what stays here";
    findings.ok("intercept", says);
}

/// The MPI that mpi4py of this Python opens; asked of that Python, which starts no MPI for it.
fn of_mpi4py(findings: &mut Findings, python: &Path) -> Option<Mpi> {
    const ASK: &str = "\
import mpi4py
mpi4py.rc.initialize = False
mpi4py.rc.finalize = False
from mpi4py import MPI
print('file', MPI.__file__)
for line in open('/proc/self/maps'):
    if '.so' in line:
        print('map', line.split(None, 5)[5].rstrip())
";
    let way_out = "pip install mpi4py, or bring MPI up by other means (dlcast.attach does)";
    let mut command = Command::new(python);
    command.args(["-c", ASK]).env_remove(config::LD_PRELOAD);
    let ended = match child::run(&mut command, LIMIT) {
        Ok(ended) => ended,
        Err(error) => {
            findings.warning("mpi4py", format!("not asked: {error}"), way_out);
            return None;
        }
    };
    if let Some(failure) = ended.failure(LIMIT) {
        // The last line of a traceback says it.
        let last = ended.error.lines().last().unwrap_or(&failure);
        findings.warning("mpi4py", format!("{} cannot import it: {last}", python.display()), way_out);
        return None;
    }
    let value = |key: &'static str| ended.out.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(' '));
    let by = PathBuf::from(value("file").next().unwrap_or_default());
    let path = value("map").map(PathBuf::from).find(|path| vendor::is_mpi(path));
    match path {
        Some(path) => {
            findings.ok("mpi4py", format!("{} opens {}", by.display(), path.display()));
            let name = needs::soname(&path).or_else(|| Some(path.file_name()?.to_str()?.into())).unwrap_or_default();
            Some(Mpi { name, path: Some(path), by })
        }
        None => {
            let says = format!("{} is there, but no MPI library that dlcast knows is open with it", by.display());
            findings.warning("mpi4py", says, "set MPI4PY_MPIABI, or see mpi4py's documentation");
            None
        }
    }
}
