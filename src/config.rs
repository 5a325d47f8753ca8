//! Every setting from the environment; the only user of `std::env`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DLCAST_TIMEOUT` | seconds that a collective call may wait for other ranks; `inf`: no deadline | 120 |
//! | `DLCAST_MODE` | mode of sessions attached without one: `collective` or `service` | `collective` |
//! | `DLCAST_POLICY` | of `dlcast run`: what a dlopen of the program waits for, `eager` or `deferred` | `eager` |
//! | `DLCAST_STRICT` | of `dlcast run`: 1: a library that fails on another rank fails here, too | 0 |
//! | `DLCAST_LOAD` | of `dlcast run`: libraries for every rank, one a line | none |
//! | `DLCAST_IMPORT` | of `dlcast run`: Python modules for every rank, one a line | none |
//! | `DLCAST_REPORT` | of `dlcast run`: the file of the report | no report |
//! | `DLCAST_EXCLUDE` | of `dlcast run`: globs of libraries that do not travel, separated by `:` | none |
//! | `DLCAST_STACK` | of `dlcast run`: the stack in whose layers libraries find what they need | none |
//! | `DLCAST_INCLUDE` | of `dlcast run`: globs of libraries that do, whatever else is said, separated by `:` | none |
//! | `DLCAST_PRELOAD` | set by `dlcast run`, for the shim alone: its own path | |
//! | `DLCAST_SIM_RUNS` | random runs of the simulation in dlcast's own tests | 2000 |
//! | `DLCAST_SIM_FIRST` | seed of the first of them, where the service is simulated | 0 |
//! | `DLCAST_SIM_PROGRESS` | 1: the simulation of the service says how far it is | |
//! | `DLCAST_SEARCH_RUNS` | random trees of libraries in dlcast's own tests | 30 |
//! | `DLCAST_FUZZ_RUNS` | malformed messages in dlcast's own tests | 1000000 |

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use glob::Pattern;

/// The variables that `dlcast run` sets and the engine reads.
pub const TIMEOUT: &str = "DLCAST_TIMEOUT";
/// See the table above.
pub const POLICY: &str = "DLCAST_POLICY";
/// See the table above.
pub const STRICT: &str = "DLCAST_STRICT";
/// See the table above.
pub const LOAD: &str = "DLCAST_LOAD";
/// See the table above.
pub const IMPORT: &str = "DLCAST_IMPORT";
/// See the table above.
pub const REPORT: &str = "DLCAST_REPORT";
/// See the table above.
pub const EXCLUDE: &str = "DLCAST_EXCLUDE";
/// See the table above.
pub const INCLUDE: &str = "DLCAST_INCLUDE";
/// See the table above.
pub const STACK: &str = "DLCAST_STACK";
/// See the table above.
pub const PRELOAD: &str = "DLCAST_PRELOAD";
/// The version of what the engine offers the shim (`dlcast_preload_version`), which refuses every other.
pub const ENGINE_VERSION: u32 = 2;
/// What ld.so opens before everything else (ld.so(8)): paths, separated by colons or spaces.
pub const LD_PRELOAD: &str = "LD_PRELOAD";

/// How a session reaches the other ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every rank makes the calls itself.
    #[default]
    Collective,
    /// Threads take part for ranks that do not call.
    Service,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::Collective => "collective",
            Mode::Service => "service",
        })
    }
}

/// How long a call may wait for other ranks. Time spent on this rank's own opening and importing does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Timeout {
    /// `DLCAST_TIMEOUT`, by default 120 s.
    #[default]
    Default,
    /// This long.
    After(Duration),
    /// For ever; a wait still talks after 60 s.
    Never,
}

/// A variable that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is `{value}`; expected {expected}")]
pub struct SettingError {
    /// The variable.
    pub name: &'static str,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub expected: &'static str,
}

impl Timeout {
    /// From seconds, as C and Python give them: negative means the default, infinity never.
    pub fn from_seconds(seconds: f64) -> Result<Timeout, &'static str> {
        if seconds.is_nan() {
            Err("a timeout must be a number of seconds, not NaN")
        } else if seconds < 0.0 {
            Ok(Timeout::Default)
        } else if seconds == 0.0 {
            Err("a timeout must be above zero: a wait that may not wait fails on every rank")
        } else {
            // Beyond Duration (584 thousand million years) is never, too.
            Ok(Duration::try_from_secs_f64(seconds).map_or(Timeout::Never, Timeout::After))
        }
    }

    /// The duration it stands for; `None`: no deadline.
    pub fn resolve(self) -> Result<Option<Duration>, SettingError> {
        match self {
            Timeout::After(Duration::ZERO) => {
                Err(SettingError { name: "timeout", value: "0".into(), expected: "a time above zero" })
            }
            Timeout::After(duration) => Ok(Some(duration)),
            Timeout::Never => Ok(None),
            Timeout::Default => default_timeout(text(TIMEOUT)),
        }
    }
}

