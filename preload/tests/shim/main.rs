//! The shim in real programs: each does the same with it and without it, and the engine is told what it has to know.

mod cost;
mod dlopen;
mod mpi;
mod stage;
