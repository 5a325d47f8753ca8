//! What the benchmarks share: a rank, the floor that dlcast is held against, and what is counted.
//!
//! # Layout
//! - [`job`] one rank: MPI, questions that all ranks answer together
//! - [`floor`] a load on every rank, written by hand
//! - [`fresh`] libraries that nobody has seen before
//! - [`pingpong`] two ranks that send each other messages
//! - [`profile`] MPI's profiling layer, which counts
//! - [`statistics`] medians, and what is said of a target

pub mod floor;
pub mod fresh;
pub mod job;
pub mod pingpong;
pub mod profile;
pub mod statistics;