/// Checks a timeout as `DLCAST_TIMEOUT` holds it.
///
/// # Errors
/// [`SettingError`] that says what it may be.
pub fn check_timeout(value: &str) -> Result<(), SettingError> {
    default_timeout(Some(value.into())).map(|_duration| ())
}

fn default_timeout(value: Option<String>) -> Result<Option<Duration>, SettingError> {
    let Some(value) = value else { return Ok(Some(Duration::from_secs(120))) };
    let wrong = || SettingError {
        name: TIMEOUT,
        value: value.clone(),
        expected: "seconds above zero, such as 30 or 0.5, or inf for no deadline",
    };
    let seconds: f64 = value.trim().parse().map_err(|_| wrong())?;
    if seconds.is_nan() || seconds <= 0.0 {
        return Err(wrong());
    }
    Ok(Duration::try_from_secs_f64(seconds).ok())
}

/// The mode of a session attached without one.
pub fn mode() -> Result<Mode, SettingError> {
    match text("DLCAST_MODE").as_deref() {
        None | Some("collective") => Ok(Mode::Collective),
        Some("service") => Ok(Mode::Service),
        Some(other) => {
            Err(SettingError { name: "DLCAST_MODE", value: other.into(), expected: "collective or service" })
        }
    }
}

/// When the dlopen of a program that knows nothing of dlcast returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eagerness {
    /// When every rank has the library.
    #[default]
    Eager,
    /// When this rank has it; the others have it soon.
    Deferred,
}

impl std::fmt::Display for Eagerness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Eagerness::Eager => "eager",
            Eagerness::Deferred => "deferred",
        })
    }
}

/// What `dlcast run` was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// When a dlopen returns.
    pub policy: Eagerness,
    /// Whether a library that another rank lacks is a failure of the rank that has it.
    pub strict: bool,
    /// Libraries that every rank loads in MPI_Init: absolute paths, or bare names.
    pub load: Vec<String>,
    /// Python modules that every rank with an interpreter imports.
    pub import: Vec<String>,
    /// The stack of layers; an absolute path.
    pub stack: Option<PathBuf>,
    /// Where the report goes; an absolute path.
    pub report: Option<PathBuf>,
    /// What does not travel.
    pub exclude: Vec<Pattern>,
    /// What does, whatever else is said.
    pub include: Vec<Pattern>,
}

/// What `dlcast run` was asked for.
///
/// # Errors
/// [`SettingError`] for the first variable that does not say what it should.
pub fn run() -> Result<Run, SettingError> {
    read_run(|name| std::env::var_os(name))
}

/// The same of an environment that a program has, or would be started with; its timeout is checked, too.
///
/// # Errors
/// As [`run`] would say in that program; and a `DLCAST_TIMEOUT` that is wrong.
pub fn checked_run(environment: &[(OsString, OsString)]) -> Result<Run, SettingError> {
    let value = |sought: &str| environment.iter().find(|(name, _)| name == sought).map(|(_, value)| value.clone());
    let run = read_run(value)?;
    let timeout = value(TIMEOUT).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty());
    default_timeout(timeout).map(|_duration| run)
}

/// Variables that look like settings and are none: mistyped, say.
#[must_use]
pub fn unknown(environment: &[(OsString, OsString)]) -> Vec<String> {
    const OTHERS: [&str; 4] = ["DLCAST_MODE", "DLCAST_PRELOAD", "DLCAST_MPIRUN", "DLCAST_MPI_ENV"];
    let known = [TIMEOUT, POLICY, STRICT, LOAD, IMPORT, STACK, REPORT, EXCLUDE, INCLUDE];
    let names = environment.iter().map(|(name, _)| name.to_string_lossy().into_owned());
    let of_tests = ["DLCAST_TEST_", "DLCAST_SIM_", "DLCAST_FUZZ_", "DLCAST_FIXTURE_", "DLCAST_STORM_"];
    names
        .filter(|name| name.starts_with("DLCAST_") && of_tests.iter().all(|prefix| !name.starts_with(prefix)))
        .filter(|name| !known.contains(&name.as_str()) && !OTHERS.contains(&name.as_str()))
        .collect()
}

/// Checks a glob; the error says what is wrong with it.
///
/// # Errors
/// What the matcher says.
pub fn check_glob(glob: &str) -> Result<(), String> {
    Pattern::new(glob).map(|_pattern| ()).map_err(|error| error.msg.into())
}

