//! What of a report counts, with the options that were given: problems and warnings.

use std::ffi::OsStr;
use std::path::Path;

use super::Arguments;
use crate::layers::check::wants::Left;
use crate::layers::check::{Finding, Hidden, Misled, Problem, Remains, Report};
use crate::layers::stack::{Exclude, Stack};

/// A report, and what counts.
pub struct Judged<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// All of it.
    pub report: &'a Report,
    /// Needs that are not met.
    pub wrong: Vec<&'a Finding>,
    /// Needs that the host would meet without links and wrapper.
    pub trapped: Vec<&'a Finding>,
    /// Needs that are left in a process without links and wrapper; only where that was asked for.
    pub remains: Vec<&'a Remains>,
    /// Interpreters of the layers that links break.
    pub misled: Vec<&'a Misled>,
    /// Libraries of the host that its programs would miss.
    pub hidden: Vec<&'a Hidden>,
    /// Whether links and wrapper do not count.
    pub in_process: bool,
    /// How many findings were left out.
    pub ignored: usize,
}

impl<'a> Judged<'a> {
    /// Sorts it out.
    ///
    /// # Errors
    /// A glob that is none.
    pub fn new(stack: &'a Stack, report: &'a Report, arguments: &Arguments) -> Result<Judged<'a>, String> {
        let ignore = Exclude::new(&arguments.ignore).map_err(|(glob, why)| format!("--ignore `{glob}`: {why}"))?;
        let in_process = arguments.in_process;
        let is_ignored = |object: &Path, name: &OsStr| ignore.covers(object) || ignore.covers(Path::new(name));
        let of_interest = |finding: &&Finding| !is_ignored(&finding.key.object, &finding.key.name);
        let is_wrong = |finding: &&Finding| match &finding.problem {
            None => false,
            // Whether what is opened first helps is said by what remains.
            Some(Problem::Unlinked | Problem::Replaced { .. }) => !in_process,
            Some(Problem::Missing | Problem::Refused) => true,
        };
        let wrong: Vec<&Finding> = report.findings.iter().filter(is_wrong).collect();
        let is_trapped = |finding: &&Finding| finding.is_trapped() && !is_wrong(finding) && !in_process;
        let trapped: Vec<&Finding> = report.findings.iter().filter(is_trapped).collect();
        let remains = report.remains.iter().filter(|remains| in_process && remains.left != Left::Nowhere);
        let remains: Vec<&Remains> = remains.collect();
        // Nobody inherits a variable that is not set.
        let misled: Vec<&Misled> = report.misled.iter().filter(|_| !in_process).collect();
        let all = wrong.len() + trapped.len() + remains.len() + misled.len();
        let mut judged = Judged {
            stack,
            report,
            wrong: wrong.into_iter().filter(of_interest).collect(),
            trapped: trapped.into_iter().filter(of_interest).collect(),
            remains: remains.into_iter().filter(|remains| !is_ignored(&remains.by, &remains.name)).collect(),
            misled: misled.into_iter().filter(|misled| !is_ignored(&misled.program, &misled.name)).collect(),
            hidden: report.hidden.iter().filter(|hidden| !in_process && !hidden.programs.is_empty()).collect(),
            in_process,
            ignored: 0,
        };
        judged.ignored = all - judged.wrong.len() - judged.trapped.len() - judged.remains.len() - judged.misled.len();
        Ok(judged)
    }

    /// What is wrong.
    pub fn problems(&self) -> usize {
        self.wrong.len() + self.remains.len() + self.misled.len()
    }

    /// What may be as it should be.
    pub fn warnings(&self) -> usize {
        self.trapped.len() + self.report.shadows.len() + self.hidden.len()
    }

    /// A layer's name.
    pub fn layer(&self, at: usize) -> &'a str {
        &self.stack.layers[at].name
    }
}
