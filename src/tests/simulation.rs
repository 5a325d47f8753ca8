//! Simulated ranks: the real round machine on fake files, a fake loader and fake imports, under seeded schedules.
//!
//! No MPI, no library is opened, nobody waits: what would be a hang is a failure with the names of the ranks. A run
//! follows from its scenario alone, so a failing seed can be run again.
//!
//! # Layout
//! - [`scenario`] what each rank has, wants, and lets fail
//! - [`plugin`] libraries that register tasks and callbacks; [`thing`] names for all that there is
//! - [`host`] one rank's process and session: [`loader`], [`tables`] of plugins, [`settle`]
//! - [`run`] steps the ranks until all have ended, or none can go on
//! - [`oracle`] what must hold after every run; [`expected`] which verdicts the scenario must come to, from what is
//!   [`failing`] by itself; [`registries`] which plugins every rank must have
//! - [`world`] the communicator under it; [`claims`], [`plugins`], [`asking`], [`sameness`], [`costs`], [`faults`], [`plugin_faults`],
//!   [`random`] (it draws from a [`market`]), [`late`]: the tests

mod plugin;
mod scenario;
mod thing;

mod host;
mod loader;
mod run;
mod settle;
mod tables;

mod expected;
mod failing;
mod oracle;
mod registries;

mod world;

mod asking;
mod claims;
mod costs;
mod faults;
mod late;
mod market;
mod plugin_faults;
mod plugins;
mod random;
mod sameness;