fn read_run(value: impl Fn(&str) -> Option<OsString>) -> Result<Run, SettingError> {
    let value = |name| value(name).filter(|value| !value.is_empty());
    let wrong =
        |name, value: &OsStr, expected| SettingError { name, value: value.to_string_lossy().into_owned(), expected };
    let text = |name| match value(name).map(OsString::into_string) {
        None => Ok(String::new()),
        Some(Ok(text)) => Ok(text),
        Some(Err(bytes)) => Err(wrong(name, &bytes, "text in UTF-8")),
    };
    let lines = |name| text(name).map(|text| split(&text, '\n'));
    let globs = |name| {
        let globs = text(name).map(|text| split(&text, ':'))?;
        let pattern = |glob: &String| {
            Pattern::new(glob)
                .map_err(|_| wrong(name, OsStr::new(glob), "globs such as libx*.so or /opt/*/lib*, separated by `:`"))
        };
        globs.iter().map(pattern).collect::<Result<Vec<Pattern>, SettingError>>()
    };
    let absolute = |name| match value(name) {
        Some(path) if !path.as_bytes().starts_with(b"/") => {
            Err(wrong(name, &path, "an absolute path: the program may change its folder"))
        }
        path => Ok(path.map(PathBuf::from)),
    };
    Ok(Run {
        policy: match text(POLICY)?.as_str() {
            "" | "eager" => Eagerness::Eager,
            "deferred" => Eagerness::Deferred,
            other => return Err(wrong(POLICY, OsStr::new(other), "eager or deferred")),
        },
        strict: match text(STRICT)?.as_str() {
            "" | "0" => false,
            "1" => true,
            other => return Err(wrong(STRICT, OsStr::new(other), "1 or 0")),
        },
        load: lines(LOAD)?,
        import: modules(lines(IMPORT)?)?,
        stack: text(STACK).and_then(|_| absolute(STACK))?,
        report: absolute(REPORT)?,
        exclude: globs(EXCLUDE)?,
        include: globs(INCLUDE)?,
    })
}

/// Names that an import can have.
fn modules(names: Vec<String>) -> Result<Vec<String>, SettingError> {
    match names
        .iter()
        .find(|name| name.contains(|c: char| c == '\0' || c.is_whitespace()) || name.split('.').any(str::is_empty))
    {
        Some(wrong) => {
            let expected = "absolute names of modules, such as pkg.mod, one a line";
            Err(SettingError { name: IMPORT, value: wrong.clone(), expected })
        }
        None => Ok(names),
    }
}

fn split(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(String::from).collect()
}

/// This process's variables as they are, in their order: what a program is started with.
pub fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// The file of this process's program, links followed.
///
/// # Errors
/// Where /proc is missing.
pub fn executable() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// `DLCAST_STACK` as it stands, whatever the other variables say: ranks compare theirs.
pub fn stack() -> String {
    text(STACK).unwrap_or_default()
}

/// Where this process was started from: its program by the name it was called by, links not followed.
pub fn called_as() -> Option<PathBuf> {
    let name = std::env::args_os().next()?;
    match name.as_bytes().contains(&b'/') {
        true => std::path::absolute(name).ok(),
        false => program_folders().into_iter().map(|folder| folder.join(&name)).find(|path| path.is_file()),
    }
}

/// The folders in which a program without a slash in its name is looked for, as execvp(3) has them.
pub fn program_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).map(|folder| if folder.as_os_str().is_empty() { ".".into() } else { folder }).collect()
}

/// Where the ranks of one node share what they know about files: memory, where the system has it.
pub fn node_dir() -> PathBuf {
    let shared_memory = PathBuf::from("/dev/shm");
    if shared_memory.is_dir() { shared_memory } else { std::env::temp_dir() }
}

/// LD_LIBRARY_PATH, as ld.so has read it when this process started; empty where it is not set.
pub fn library_path() -> OsString {
    std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default()
}

/// The working directory, which relative paths are relative to.
pub fn working_dir() -> std::io::Result<PathBuf> {
    std::env::current_dir()
}

/// What PMIx calls this job, where it started the process.
pub fn pmix_namespace() -> Option<String> {
    text("PMIX_NAMESPACE")
}

/// Whether the launcher says that all ranks of MPI_COMM_WORLD are on this host: a hint about the host of a rank that never
/// attached. (Open MPI; MPICH's Hydra.)
pub fn world_is_one_host() -> bool {
    let same = |local: &str, world: &str| {
        let value = |name| text(name).and_then(|value| value.parse::<u32>().ok());
        matches!((value(local), value(world)), (Some(local), Some(world)) if local == world)
    };
    same("OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_SIZE") || same("MPI_LOCALNRANKS", "PMI_SIZE")
}

/// The variable by which a launcher tells this process that it is a rank of a job; none where none did.
pub fn launched() -> Option<&'static str> {
    ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"].into_iter().find(|name| std::env::var_os(name).is_some())
}

/// Random runs of the simulation in dlcast's own tests.
#[cfg(test)]
pub fn sim_runs() -> u64 {
    text("DLCAST_SIM_RUNS").and_then(|value| value.parse().ok()).unwrap_or(2_000)
}

