//! Simulated ranks: the real round machine on fake files, a fake loader and fake imports, under seeded schedules.
//!
//! No MPI, no library is opened, nobody waits: what would be a hang is a failure with the names of the ranks. A run
//! follows from its scenario alone, so a failing seed can be run again.
//!
//! # Layout
//! - [`scenario`] what each rank has, wants, and lets fail
//! - [`host`] one rank's files, loader and interpreter
//! - [`run`] steps the ranks until all have ended, or none can go on
//! - [`oracle`] what must hold after every run; [`expected`] which verdicts the scenario must come to
//! - [`world`] the communicator under it; [`claims`], [`sameness`], [`costs`], [`faults`], [`random`], [`late`]: the tests

mod scenario;

mod host;
mod run;

mod expected;
mod oracle;

mod world;

mod claims;
mod costs;
mod faults;
mod late;
mod random;
mod sameness;
