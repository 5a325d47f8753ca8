//! A dlopen that reaches every rank of an MPI job.
//!
//! A rank loads a shared library or imports a Python module; dlcast makes every rank do the same, tells every rank the
//! same outcome, and says which rank failed and why.
//!
//! ```no_run
//! use dlcast::{OpenFlags, Options, Session};
//!
//! let universe = mpi::initialize().ok_or("MPI is initialised already")?;
//! let session = Session::attach(&universe.world(), Options::default())?;
//! if session.rank() == 0 {
//!     session.record_library("./libheat.so", OpenFlags::NOW)?; // This rank alone wants it,
//! }
//! let report = session.sync()?; // and now every rank has it.
//! assert_eq!(report.committed.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Words
//! A **request** is one wish of one rank: load a library, import a module. In a **round** all ranks agree on the union of
//! their requests, carry them out, and agree on each outcome: the **verdict**, committed on every rank or undone on every
//! rank. Libraries are the same by **identity** (name, size, build id, content), never by path or position. Requests can
//! be *recorded* anywhere; waiting for other ranks happens at **safe points** only: never inside a constructor, inside
//! dlopen or inside an import.
//!
//! A **plugin** is a library with a table (crate `dlcast-plugin`, `dlcast_plugin.h`): **tasks**, functions under names that have
//! the same ids on every rank, and **callbacks**, functions that run once in every process with a **payload** of bytes.
//! [`CodeRef`] names a function so that another rank finds it.
//!
//! # Layout
//! In the order of flow.
//! - Vocabulary: [`ranks`], [`error`], [`config`], [`vendor`] (which MPI)
//! - Values and pure functions: [`code`], [`request`], [`identity`], [`task`], [`plan`], [`outcome`], [`wire`], [`rollcall`]
//! - [`round`]: the way of a request as a state machine without I/O; [`lane`]: who starts one in service mode
//! - Single effects: [`comm`] (MPI), [`host`] (the loader), [`importer`] (Python), [`registry`] (what plugins have
//!   registered), [`intercept`] (what was opened), [`layers`] (ELF)
//! - [`session`]: joins them
//! - [`capi`]: the C ABI, over which the Python package is written; [`cli`]: the command

pub mod capi;
pub mod cli;
pub mod code;
pub mod comm;
pub mod config;
pub mod error;
pub mod host;
pub mod identity;
pub mod importer;
pub mod intercept;
pub mod lane;
pub mod layers;
pub mod outcome;
pub mod plan;
pub mod ranks;
pub mod registry;
pub mod request;
pub mod rollcall;
pub mod round;
pub mod session;
pub mod task;
#[cfg(test)]
mod tests;
pub mod vendor;
pub mod wire;

/// For Rust programs that call tasks: [`plugin::Typed`], and [`plugin::guarded_callback`] for callbacks of their own.
pub use dlcast_plugin as plugin;

pub use code::{CodePlace, CodeRef};
pub use comm::mpi::UserComm;
pub use config::{Mode, Timeout};
pub use error::{Missed, Phase, RankFailure, Undone};
pub use host::dl::{Library, LocalLibrary};
pub use identity::Identity;
pub use registry::{Task, TaskError};
pub use request::OpenFlags;
pub use session::code::{Code, ResolveError, Tasks};
pub use session::{CallError, Ended, Options, Session, SyncReport};
pub use task::TaskId;

/// The README's Rust example is compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
