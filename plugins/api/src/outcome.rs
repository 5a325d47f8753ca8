//! What a function of the plugin may give back: a portable value, nothing, or a `Result` of either.

use std::fmt::Display;

use crate::portable::{Pointee, Returned};

/// A value to return, or the text of an error.
pub trait Outcome {
    /// What the caller gets when all went well.
    type Value: Returned;

    /// The value, or the error as text.
    ///
    /// # Errors
    ///
    /// What the function returned as an error.
    fn into_result(self) -> Result<Self::Value, String>;
}

impl<R: Returned, E: Display> Outcome for Result<R, E> {
    type Value = R;

    fn into_result(self) -> Result<R, String> {
        self.map_err(|error| error.to_string())
    }
}

macro_rules! values {
    ($([$($generics:tt)*] $value:ty),*) => {$(
        impl<$($generics)*> Outcome for $value {
            type Value = $value;

            fn into_result(self) -> Result<$value, String> {
                Ok(self)
            }
        }
    )*};
}

values! {
    [] (), [] i8, [] i16, [] i32, [] i64, [] isize, [] u8, [] u16, [] u32, [] u64, [] usize, [] f32, [] f64, [] bool,
    [T: Pointee] *const T, [T: Pointee] *mut T
}
