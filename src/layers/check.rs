//! Whether every library that an object of a stack needs is found, in the layer where it should be.
//!
//! Each object is opened in thought in the Python of every layer that has it within reach: with the links and the wrapper that
//! `dlcast layers link` makes, as it is on the disk now, and without either. Nothing is loaded, started or changed. What a package
//! opens at run time by its path is not known.
//!
//! # Layout
//! - [`index`] which layer has which library
//! - [`scene`] the process of a layer's Python
//! - [`alone`] what is opened by itself, and what is brought along
//! - [`needs`] what every object is given in it; [`verdict`] what is to be thought of that
//! - [`hides`] libraries of the host that links hide from its programs
//! - [`pythons`] interpreters of the host that links break
//! - [`wants`] what has to be opened first in a process that has neither links nor wrapper; [`in_process`] what that does not cure

pub mod alone;
pub mod hides;
pub mod in_process;
pub mod index;
pub mod needs;
pub mod pythons;
pub mod scene;
#[cfg(test)]
mod tests;
pub mod verdict;
pub mod wants;

use std::ffi::OsString;
use std::path::PathBuf;

use super::link::{Changes, LinkError, Shadow};
use super::scan::Scanned;
use super::search::System;
use super::stack::Stack;
pub use hides::Hidden;
pub use in_process::Remains;
pub use index::Index;
pub use pythons::Misled;
pub use scene::Scenes;
pub use verdict::{Finding, Problem, Without};

/// What is known of the machine, and of the user's surroundings.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// What ld.so is here.
    pub system: System,
    /// LD_LIBRARY_PATH, to which a wrapper adds.
    pub variable: OsString,
    /// Where programs are that may inherit the variable.
    pub programs: Vec<PathBuf>,
}

/// What was found out.
#[derive(Debug)]
pub struct Report {
    /// Every need of every object, sorted by layer, object and name.
    pub findings: Vec<Finding>,
    /// Libraries of a layer that a layer above hides.
    pub shadows: Vec<Shadow>,
    /// Libraries of the host that links hide.
    pub hidden: Vec<Hidden>,
    /// Interpreters of the layers that would be given a layer's library where they need the host's.
    pub misled: Vec<Misled>,
    /// The layers that are not linked as `dlcast layers link` would link them.
    pub unlinked: Vec<usize>,
    /// What opening in the right order does not cure, where neither links nor wrapper count.
    pub remains: Vec<Remains>,
    /// The number of objects.
    pub objects: usize,
}

impl Report {
    /// What is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.problem.is_some())
    }
}

/// Looks at every need of every object of a stack.
///
/// # Errors
///
/// [`LinkError`] where it cannot be told which libraries the layers have for each other.
pub fn check(stack: &Stack, scanned: &[Scanned], host: &Host) -> Result<Report, LinkError> {
    let roots = super::link::roots(stack)?;
    let plan = super::link::plan(stack, &roots, scanned, &mut super::link::same)?;
    let changes = Changes::find(stack, &roots, &plan).ok();
    let index = Index::new(stack, &roots, scanned, Some(&plan));
    let linked: Vec<bool> = match &changes {
        Some(changes) => changes.0.iter().map(super::link::Change::is_none).collect(),
        None => vec![false; stack.layers.len()],
    };
    let scenes = Scenes::new(&index, host, scanned);
    let findings = verdict::judge(&index, needs::all(&index, &scenes, scanned, &linked));
    let layers = || 0..stack.layers.len();
    Ok(Report {
        findings,
        shadows: plan.shadows,
        hidden: hides::find(&index, &scenes, host),
        misled: pythons::find(&index, &scenes),
        unlinked: layers().filter(|layer| !linked[*layer]).collect(),
        remains: in_process::remains(&index, &scenes, scanned),
        objects: scanned
            .iter()
            .flat_map(|scanned| &scanned.objects)
            .filter(|object| object.class.elf().is_some())
            .count(),
    })
}
