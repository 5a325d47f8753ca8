//! `dlcast run`: starts a program that knows nothing of dlcast, with the shim preloaded, and becomes it.
//!
//! It checks, sets variables and execs: from then on this process is the program. What the shim and the engine make of the
//! variables is theirs; how they are read stands in `config`.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config;
use crate::host::exec;
use crate::host::program::{self, NoProgram, Start};

/// Its own failures, as `env`, `nice` and `timeout` have them; clap's usage errors are 2.
const CANNOT: u8 = 125;
/// The program is there and cannot be started.
const NOT_EXECUTABLE: u8 = 126;
/// There is no such program.
const NOT_FOUND: u8 = 127;

/// The shim's file name.
pub const SHIM: &str = "libdlcast_preload.so";

/// What to run, and how.
#[derive(clap::Args)]
#[command(after_long_help = MORE, override_usage = "dlcast run [OPTIONS] -- PROGRAM [ARGUMENTS]...")]
pub struct Arguments {
    /// When a dlopen of the program returns: `eager`, when every rank has the library; `deferred`, at once, and the other ranks
    /// have it within a moment
    ///
    /// Inside a constructor or an import, where waiting could deadlock, a dlopen is deferred in any case. [default: eager]
    #[arg(long, value_parser = ["eager", "deferred"])]
    policy: Option<String>,
    /// Let a dlopen fail (NULL, dlerror) if any rank cannot have the library; without it, that is a warning
    #[arg(long)]
    strict: bool,
    /// Load LIB on every rank in MPI_Init: a path, or a bare name that ld.so's search finds; may be given again
    #[arg(long, value_name = "LIB")]
    load: Vec<OsString>,
    /// Import MODULE on every rank that runs Python; may be given again
    #[arg(long, value_name = "MODULE")]
    import: Vec<String>,
    /// Let libraries find what they need in the layers of STACK (see dlcast layers --help), on every rank, from MPI_Init on
    #[arg(long, value_name = "STACK")]
    stack: Option<PathBuf>,
    /// How long one rank waits for the others: seconds, or inf [default: 120]
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true)]
    timeout: Option<String>,
    /// Write to FILE, as JSON, what was seen where, agreed when, by whom, and how long it took
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Leave libraries alone whose file name or whole path matches; may be given again
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    exclude: Vec<String>,
    /// Carry libraries whose file name or whole path matches, whatever --exclude or the built-in table says; may be given again
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    include: Vec<String>,
    /// The program and its arguments; a program without a slash is looked for in PATH
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

const MORE: &str = "What travels:
  A shared library that any rank opens with dlopen while MPI is up is opened by all ranks, and by MPI_Init those that were
  opened before it. That means ctypes, cffi, plugins of C, C++ and Fortran programs. Python modules travel by --import and by
  dlcast.import_global only; extension modules only to ranks that run Python. What libc, MPI and the system open for
  themselves never travels: `dlcast doctor --policy` prints that table, --exclude and --include change it.

  A library that another rank lacks, or cannot open, is a warning that names the ranks; with --strict it is the dlopen's own
  failure. Beyond that the program notices nothing: exit code, signals, output, arguments and /proc/self/exe are its own.

Examples:
  mpirun -n 64 dlcast run -- ./app --its-own-option
  mpirun -n 64 dlcast run --load ./libkernels.so --report loads.json -- python app.py
  mpirun -n 64 dlcast run --strict --timeout 30 --exclude '/opt/vendor/*' -- ./app
  dlcast doctor -- ./app        what would be intercepted, and what is in the way

Variables that the program is started with (an option wins over a variable that is set; globs of both count):
  LD_PRELOAD       libdlcast_preload.so behind what was there; taken out again once MPI is up, so that children are without
  DLCAST_PRELOAD   the same path, for that purpose
  DLCAST_POLICY    --policy         DLCAST_STRICT    1: --strict
  DLCAST_LOAD      --load           DLCAST_IMPORT    --import (one a line)
  DLCAST_TIMEOUT   --timeout        DLCAST_REPORT    --report (an absolute path)
  DLCAST_STACK     --stack (an absolute path)
  DLCAST_EXCLUDE   --exclude        DLCAST_INCLUDE   --include (separated by `:`)
  Those of options that are not given are left as they are.

The shim is looked for in the folder of the dlcast command (links followed), then in ../lib, then in
../lib/python3*/site-packages/dlcast/_lib.

