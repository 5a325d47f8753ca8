//! Which MPI: dlcast's own, the one that the program would get, whether they agree, what they provide, and who starts them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::finding::Findings;
use crate::cli::child;
use crate::cli::run::find_shim;
use crate::cli::{FAILURE, SUCCESS};
use crate::config;
use crate::host::{needs, probe, program};
use crate::vendor;

/// How long MPI may take to start and to end in a process of its own.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a launcher may take to tell its version.
const LAUNCHER_LIMIT: Duration = Duration::from_secs(10);

const REBUILD: &str = "build dlcast with the program's MPI: its mpicc first in PATH, or MPICC";

/// An MPI library that somebody needs.
#[derive(Debug)]
pub struct Mpi {
    /// The name in DT_NEEDED, by which the loader tells MPIs apart; the file's name where it is opened by path.
    pub name: String,
    /// The file, where the search finds one.
    pub path: Option<PathBuf>,
    /// The object that needs it.
    pub by: PathBuf,
}

/// The MPI among what an object needs.
pub fn needed(needs: &[needs::Need]) -> Option<Mpi> {
    let need = needs.iter().find(|need| vendor::is_mpi(Path::new(&need.name)))?;
    let path = need.found.as_ref().ok().cloned();
    Some(Mpi { name: need.name.clone(), path, by: need.by.clone() })
}

/// dlcast's engine, and the MPI that it needs.
#[derive(Debug)]
pub struct Engine {
    path: PathBuf,
    mpi: Option<Mpi>,
}

/// Looks for the shim, and for the engine beside it.
pub fn engine(findings: &mut Findings) -> Option<Engine> {
    findings.ok("dlcast", format!("built with {} ({})", vendor::BUILT_WITH, vendor::BUILT_FILE));
    let shim = match find_shim() {
        Ok(shim) => shim,
        Err(error) => {
            findings.problem("shim", error, "install dlcast with scripts/install or pip, and call that dlcast");
            return None;
        }
    };
    // A library asks for no loader; for another machine it is told so.
    match program::look(&shim, &[]).start {
        program::Start::Library | program::Start::Static | program::Start::Dynamic => {
            findings.ok("shim", shim.display().to_string())
        }
        program::Start::Foreign(why) | program::Start::Unknown(why) => {
            findings.problem("shim", format!("{}: {why}", shim.display()), "install dlcast again");
        }
        program::Start::OtherRights | program::Start::OtherLoader(_) => {
            findings.problem("shim", format!("{} is no library", shim.display()), "install dlcast again");
        }
    }
    let folder = shim.parent().unwrap_or(Path::new("/"));
    let names = ["libdlcast.so.0", "libdlcast.so"];
    let Some(engine) = names.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else {
        let says = format!("there is no {} beside the shim, in {}", names.join(" or "), folder.display());
        findings.problem("engine", says, "install dlcast again; shim and libdlcast.so belong into one folder");
        return None;
    };
    match needs::of(&engine, &config::library_path()) {
        Err(error) => {
            findings.problem("engine", error, "install dlcast again");
            None
        }
        Ok(needs) => {
            let mpi = needed(&needs);
            // That one the program brings along.
            let missing = needs.iter().filter(|need| !vendor::is_mpi(Path::new(&need.name)));
            let missing: Vec<String> =
                missing.filter_map(|need| Some(need.found.as_ref().err()?.to_string())).collect();
            match (missing.is_empty(), &mpi) {
                (false, _) => findings.problem("engine", missing.join("\n"), "install what is missing"),
                (true, Some(mpi)) => {
                    let there = mpi
                        .path
                        .as_ref()
                        .map_or("not on ld.so's search path here".into(), |path| path.display().to_string());
                    findings.ok("engine", format!("{} needs {} ({there})", engine.display(), mpi.name));
                }
                (true, None) => {
                    let says = format!("{} needs no MPI library that dlcast knows", engine.display());
                    findings.warning("engine", says, "build dlcast with the MPI of the programs");
                }
            }
            Some(Engine { path: engine, mpi })
        }
    }
}

/// Compares dlcast's MPI with the program's, and asks whichever the program would have.
pub fn compare(findings: &mut Findings, engine: Option<&Engine>, own: Option<&super::program::Own>) {
    let program = own.and_then(|own| own.mpi.as_ref());
    // A program that brings no MPI of its own may open one later, which is not known.
    let asked = match own {
        Some(_) => program,
        None => engine.and_then(|engine| engine.mpi.as_ref()),
    };
    let version = asked.and_then(|mpi| ask(findings, mpi, engine));
    // Said already, and better, if the versions differ.
    let agree = version.as_deref().is_none_or(vendor::is_of_the_build);
    if let (Some(engine), Some(program)) = (engine.and_then(|engine| engine.mpi.as_ref()), program)
        && engine.name != program.name
        && agree
        && !same_file(engine.path.as_deref(), program.path.as_deref())
    {
        let (theirs, by) = (&program.name, program.by.display());
        let says = format!("the program has {theirs} (of {by}), dlcast needs {}: two MPIs in a process", engine.name);
        findings.problem("mpi", says, REBUILD);
    }
    launcher(findings, version.as_deref());
}

fn same_file(one: Option<&Path>, other: Option<&Path>) -> bool {
    let real = |path: Option<&Path>| std::fs::canonicalize(path?).ok();
    real(one).is_some_and(|one| real(other).is_some_and(|other| one == other))
}

