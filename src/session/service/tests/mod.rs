//! The whole service on simulated ranks, under seeded schedules, with models of the loader's lock, the GIL, the locks of
//! modules, and users who wait in MPI.
//!
//! What is stepped is the service itself: protocol thread, lanes, rounds, tickets, the batches of imports, goodbyes. Simulated
//! are MPI, the loader and the interpreter, and the threads of programs and workers, each of which does one atomic step at a time in
//! an order that follows from the seed. There is no clock and no deadline: where no thread can go on and not all have ended, that
//! is a failure, which says who waits for what.
//!
//! What a program must not do is not in the model: waiting in MPI inside a constructor or an import, a constructor that takes
//! the GIL.
//!
//! # Layout
//! - [`script`] what programs, constructors and bodies do; [`market`] draws them
//! - [`process`] one rank's process, with the real service on it; [`network`] notes between ranks
//! - [`thread`] one thread's steps; [`workers`] those of the library worker and the import worker
//! - [`run`] the schedule, and what is stuck; [`oracle`] what must hold in the end
//! - [`random`], [`faults`], [`late`] the tests

mod market;
mod network;
mod process;
mod script;
mod thread;
mod workers;

mod oracle;
mod run;

mod faults;
mod late;
mod random;
