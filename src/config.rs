//! Every setting from the environment; the only user of `std::env`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DLCAST_TIMEOUT` | seconds that a collective call may wait for other ranks; `inf`: no deadline | 120 |
//! | `DLCAST_MODE` | mode of sessions attached without one: `collective` or `service` | `collective` |
//! | `DLCAST_SIM_RUNS` | random runs of the simulation in dlcast's own tests | 2000 |
//! | `DLCAST_FUZZ_RUNS` | malformed messages in dlcast's own tests | 1000000 |

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How a session reaches the other ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every rank makes the calls itself.
    #[default]
    Collective,
    /// Threads take part for ranks that do not call. Not in this version.
    Service,
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
            Timeout::Default => default_timeout(text("DLCAST_TIMEOUT")),
        }
    }
}

fn default_timeout(value: Option<String>) -> Result<Option<Duration>, SettingError> {
    let Some(value) = value else { return Ok(Some(Duration::from_secs(120))) };
    let wrong = || SettingError {
        name: "DLCAST_TIMEOUT",
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

/// Where the ranks of one node share what they know about files: memory, where the system has it.
pub fn node_dir() -> PathBuf {
    let shared_memory = PathBuf::from("/dev/shm");
    if shared_memory.is_dir() { shared_memory } else { std::env::temp_dir() }
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

/// Random runs of the simulation in dlcast's own tests.
#[cfg(test)]
pub fn sim_runs() -> u64 {
    text("DLCAST_SIM_RUNS").and_then(|value| value.parse().ok()).unwrap_or(2_000)
}

/// Malformed messages in dlcast's own tests.
#[cfg(test)]
pub fn fuzz_runs() -> u64 {
    text("DLCAST_FUZZ_RUNS").and_then(|value| value.parse().ok()).unwrap_or(1_000_000)
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
}
