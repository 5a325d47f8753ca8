//! What a plugin of dlcast says about itself: tasks, callbacks and requests, in a table of its own.
//!
//! A plugin is a `cdylib`. Its table fills itself while the library is opened, the host reads it after dlopen has
//! returned, and every rank that loads the plugin reads the same. The plugin links against nothing of dlcast but this
//! crate, which is all in the plugin: two plugins share nothing.
//!
//! ```
//! dlcast_plugin::plugin!("heat"); // once, in the crate's root; the version is the crate's
//!
//! /// Becomes the task `step` with the signature `(f64,u64)->f64`.
//! #[dlcast_plugin::task]
//! fn step(x: f64, n: u64) -> Result<f64, String> {
//!     if n == 0 { Err("n is zero".to_owned()) } else { Ok(x / n as f64) }
//! }
//!
//! /// Runs once in every process.
//! #[dlcast_plugin::callback(tag = 1, payload = b"grid")]
//! fn set_up(payload: &[u8], tag: u64) {
//!     assert_eq!((payload, tag), (&b"grid"[..], 1));
//! }
//! # fn main() {}
//! ```
//!
//! A panic and an error become the message that the caller gets. (With `panic = "abort"` a panic is an abort.)
//!
//! # Collective
//!
//! Nothing here is. Adding to the table calls nothing of dlcast and waits for nobody, so constructors may do it; callbacks
//! may, too, while they run. The load that reads the table is what all ranks do together.
//!
//! # For hosts
//!
//! Without default features the crate is [`abi`], [`Typed`] (call a task with its types) and [`guarded`] (hand out code
//! of the program itself), and nothing registers itself.
//!
//! # Layout
//!
//! - [`abi`]: the layout, the twin of `include/dlcast_plugin.h`
//! - [`text`], [`portable`], [`signature`]: types and signatures while compiling
//! - [`typed`]: the caller's side of a task
//! - [`outcome`], [`guard`]: the callee's side
//! - [`table`]: what this plugin says

pub mod abi;
pub mod guard;
mod macros;
mod message;
pub mod outcome;
pub mod portable;
pub mod signature;
pub mod table;
pub mod text;
pub mod typed;

#[cfg(feature = "macros")]
pub use dlcast_plugin_macros::{callback, task};
pub use guard::{Guarded, guarded, guarded_callback};
pub use outcome::Outcome;
pub use portable::{Pointee, Portable, Returned};
pub use signature::{Arguments, Signature};
pub use table::{add_callback, add_raw_task, add_task, ask_library, ask_module};
pub use typed::{SignatureError, TaskError, Typed};

/// What the macros write; not for people.
#[doc(hidden)]
#[cfg(feature = "macros")]
pub mod __private {
    pub use ctor::declarative::ctor;
}