A static program, a setuid one, one for another C library or word size, or one that never calls MPI_Init runs as it would
without dlcast.

Exit code: the program's own; 127 if there is no such program, 126 if it cannot be started, 125 if dlcast cannot go ahead,
2 for a mistake in dlcast's own options.";

fn seconds(text: &str) -> Result<String, String> {
    match config::check_timeout(text) {
        Ok(()) => Ok(text.into()),
        Err(error) => Err(format!("expected {}", error.expected)),
    }
}

fn glob(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(':') {
        return Err("a glob is not empty and holds no `:`, which separates globs; `?` matches one, too".into());
    }
    config::check_glob(text).map_err(|why| format!("not a glob: {why}"))?;
    Ok(text.into())
}

/// Becomes the program; returns only if that fails, with the exit code.
pub fn run(arguments: &Arguments) -> u8 {
    let (message, code) = match start(arguments) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    eprintln!("dlcast: {message}");
    code
}

/// A message, and the exit code that goes with it.
type Failure = (String, u8);

fn start(arguments: &Arguments) -> Result<std::convert::Infallible, Failure> {
    let [name, rest @ ..] = arguments.program.as_slice() else {
        return Err(("no program to run".into(), CANNOT));
    };
    let settings = settings(arguments).map_err(|message| (message, CANNOT))?;
    // A variable that is wrong would be noticed by every rank in MPI_Init only.
    let mut environment = config::environment();
    for (variable, value) in settings {
        set(&mut environment, variable, value);
    }
    config::checked_run(&environment).map_err(|error| (error.to_string(), CANNOT))?;
    let named = environment.iter().find(|(name, value)| name == config::REPORT && !value.is_empty());
    if let (None, Some((_, file))) = (&arguments.report, named) {
        report(Path::new(file)).map_err(|message| (message.replace("--report", config::REPORT), CANNOT))?;
    }

    let folders = config::program_folders();
    let path = program::find(name, &folders).map_err(|error| {
        let code = if matches!(error, NoProgram::Missing { .. }) { NOT_FOUND } else { NOT_EXECUTABLE };
        (error.to_string(), code)
    })?;
    // Its loader would complain about a shim of another word size, or trip over one of another C library.
    if !matches!(program::look(&path, &folders).start, Start::Foreign(_) | Start::OtherLoader(_)) {
        let shim = find_shim().map_err(|message| (message, CANNOT))?;
        let before =
            environment.iter().find(|(name, _)| name == config::LD_PRELOAD).map(|(_, value)| value.as_os_str());
        let preload = appended(before, &shim).map_err(|message| (message, CANNOT))?;
        set(&mut environment, config::LD_PRELOAD, preload);
        set(&mut environment, config::PRELOAD, shim.into_os_string());
    }
    let error = exec::exec(name, rest, &environment);
    let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    // The kernel says the same of a script and of what should run it.
    let chain = program::look(&path, &folders).chain;
    let missing = chain.iter().skip(1).find(|file| !file.exists());
    let why = missing.map_or(error.to_string(), |file| format!("its interpreter {} is not there", file.display()));
    Err((format!("{}: cannot be started: {why}", path.display()), code))
}

/// In its place if it is there, else behind the others: programs may print their environment.
fn set(environment: &mut Vec<(OsString, OsString)>, variable: &str, value: OsString) {
    match environment.iter_mut().find(|(name, _)| name == variable) {
        Some((_, old)) => *old = value,
        None => environment.push((variable.into(), value)),
    }
}

