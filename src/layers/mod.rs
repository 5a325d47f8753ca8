//! What shared objects say of themselves.
//!
//! # Layout
//! - [`elf`] reading and checking one object; pure, so that `host` and `session` use it, too

pub mod elf;
