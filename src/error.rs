//! What can go wrong, and how it is said: one line a cause, equal causes folded over the ranks that have them.
//!
//! Nothing here decides; verdicts are made in `outcome`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ranks::RankSet;

/// Says something on stderr, in one write: lines of ranks are not torn.
pub fn complain(text: &str) {
    use std::io::Write;
    // Nobody is there to be told that stderr is closed.
    let _unheard = std::io::stderr().write_all(format!("dlcast: {text}\n").as_bytes());
}

/// Where on its way a request was, or a rank was waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Making a session.
    Attach,
    /// Waiting for all ranks to say what they have recorded.
    Agree,
    /// Exchanging the recorded sets.
    Exchange,
    /// Looking for the file.
    Resolve,
    /// Comparing the file with the agreed identity.
    Stage,
    /// dlopen.
    Open,
    /// The body of a module.
    Import,
    /// Waiting for the outcomes of all ranks.
    Decide,
    /// Making the result visible, or undoing it.
    Commit,
    /// The arguments of the call.
    Call,
    /// Reading a plugin's table.
    Register,
    /// A callback's own failure.
    Callback,
    /// Comparing what the ranks have registered.
    Compare,
    /// Left out, because the process has no Python; a failure only where no rank has one.
    Skip,
    /// What was added to a plugin outside of the session's calls; it is nobody's failure.
    Growth,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Attach => "attach",
            Phase::Agree => "agree",
            Phase::Exchange => "exchange",
            Phase::Resolve => "resolve",
            Phase::Stage => "stage",
            Phase::Open => "open",
            Phase::Import => "import",
            Phase::Decide => "decide",
            Phase::Commit => "commit",
            Phase::Call => "call",
            Phase::Register => "register",
            Phase::Callback => "callback",
            Phase::Compare => "compare",
            Phase::Skip => "skip",
            Phase::Growth => "growth",
        })
    }
}

/// One cause, on the ranks that share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RankFailure {
    /// The ranks, of the session's communicator.
    pub ranks: Vec<u32>,
    /// Their hosts, in the order of `ranks`.
    pub hosts: Vec<String>,
    /// Where it failed.
    pub phase: Phase,
    /// What failed: the text of dlerror, of the exception, of the system.
    pub message: String,
    /// Of a module body that raised.
    pub traceback: Option<String>,
}

/// `ranks 3-4 (node2): import: ModuleNotFoundError: No module named 'mylib'`.
impl fmt::Display for RankFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranks: RankSet = self.ranks.iter().copied().collect();
        let mut hosts: Vec<&str> = self.hosts.iter().map(String::as_str).collect();
        hosts.sort_unstable();
        hosts.dedup();
        write!(f, "{ranks} ({}): {}: {}", hosts.join(", "), self.phase, self.message)
    }
}

/// A request that failed on some rank and was undone on all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// "library", "module", "callback", "unload" or "call".
    pub kind: &'static str,
    /// The name by which it was asked for.
    pub name: String,
    /// Ranks in the communicator.
    pub size: u32,
    /// Every failing rank is in one of them.
    pub failures: Vec<RankFailure>,
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: usize = self.failures.iter().map(|failure| failure.ranks.len()).sum();
        match self.kind {
            "call" => write!(f, "a call failed")?,
            "callback" => write!(f, "callback `{}` failed", self.name)?,
            "module" => write!(f, "import of `{}` failed", self.name)?,
            "unload" => write!(f, "unload of `{}` failed", self.name)?,
            _ => write!(f, "load of `{}` failed", self.name)?,
        }
        write!(f, " on {failed} of {} ranks; undone on all", self.size)?;
        for failure in &self.failures {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

/// A rank that did not answer, with the host it named at attach (or that is known without it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// In the communicator.
    pub rank: u32,
    /// "unknown host" where it never attached and MPI gives no hint.
    pub host: String,
    /// What keeps it, where it could say so (in service mode a rank answers whatever it is stuck in).
    #[serde(default)]
    pub doing: String,
}

/// A deadline that passed: who was waited for, where, for what. Serialised, because it is the word left for the absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Ranks that did not answer the roll-call.
    pub missing: Vec<Absent>,
    /// Ranks that answered from an earlier step than the others, or that are at something, in service mode.
    pub behind: Vec<Absent>,
    /// The phase in which the others waited.
    pub phase: Phase,
    /// What the round was about ("libheat.so and 2 more"), if that was agreed by then.
    pub what: String,
    /// The deadline that passed first, in milliseconds.
    pub waited_ms: u64,
    /// Threads take part for those ranks, whatever they do: who does not answer is not just elsewhere.
    pub served: bool,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = Duration::from_millis(self.waited_ms);
        write!(f, "no agreement within {waited:?} in phase {}", self.phase)?;
        if !self.what.is_empty() {
            write!(f, " of {}", self.what)?;
        }
        for (absent, state) in [(&self.missing, "did not answer"), (&self.behind, "came too late")] {
            if absent.is_empty() {
                continue;
            }
            let mut hosts: Vec<&str> = absent.iter().map(|absent| absent.host.as_str()).collect();
            hosts.sort_unstable();
            hosts.dedup();
            let mut kept: Vec<&str> = absent.iter().map(|absent| absent.doing.as_str()).collect();
            kept.sort_unstable();
            kept.dedup();
            for (host, doing) in hosts.iter().flat_map(|host| kept.iter().map(move |doing| (*host, *doing))) {
                let alike = absent.iter().filter(|absent| absent.host == host && absent.doing == doing);
                let ranks: RankSet = alike.map(|absent| absent.rank).collect();
                match (ranks.is_empty(), doing) {
                    (true, _) => {}
                    (false, "") => write!(f, "; {ranks} ({host}) {state}")?,
                    (false, doing) => write!(f, "; {ranks} ({host}): {doing}")?,
                }
            }
        }
        if self.missing.is_empty() && self.behind.is_empty() {
            f.write_str("; every rank answered, so the deadline was too short: give a longer timeout")?;
        } else {
            f.write_str(match self.phase {
                _ if self.served && self.missing.len() == 1 => ": see whether its process is stopped, dead or cut off",
                _ if self.served && !self.missing.is_empty() => {
                    ": see whether their processes are stopped, dead or cut off"
                }
                _ if self.served => "; see what holds them, or give a longer timeout",
                Phase::Stage | Phase::Decide => {
                    "; they may still be opening or importing: see what holds them, or give a longer timeout"
                }
                _ => "; every rank of the communicator must make the call: see what these ranks do instead",
            })?;
        }
        Ok(())
    }
}