/// The variables of the options that were given.
fn settings(arguments: &Arguments) -> Result<Vec<(&'static str, OsString)>, String> {
    let mut list: Vec<(&'static str, OsString)> = Vec::new();
    if let Some(policy) = &arguments.policy {
        list.push((config::POLICY, policy.into()));
    }
    if arguments.strict {
        list.push((config::STRICT, "1".into()));
    }
    if !arguments.load.is_empty() {
        let paths = arguments.load.iter().map(|name| library(name)).collect::<Result<Vec<_>, String>>()?;
        list.push((config::LOAD, paths.join("\n").into()));
    }
    if let Some(bad) = arguments.import.iter().find(|module| module.is_empty() || module.contains(char::is_whitespace))
    {
        return Err(format!("--import `{bad}`: expected the name of a module, such as scipy.linalg"));
    }
    if !arguments.import.is_empty() {
        list.push((config::IMPORT, arguments.import.join("\n").into()));
    }
    if let Some(seconds) = &arguments.timeout {
        list.push((config::TIMEOUT, seconds.into()));
    }
    if let Some(path) = &arguments.stack {
        list.push((config::STACK, stack(path)?.into_os_string()));
    }
    if let Some(file) = &arguments.report {
        list.push((config::REPORT, report(file)?.into_os_string()));
    }
    for (variable, globs) in [(config::EXCLUDE, &arguments.exclude), (config::INCLUDE, &arguments.include)] {
        if !globs.is_empty() {
            let before = config::environment().into_iter().find(|(name, _)| name == variable);
            let before = before.map(|(_, value)| value).filter(|value| !value.is_empty());
            let globs = before.into_iter().chain(globs.iter().map(OsString::from)).collect::<Vec<_>>();
            list.push((variable, globs.join(OsStr::new(":"))));
        }
    }
    Ok(list)
}

/// A path is made absolute, because the program may change its folder; a bare name stays bare, for ld.so's search.
fn library(name: &OsStr) -> Result<String, String> {
    let shown = name.to_string_lossy();
    let Some(text) = name.to_str() else { return Err(format!("--load `{shown}`: its name is not UTF-8")) };
    if text.trim() != text || text.is_empty() || text.contains('\n') {
        return Err(format!("--load `{shown}`: a library's name begins and ends in print, on one line"));
    }
    if !text.contains('/') {
        return Ok(text.into());
    }
    match absolute(Path::new(text))?.into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(path) => Err(format!("--load {}: its folder's name is not UTF-8", path.display())),
    }
}

/// What is in it, rank 0 says in MPI_Init.
fn stack(path: &Path) -> Result<PathBuf, String> {
    let whole = absolute(path)?;
    match (whole.to_str(), whole.metadata()) {
        (None, _) => Err(format!("--stack {}: its name is not UTF-8", path.display())),
        (_, Err(error)) => Err(format!(
            "--stack {}: {error}; give a stack.toml, a venvstacks.toml, or a folder that holds one of them",
            path.display()
        )),
        _ => Ok(whole),
    }
}

fn report(file: &Path) -> Result<PathBuf, String> {
    let path = absolute(file)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    if path.is_dir() || file.as_os_str().as_bytes().ends_with(b"/") {
        Err(format!("--report {}: is a folder; give a file in it", file.display()))
    } else if !folder.is_dir() {
        Err(format!("--report {}: there is no folder {}; make it first", file.display(), folder.display()))
    } else {
        Ok(path)
    }
}

/// Links are not followed: `$ORIGIN` goes by the path.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The shim: one rule, which the help states.
///
/// # Errors
/// Where it was looked for.
pub fn find_shim() -> Result<PathBuf, String> {
    let command = config::executable().map_err(|error| format!("where the dlcast command is: {error}"))?;
    let folder = command.parent().unwrap_or(Path::new("/"));
    let beside = [folder.to_path_buf(), folder.join("../lib")];
    let libraries = std::fs::read_dir(folder.join("../lib")).into_iter().flatten().flatten();
    let mut pythons: Vec<PathBuf> = libraries
        .filter(|entry| entry.file_name().as_bytes().starts_with(b"python3"))
        .map(|entry| entry.path().join("site-packages/dlcast/_lib"))
        .collect();
    pythons.sort();
    let places = beside.into_iter().chain(pythons).map(|folder| folder.join(SHIM));
    // Without `..`: the path is compared as text when the shim takes itself out of LD_PRELOAD.
    if let Some(found) = places.clone().find_map(|place| place.canonicalize().ok()) {
        return Ok(found);
    }
    let places: String = places.map(|place| format!("\n  {}", place.display())).collect();
    Err(format!("{SHIM} not found; install dlcast with it (scripts/install, pip), looked for:{places}"))
}

