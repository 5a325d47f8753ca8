//! The way of an error out of a plugin: text in the caller's room; a panic becomes text here.

use std::any::Any;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; what it returns as an error, or panics with, becomes the message.
///
/// # Safety
///
/// There are `capacity` writable bytes at `message`.
pub(crate) unsafe fn attempt<T>(
    message: *mut c_char,
    capacity: usize,
    body: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    let text = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(text)) => text,
        Err(panic) => what(panic),
    };
    // SAFETY: passed on from the caller.
    unsafe { write(message, capacity, &text) };
    None
}

/// What a panic said.
fn what(panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => format!("panicked: {text}"),
        (_, Some(text)) => format!("panicked: {text}"),
        _ => "panicked with a value that is no text".to_owned(),
    };
    // A destructor of the value may panic, too; that one is not dropped at all.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(second);
    }
    text
}

/// Writes `text` and a NUL, cut between characters where the room ends; a NUL inside becomes a question mark.
///
/// # Safety
///
/// There are `capacity` writable bytes at `message`.
unsafe fn write(message: *mut c_char, capacity: usize, text: &str) {
    let Some(room) = capacity.checked_sub(1) else { return };
    let mut length = text.len().min(room);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    for (at, &byte) in text.as_bytes()[..length].iter().enumerate() {
        // SAFETY: at < capacity.
        unsafe { message.add(at).write(if byte == 0 { b'?' } else { byte }.cast_signed() as c_char) };
    }
    // SAFETY: length < capacity.
    unsafe { message.add(length).write(0) };
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn message_of(capacity: usize, body: impl FnOnce() -> Result<(), String>) -> String {
        let mut room = vec![0 as c_char; capacity];
        // SAFETY: the room is as large as is said.
        assert!(unsafe { attempt(room.as_mut_ptr(), capacity, body) }.is_none());
        // SAFETY: a failure leaves NUL-terminated text.
        unsafe { CStr::from_ptr(room.as_ptr()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(message_of(4, || Err("aää".to_owned())), "aä");
        assert_eq!(message_of(3, || Err("aää".to_owned())), "a");
        assert_eq!(message_of(1, || Err("aää".to_owned())), "");
        assert_eq!(message_of(9, || Err("a\0b".to_owned())), "a?b");
    }

    #[test]
    fn a_panic_becomes_a_message() {
        assert_eq!(message_of(99, || panic!("no {}", "grid")), "panicked: no grid");
        assert_eq!(message_of(99, || std::panic::panic_any(3)), "panicked with a value that is no text");
    }

    #[test]
    fn a_panic_whose_value_panics_when_dropped_becomes_a_message() {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(message_of(99, || std::panic::panic_any(Bad)), "panicked with a value that is no text");
    }
}
