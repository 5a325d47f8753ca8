//! Text that is put together while compiling: names of types, lists of them, signatures.
//!
//! It has a fixed room, because the length of an array cannot depend on a generic type; too much text does not compile.

use std::ffi::{CStr, c_char};

/// The longest text, without its NUL; enough for eight arguments that are pointers to pointers.
pub const MOST: usize = 511;

/// Text with a NUL behind it.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; MOST + 1],
    length: usize,
}

impl Text {
    /// Just `text`.
    #[must_use]
    pub const fn of(text: &str) -> Self {
        Text { bytes: [0; MOST + 1], length: 0 }.then(text)
    }

    /// `text` behind this one.
    #[must_use]
    pub const fn then(mut self, text: &str) -> Self {
        let more = text.as_bytes();
        assert!(self.length + more.len() <= MOST, "dlcast: the text is too long");
        let mut at = 0;
        while at < more.len() {
            assert!(more[at] != 0, "dlcast: the text holds a NUL");
            self.bytes[self.length + at] = more[at];
            at += 1;
        }
        self.length += more.len();
        self
    }

    /// `list` with this one behind it, and a comma between where it is not the first.
    pub(crate) const fn listed(self, next: &Text) -> Self {
        if self.length == 0 { *next } else { self.then(",").then(next.as_str()) }
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.length).0) {
            Ok(text) => text,
            Err(_) => panic!("text is put together from text"),
        }
    }

    /// The text with its NUL.
    #[must_use]
    pub const fn as_c_str(&self) -> &CStr {
        match CStr::from_bytes_with_nul(self.bytes.split_at(self.length + 1).0) {
            Ok(text) => text,
            Err(_) => panic!("text holds no NUL"),
        }
    }

    /// Where the text with its NUL begins.
    #[must_use]
    pub const fn as_ptr(&self) -> *const c_char {
        self.as_c_str().as_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_put_together_while_compiling() {
        const TEXT: Text = Text::of("").listed(&Text::of("f64")).listed(&Text::of("u8")).then("!");
        const STR: &str = TEXT.as_str();
        assert_eq!(STR, "f64,u8!");
        assert_eq!(TEXT.as_c_str(), c"f64,u8!");
    }
}
