//! Environment layers, and what their shared objects say of themselves.
//!
//! A **layer** is one Python environment of a **stack**: application over frameworks over a runtime. Nothing in here knows MPI or a
//! session.
//!
//! # Layout
//! - [`elf`] reading and checking one object; pure, so that `host` and `session` use it, too
//! - [`search`] where ld.so looks for a library, and why it takes what it takes
//! - [`explain`] why ld.so finds what an object needs, or does not, and the way out
//! - [`stack`] which layers there are, where, and in which order one uses the others
//!   ([`linearise`]: that order; [`venvstacks`]: the stacks that venvstacks has built)
//! - [`scan`] which shared objects a layer has, and what each is
//! - [`check`] whether everything that is needed is found, in the layer where it should be
//! - [`link`] the folder of each layer by which others find its libraries
//! - [`plan`] what a process has to open before what, where it has neither (`script`: texts that name a library)
//! - [`wrapper`] the Python of each layer that has them within reach
//! - `regular` opening a file, and nothing else that has its name

pub mod check;
pub mod elf;
pub mod explain;
pub mod linearise;
pub mod link;
pub mod plan;
pub(crate) mod regular;
mod same;
pub use same::same;
pub mod scan;
mod script;
pub mod search;
pub mod stack;
pub mod venvstacks;
pub mod wrapper;
