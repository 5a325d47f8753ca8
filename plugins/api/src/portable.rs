//! The types that a task may take and give, and their names in a signature.
//!
//! A name says how a value is passed, no more: what a pointer leads to is `void` unless it is a number or a pointer.

use std::ffi::c_void;

use crate::text::Text;

mod sealed {
    pub trait Sealed {}
}

/// A value that every language here passes the same way: a number of at most 64 bits, `bool`, a pointer.
pub trait Portable: Copy + sealed::Sealed {
    /// `f64`, `*const u8`.
    const NAME: Text;
}

/// What a pointer may lead to. For types of your own it is `impl Pointee for Grid {}`, and their name is `void`: on the
/// other side the pointer is a `void *`, and what it leads to is between the two.
pub trait Pointee {
    /// The name behind `*const `.
    const NAME: Text = Text::of("void");
}

/// What a task gives: a [`Portable`] value or nothing.
pub trait Returned: sealed::Sealed {
    /// What stands behind the arguments in a signature: `->f64`, or nothing.
    const SUFFIX: Text;
    /// Whether a guarded task has a place for a result.
    const IS_UNIT: bool;
}

impl sealed::Sealed for () {}

impl Returned for () {
    const SUFFIX: Text = Text::of("");
    const IS_UNIT: bool = true;
}

impl<T: Portable> Returned for T {
    const SUFFIX: Text = Text::of("->").then(T::NAME.as_str());
    const IS_UNIT: bool = false;
}

impl Pointee for c_void {}

impl<T: Pointee> sealed::Sealed for *const T {}
impl<T: Pointee> sealed::Sealed for *mut T {}

impl<T: Pointee> Portable for *const T {
    const NAME: Text = Text::of("*const ").then(T::NAME.as_str());
}

impl<T: Pointee> Portable for *mut T {
    const NAME: Text = Text::of("*mut ").then(T::NAME.as_str());
}

impl<T: Pointee> Pointee for *const T {
    const NAME: Text = <Self as Portable>::NAME;
}

impl<T: Pointee> Pointee for *mut T {
    const NAME: Text = <Self as Portable>::NAME;
}

macro_rules! numbers {
    ($($number:ty => $name:literal),*) => {$(
        impl sealed::Sealed for $number {}
        impl Portable for $number {
            const NAME: Text = Text::of($name);
        }
        impl Pointee for $number {
            const NAME: Text = Text::of($name);
        }
    )*};
}

numbers! {
    i8 => "i8", i16 => "i16", i32 => "i32", i64 => "i64", u8 => "u8", u16 => "u16", u32 => "u32", u64 => "u64",
    f32 => "f32", f64 => "f64", bool => "bool"
}
#[cfg(target_pointer_width = "64")]
numbers! { isize => "i64", usize => "u64" }
#[cfg(target_pointer_width = "32")]
numbers! { isize => "i32", usize => "u32" }
