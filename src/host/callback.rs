//! Runs a native callback: one signature for all, and a message where it fails.
//!
//! Whether it may run (once in a process) is not decided here.

use std::ffi::{c_char, c_void};

use dlcast_plugin::abi;

use crate::task::Function;

/// Room for a callback's message.
const ROOM: usize = 4096;

/// Calls `function` as a callback, which is lent the payload.
///
/// An exception that leaves a function without a guard ends the process: Rust cannot catch foreign ones. C++ and Rust
/// guard by template and macro.
///
/// # Errors
/// The callback's own message.
pub fn call(function: Function, payload: &[u8], tag: u64) -> Result<(), String> {
    let mut room = vec![0_u8; ROOM];
    let bytes = match payload.len() {
        0 => std::ptr::null(),
        _ => payload.as_ptr().cast::<c_void>(),
    };
    // SAFETY: whoever registered the function says that it has the one signature of callbacks; it was found to be code.
    // It writes at most the room that it is given.
    let status = unsafe {
        let function: abi::Callback = std::mem::transmute(function.as_ptr());
        function(bytes, payload.len(), tag, room.as_mut_ptr().cast::<c_char>(), ROOM)
    };
    if status == 0 {
        return Ok(());
    }
    let end = room.iter().position(|byte| *byte == 0).unwrap_or(ROOM);
    let message = String::from_utf8_lossy(&room[..end]);
    Err(match message.trim_end() {
        "" => format!("it returned {status} and said nothing"),
        text => text.to_string(),
    })
}