/// The first seed of the simulation of the service.
#[cfg(test)]
pub fn sim_first() -> u64 {
    text("DLCAST_SIM_FIRST").and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Whether the simulation of the service says how far it is.
#[cfg(test)]
pub fn sim_progress() -> bool {
    text("DLCAST_SIM_PROGRESS").is_some()
}

/// Malformed messages in dlcast's own tests.
#[cfg(test)]
pub fn fuzz_runs() -> u64 {
    text("DLCAST_FUZZ_RUNS").and_then(|value| value.parse().ok()).unwrap_or(1_000_000)
}

/// Random trees on which the search is compared with ld.so's, in dlcast's own tests.
#[cfg(test)]
pub fn search_runs() -> u64 {
    text("DLCAST_SEARCH_RUNS").and_then(|value| value.parse().ok()).unwrap_or(30)
}

/// A variable that is set and not empty.
fn text(name: &str) -> Option<String> {
    std::env::var_os(name).map(OsString::into_string).and_then(Result::ok).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_or_a_clear_error() {
        let read = |value: &str| default_timeout(Some(value.into()));
        assert_eq!(default_timeout(None), Ok(Some(Duration::from_secs(120))));
        assert_eq!(read("0.5"), Ok(Some(Duration::from_millis(500))));
        assert_eq!(read("inf"), Ok(None));
        for bad in ["0", "-1", "nan", "five", "5s"] {
            let said = read(bad).unwrap_err().to_string();
            assert!(said.contains("DLCAST_TIMEOUT") && said.contains(bad), "{said}");
        }
        assert_eq!(Timeout::from_seconds(-1.0), Ok(Timeout::Default));
        assert_eq!(Timeout::from_seconds(f64::INFINITY), Ok(Timeout::Never));
        assert!(Timeout::from_seconds(0.0).is_err() && Timeout::After(Duration::ZERO).resolve().is_err());
    }

    fn run_of(variables: &[(&str, &str)]) -> Result<Run, SettingError> {
        read_run(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn without_variables_a_run_is_eager_and_lenient() {
        assert_eq!(run_of(&[]), Ok(Run::default()));
        assert_eq!(run_of(&[(POLICY, ""), (STRICT, ""), (REPORT, ""), (EXCLUDE, "::")]), Ok(Run::default()));
    }

    #[test]
    fn lists_are_read_a_line_or_a_colon_each() {
        let run = run_of(&[
            (POLICY, "deferred"),
            (STRICT, "1"),
            (LOAD, "/opt/a b.so\nlibz.so.1\n"),
            (IMPORT, "numpy\nscipy.linalg"),
            (REPORT, "/tmp/report.json"),
            (EXCLUDE, "libx*:/opt/*"),
            (INCLUDE, "liby.so"),
        ])
        .unwrap();
        assert_eq!((run.policy, run.strict), (Eagerness::Deferred, true));
        assert_eq!(run.load, ["/opt/a b.so", "libz.so.1"]);
        assert_eq!(run.import, ["numpy", "scipy.linalg"]);
        let said = modules(vec!["numpy".into(), "a..b".into()]).unwrap_err().to_string();
        assert!(said.contains("DLCAST_IMPORT") && said.contains("a..b"), "{said}");
        assert_eq!(run.report, Some(PathBuf::from("/tmp/report.json")));
        assert!(run.exclude.len() == 2 && run.exclude[1].matches("/opt/lib/a.so"));
        assert!(run.include.len() == 1 && run.include[0].matches("liby.so"));
    }

    #[test]
    fn what_only_looks_like_a_setting_is_told() {
        let variable = |name: &str| (OsString::from(name), OsString::new());
        let environment = [variable(TIMEOUT), variable("DLCAST_MODE"), variable("DLCAST_TIMEOUTS"), variable("HOME")];
        assert_eq!(unknown(&environment), ["DLCAST_TIMEOUTS"]);
    }

    #[test]
    fn a_wrong_setting_of_a_run_is_named_with_what_it_may_be() {
        for (name, value, expected) in [
            (POLICY, "lazy", "eager or deferred"),
            (STRICT, "yes", "1 or 0"),
            (REPORT, "report.json", "an absolute path"),
            (EXCLUDE, "good*:[bad", "globs"),
            (INCLUDE, "a**b", "globs"),
        ] {
            let said = run_of(&[(name, value)]).unwrap_err().to_string();
            let told = value.split(':').next_back().unwrap();
            assert!(said.contains(name) && said.contains(told) && said.contains(expected), "{said}");
        }
        let bytes = |name: &str| (name == LOAD).then(|| OsStr::from_bytes(b"/\xff.so").to_os_string());
        assert!(read_run(bytes).unwrap_err().to_string().contains("UTF-8"));
    }
}
