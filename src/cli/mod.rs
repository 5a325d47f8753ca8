//! Subcommands of `dlcast`, a file each. None of them calls MPI.

pub mod identity;
