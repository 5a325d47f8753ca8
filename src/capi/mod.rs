//! The C ABI of `libdlcast.so`; `include/dlcast.h` is generated from these files.
//!
//! It translates, and decides nothing. Handles are numbers, so that a stale one is an error and not a crash.
//!
//! # Layout
//! - `types` types and constants
//! - `translate` between C and Rust
//! - `collective` sessions and collective calls
//! - `layers` the layers of a stack
//! - `recording` requests that are recorded
//! - `stepping` calls that their caller steps
//! - `callbacks`, `tasks`, `code` what plugins bring, and code that other ranks can find

#![allow(non_camel_case_types)]

pub mod callbacks;
pub mod code;
pub mod collective;
pub mod layers;
pub mod preload;
pub mod recording;
pub mod stepping;
pub mod tasks;
mod translate;
pub mod types;
