//! A case of `cases.toml`: how a program is run, and what it must and must not do.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::launch::Launcher;
use crate::run::Outcome;

/// Written by fixtures whose constructor runs twice, and by nothing else.
const FIXTURE_COMPLAINT: &str = "dlcast fixture:";

/// One table of `cases.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The claim; the key of the table.
    #[serde(skip)]
    pub name: String,
    /// A program of `src/bin`, or a C file of `fixtures`; the name of the case where it is missing.
    #[serde(default)]
    pub program: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Numbers of ranks to run it with; 0 means without mpirun.
    #[serde(default = "one_to_four")]
    pub ranks: Vec<u32>,
    /// The exit status of the job.
    #[serde(default)]
    pub exit: i32,
    /// What must be in the output. `{rank}` stands for each rank in turn, `{ranks}` for their number, `{last}` for the
    /// highest.
    #[serde(default = "every_rank_is_done")]
    pub stdout: Vec<String>,
    /// What must be in the error output, likewise.
    #[serde(default)]
    pub stderr: Vec<String>,
    /// What must be in neither.
    #[serde(default)]
    pub never: Vec<String>,
    /// Seconds after which the job is killed.
    #[serde(default = "a_minute")]
    pub limit: u64,
    /// Added to the environment; `{scratch}` stands for a folder that the ranks share, which exists before they start.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

fn one_to_four() -> Vec<u32> {
    vec![1, 2, 3, 4]
}

fn every_rank_is_done() -> Vec<String> {
    vec!["rank {rank}: ok".to_owned()]
}

fn a_minute() -> u64 {
    60
}

/// Reads all cases, in the order of their names.
pub fn read(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let cases: BTreeMap<String, Case> =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let named = |(name, mut case): (String, Case)| {
        if case.program.is_empty() {
            case.program.clone_from(&name);
        }
        Case { name, ..case }
    };
    cases.into_iter().map(named).collect()
}

impl Case {
    /// What is wrong with the way a run went; nothing, if all is well.
    pub fn complaints(&self, ranks: u32, outcome: &Outcome, launcher: &Launcher) -> Vec<String> {
        let mut complaints = Vec::new();
        match outcome.status {
            None => complaints.push(format!("still running after {} s, and killed", self.limit)),
            Some(status) if !launcher.may_report(status, self.exit) => {
                complaints.push(format!("exit status {status}, expected {}", self.exit));
            }
            Some(_) => {}
        }
        for (stream, text, wanted) in
            [("output", &outcome.stdout, &self.stdout), ("error output", &outcome.stderr, &self.stderr)]
        {
            let missing = wanted.iter().flat_map(|template| expanded(template, ranks)).filter(|it| !text.contains(it));
            complaints.extend(missing.map(|missing| format!("the {stream} lacks `{missing}`")));
        }
        let unwanted = self.never.iter().flat_map(|template| expanded(template, ranks));
        for unwanted in unwanted.chain([FIXTURE_COMPLAINT.to_owned()]) {
            if outcome.stdout.contains(&unwanted) || outcome.stderr.contains(&unwanted) {
                complaints.push(format!("the output has `{unwanted}`"));
            }
        }
        complaints
    }
}

/// A template for a number of ranks: one text, or one for each rank.
fn expanded(template: &str, ranks: u32) -> Vec<String> {
    // Without mpirun there is one rank as well.
    let ranks = ranks.max(1);
    let text = template.replace("{ranks}", &ranks.to_string()).replace("{last}", &(ranks - 1).to_string());
    if !text.contains("{rank}") {
        return vec![text];
    }
    (0..ranks).map(|rank| text.replace("{rank}", &rank.to_string())).collect()
}
