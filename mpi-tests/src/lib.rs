//! The harness of the test programs: starts MPI so that a panic ends the job, builds fixtures, looks into the process.
//!
//! It makes no claim itself. Each program in `src/bin` shows one, `cases.toml` says on how many ranks and what must be
//! seen, and `tests/mpirun.rs` runs them, one at a time and with a time limit.

pub mod bad;
mod fixture;
mod job;
pub mod process;
mod registered;

pub use fixture::{Fixture, patched, series};
pub use job::{Job, NOW, assert_answers, served, text, wait_until};
pub use registered::{answer, assert_registered_once, ids};
