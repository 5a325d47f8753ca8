//! What a plugin of dlcast says about itself: tasks, callbacks and requests, in a table of its own.

pub mod abi;
