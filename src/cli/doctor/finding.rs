//! What a doctor has found: all right, a warning, or a problem with the way out.

use std::io::Write;

use crate::cli::{FAILURE, SUCCESS};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, in part or less well.
    Warning,
    /// It does not work.
    Problem,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "problem",
        }
    }
}

#[derive(Debug)]
struct Finding {
    about: &'static str,
    state: State,
    says: String,
    way_out: Option<String>,
}

/// All that was found, in the order of looking.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// As it should be.
    pub fn ok(&mut self, about: &'static str, says: impl Into<String>) {
        self.0.push(Finding { about, state: State::Ok, says: says.into(), way_out: None });
    }

    /// It works, in part.
    pub fn warning(&mut self, about: &'static str, says: impl Into<String>, way_out: impl Into<String>) {
        self.0.push(Finding { about, state: State::Warning, says: says.into(), way_out: Some(way_out.into()) });
    }

    /// It does not work.
    pub fn problem(&mut self, about: &'static str, says: impl Into<String>, way_out: impl Into<String>) {
        self.0.push(Finding { about, state: State::Problem, says: says.into(), way_out: Some(way_out.into()) });
    }

    fn count(&self, state: State) -> usize {
        self.0.iter().filter(|finding| finding.state == state).count()
    }

    /// Prints them; the exit code says whether there is a problem.
    pub fn print(&self, json: bool) -> u8 {
        let text = if json { self.json() } else { self.text() };
        match writeln!(std::io::stdout(), "{text}") {
            Ok(()) if self.count(State::Problem) == 0 => SUCCESS,
            _ => FAILURE,
        }
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        for Finding { about, state, says, way_out } in &self.0 {
            let says = says.replace('\n', "\n                     ");
            lines.push(format!("{:8} {about:11} {says}", state.name()));
            lines.extend(way_out.iter().map(|way_out| format!("                     way out: {way_out}")));
        }
        let counted = |state, one: &str| match self.count(state) {
            0 => format!("no {one}"),
            1 => format!("1 {one}"),
            more => format!("{more} {one}s"),
        };
        lines.push(format!("{}, {}", counted(State::Problem, "problem"), counted(State::Warning, "warning")));
        lines.join("\n")
    }

    fn json(&self) -> String {
        let findings = self.0.iter().map(|finding| {
            serde_json::json!({
                "about": finding.about,
                "state": finding.state.name(),
                "says": finding.says,
                "way_out": finding.way_out,
            })
        });
        serde_json::json!({
            "findings": findings.collect::<Vec<_>>(),
            "problems": self.count(State::Problem),
            "warnings": self.count(State::Warning),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_its_way_out_and_counted() {
        let mut findings = Findings::default();
        findings.ok("mpi", "all right");
        assert!(findings.text().ends_with("no problem, no warning"));
        findings.problem("program", "is static\nand small", "link it dynamically");
        let text = findings.text();
        assert!(text.contains("problem  program     is static\n") && text.ends_with("1 problem, no warning"), "{text}");
        assert!(text.contains("\n                     way out: link it dynamically\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&findings.json()).unwrap();
        assert_eq!((&json["problems"], &json["findings"][1]["state"]), (&1.into(), &"problem".into()));
    }
}
