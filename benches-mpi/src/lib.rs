//! What the benchmarks share: a rank, the floor that dlcast is held against, and what is counted.
//!
//! # Layout
//! - [`job`] one rank: MPI, questions that all ranks answer together
//! - [`floor`] a load on every rank, written by hand
//! - [`profile`] MPI's profiling layer, which counts
//! - [`statistics`] medians

pub mod floor;
pub mod job;
pub mod profile;
pub mod statistics;