/// What the MPI says of itself, from a child that has it.
fn ask(findings: &mut Findings, mpi: &Mpi, engine: Option<&Engine>) -> Option<String> {
    let path = mpi.path.as_ref()?;
    let shown = path.display();
    if let Some(variable) = config::launched() {
        let says = format!("{shown} was not asked for its thread level: this is a rank of a job ({variable} is set)");
        findings.warning("threads", says, "call dlcast doctor on one host, without mpirun");
        return None;
    }
    let command = match config::executable() {
        Ok(command) => command,
        Err(error) => {
            findings.warning("threads", format!("not asked: where the dlcast command is: {error}"), "mount /proc");
            return None;
        }
    };
    let mut command = Command::new(command);
    // What is preloaded belongs to programs, not to this question.
    command.args(["doctor", "--probe"]).arg(path).env_remove(config::LD_PRELOAD);
    // Two MPIs in a process are told elsewhere.
    let engine = engine.filter(|engine| engine.mpi.as_ref().is_none_or(|its| its.name == mpi.name));
    if let Some(engine) = engine {
        command.arg("--engine").arg(&engine.path);
    }
    let ended = match child::run(&mut command, LIMIT) {
        Ok(ended) => ended,
        Err(error) => {
            findings.warning("threads", format!("not asked: {error}"), "try again");
            return None;
        }
    };
    let value = |key: &str| ended.out.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let version = value("version").map(String::from);
    match version.as_deref() {
        Some(version) if vendor::is_of_the_build(version) => {
            findings.ok("mpi", format!("{version} ({shown})"));
        }
        Some(version) => {
            let says = format!("{version} ({shown}), but dlcast was built with {}", vendor::BUILT_WITH);
            findings.problem("mpi", says, REBUILD);
        }
        None => {}
    }
    match value("engine") {
        // Of an MPI of another version that is no news.
        Some(answer)
            if answer != config::ENGINE_VERSION.to_string()
                && version.as_deref().is_some_and(vendor::is_of_the_build) =>
        {
            let path = engine.map(|engine| engine.path.display().to_string()).unwrap_or_default();
            let says = match answer.parse::<u32>() {
                Ok(other) => {
                    format!(
                        "{path} speaks version {other} of what the shim speaks in version {}",
                        config::ENGINE_VERSION
                    )
                }
                Err(_) => format!("{path} cannot be used beside {shown}: {answer}"),
            };
            findings.problem("engine", says, "install dlcast again, all of it");
        }
        _ => {}
    }
    const LEVELS: [&str; 4] = ["SINGLE", "FUNNELED", "SERIALIZED", "MULTIPLE"];
    let failure = ended.failure(LIMIT);
    let level = value("provided").and_then(|level| LEVELS.get(level.parse::<usize>().ok()?));
    match level {
        Some(&"MULTIPLE") => findings.ok("threads", "MPI_THREAD_MULTIPLE is provided: service mode can work"),
        Some(level) => {
            let says = format!("MPI_THREAD_{level} is all that is provided; service mode needs MPI_THREAD_MULTIPLE");
            findings.problem("threads", says, "use an MPI that is built with it, or collective mode");
        }
        None => {
            let says = failure.clone().unwrap_or_else(|| "said nothing".into());
            let way_out = "start any MPI program alone, without mpirun, to see the same";
            findings.problem("threads", format!("a process that only starts {shown} {says}"), way_out);
        }
    }
    if let (Some(_), Some(failure)) = (level, failure) {
        let says = format!("a process that only starts and ends {shown} {failure}");
        findings.warning("threads", says, "programs may end like that, too");
    }
    version
}

/// The other side of [`ask`].
pub fn probe(mpi: &Path, engine: Option<&Path>) -> u8 {
    let told = probe::version(mpi).and_then(|version| {
        let words: Vec<&str> = vendor::short(&version).split_whitespace().collect();
        println!("version {}", words.join(" "));
        match engine.map(probe::engine) {
            None => {}
            Some(Ok(version)) => println!("engine {version}"),
            Some(Err(error)) => println!("engine {}", error.replace('\n', " ")),
        }
        probe::thread_level(mpi, |level| println!("provided {level}"))
    });
    match told {
        Ok(()) => SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            FAILURE
        }
    }
}

/// The launcher that PATH leads to; that of another MPI starts every rank as a job of its own.
fn launcher(findings: &mut Findings, version: Option<&str>) {
    let folders = config::program_folders();
    let found = ["mpirun", "mpiexec"].iter().find_map(|name| program::find(name.as_ref(), &folders).ok());
    let Some(path) = found else {
        let way_out = "add the MPI's bin folder to PATH, or use the one of the batch system (srun)";
        findings.warning("launcher", "neither mpirun nor mpiexec is in PATH", way_out);
        return;
    };
    let shown = path.display();
    let text = child::run(Command::new(&path).arg("--version"), LAUNCHER_LIMIT).map(|ended| ended.out + &ended.error);
    let text = text.unwrap_or_default();
    let expected = version.and_then(vendor::of_version);
    match (vendor::of_launcher(&text), expected) {
        (Some(launcher), Some(mpi)) if launcher != mpi => {
            let says = format!("{shown} is {launcher}'s, the program's MPI is {mpi}: every rank would be a job of one");
            findings.problem("launcher", says, format!("put {mpi}'s bin folder first in PATH"));
        }
        (Some(launcher), _) => findings.ok("launcher", format!("{shown} ({launcher})")),
        (None, _) => findings.ok("launcher", format!("{shown} (of which MPI, it does not say)")),
    }
}