/// `LD_PRELOAD` with the shim behind what is there.
fn appended(before: Option<&OsStr>, shim: &Path) -> Result<OsString, String> {
    let text = shim.as_os_str().as_bytes();
    // ld.so(8): spaces and colons separate, and there is no way to quote; `$` begins a token.
    if text.iter().any(|byte| matches!(byte, b' ' | b':' | b'$') || byte.is_ascii_whitespace()) {
        let path = shim.display();
        return Err(format!(
            "{path}: cannot be preloaded: LD_PRELOAD takes no space, `:` or `$`; install dlcast elsewhere"
        ));
    }
    let Some(before) = before.filter(|before| !before.is_empty()) else { return Ok(shim.into()) };
    // Twice under `dlcast run`: once is enough.
    if before.as_bytes().split(|byte| matches!(byte, b':' | b' ')).any(|entry| entry == text) {
        return Ok(before.into());
    }
    let mut list = before.to_os_string();
    list.push(":");
    list.push(shim);
    Ok(list)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parsed(line: &[&str]) -> Result<Arguments, clap::Error> {
        Command::try_parse_from(["run"].iter().chain(line)).map(|command| command.arguments)
    }

    fn variables(line: &[&str]) -> Vec<(&'static str, String)> {
        let list = settings(&parsed(line).unwrap()).unwrap();
        list.into_iter().map(|(name, value)| (name, value.into_string().unwrap())).collect()
    }

    #[test]
    fn what_follows_the_program_is_its_own() {
        for (line, program) in [
            (&["--strict", "--", "app", "--strict", "--help"][..], &["app", "--strict", "--help"][..]),
            (&["app", "-x", "--", "y"], &["app", "-x", "--", "y"]),
            (&["--", "app", "--", "y", "--"], &["app", "--", "y", "--"]),
            (&["--", "--odd"], &["--odd"]),
        ] {
            assert_eq!(parsed(line).unwrap().program, program, "{line:?}");
        }
        assert!(parsed(&["--strict"]).is_err() && parsed(&["--no-such-option", "app"]).is_err());
    }

    #[test]
    fn only_the_options_that_are_given_become_variables() {
        assert_eq!(variables(&["--", "app"]), []);
        let here = config::working_dir().unwrap();
        let here = here.to_str().unwrap();
        let line = ["--policy", "deferred", "--strict", "--load", "./a.so", "--load", "libz.so.1", "--import", "numpy"];
        let more =
            ["--timeout", "0.5", "--report", "r.json", "--exclude", "a*", "--exclude", "b", "--include", "c", "app"];
        assert_eq!(
            variables(&[&line[..], &more[..]].concat()),
            [
                ("DLCAST_POLICY", "deferred".into()),
                ("DLCAST_STRICT", "1".into()),
                ("DLCAST_LOAD", format!("{here}/a.so\nlibz.so.1")),
                ("DLCAST_IMPORT", "numpy".into()),
                ("DLCAST_TIMEOUT", "0.5".into()),
                ("DLCAST_REPORT", format!("{here}/r.json")),
                ("DLCAST_EXCLUDE", "a*:b".into()),
                ("DLCAST_INCLUDE", "c".into()),
            ]
        );
    }

    #[test]
    fn a_wrong_option_is_refused_with_what_it_may_be() {
        for (line, expected) in [
            (["--timeout", "0"], "seconds above zero"),
            (["--timeout", "five"], "seconds above zero"),
            (["--policy", "lazy"], "eager, deferred"),
            (["--exclude", "a:b"], "separates globs"),
            (["--include", "[a"], "not a glob"),
        ] {
            let said = parsed(&[&line[..], &["app"]].concat()).err().unwrap().to_string();
            assert!(said.contains(expected), "{said}");
        }
        for (line, expected) in [
            (["--report", "/no/such/folder/r.json"], "no folder /no/such/folder"),
            (["--report", "/tmp"], "is a folder"),
            (["--report", "/tmp/r/"], "is a folder"),
            (["--load", "a.so\nb.so"], "one line"),
            (["--load", ""], "one line"),
            (["--import", "a b"], "name of a module"),
        ] {
            let said = settings(&parsed(&[&line[..], &["app"]].concat()).unwrap()).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn the_shim_stands_behind_what_was_preloaded_and_once() {
        let shim = Path::new("/opt/libdlcast_preload.so");
        let with = |before: &str| appended(Some(OsStr::new(before)), shim).unwrap();
        assert_eq!(appended(None, shim).unwrap(), "/opt/libdlcast_preload.so");
        assert_eq!(with(""), "/opt/libdlcast_preload.so");
        assert_eq!(with("/a.so b.so"), "/a.so b.so:/opt/libdlcast_preload.so");
        assert_eq!(with("/opt/libdlcast_preload.so:/a.so"), "/opt/libdlcast_preload.so:/a.so");
        for bad in ["/a b/x.so", "/a:b/x.so", "/$LIB/x.so"] {
            assert!(appended(None, Path::new(bad)).unwrap_err().contains(bad));
        }
    }
}
