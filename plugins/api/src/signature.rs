//! Signatures: what the arguments and the result of a task are, as one text; the twin of what the C++ header derives.

use std::ffi::{c_char, c_void};
use std::mem::{MaybeUninit, transmute};

use crate::abi;
use crate::portable::{Portable, Returned};
use crate::text::Text;

/// The arguments of a task: a tuple of up to eight [`Portable`] values.
pub trait Arguments {
    /// Their names with commas between.
    const LIST: Text;

    /// Calls a guarded task. `Err` is what it returned; then the message says why.
    ///
    /// # Safety
    ///
    /// `function` has the C type of a guarded task with these arguments and the result `R`, these values are ones that it
    /// may be called with, and there are `capacity` bytes at `message`, with a NUL first.
    unsafe fn call<R: Returned>(self, function: abi::Function, message: *mut c_char, capacity: usize)
    -> Result<R, i32>;
}

/// The signature of a task: its arguments `A`, its result `R`.
pub struct Signature<A, R>(std::marker::PhantomData<fn(A) -> R>);

impl<A: Arguments, R: Returned> Signature<A, R> {
    /// The text: `(f64,*const f64,u64)->f64`.
    pub const TEXT: Text = Text::of("(").then(A::LIST.as_str()).then(")").then(R::SUFFIX.as_str());
}

macro_rules! arguments {
    ($($argument:ident $value:ident),*) => {
        impl<$($argument: Portable),*> Arguments for ($($argument,)*) {
            const LIST: Text = Text::of("")$(.listed(&$argument::NAME))*;

            unsafe fn call<R: Returned>(self, function: abi::Function, message: *mut c_char, capacity: usize)
            -> Result<R, i32> {
                let ($($value,)*) = self;
                let mut result = MaybeUninit::<R>::uninit();
                let status = if R::IS_UNIT {
                    type Plain<$($argument),*> = unsafe extern "C" fn($($argument,)* *mut c_char, usize) -> i32;
                    // SAFETY: this is the C type of a guarded task without a result; the caller upholds the rest.
                    unsafe { transmute::<abi::Function, Plain<$($argument),*>>(function)($($value,)* message, capacity) }
                } else {
                    type Giving<$($argument),*> =
                        unsafe extern "C" fn($($argument,)* *mut c_void, *mut c_char, usize) -> i32;
                    let place = result.as_mut_ptr().cast();
                    // SAFETY: this is the C type of a guarded task with a result; the caller upholds the rest.
                    unsafe {
                        transmute::<abi::Function, Giving<$($argument),*>>(function)($($value,)* place, message, capacity)
                    }
                };
                if status == 0 {
                    // SAFETY: a guarded task that returns 0 has written its result; `()` needs none.
                    Ok(unsafe { result.assume_init() })
                } else {
                    Err(status)
                }
            }
        }
    };
}

arguments! {}
arguments! { A a }
arguments! { A a, B b }
arguments! { A a, B b, C c }
arguments! { A a, B b, C c, D d }
arguments! { A a, B b, C c, D d, E e }
arguments! { A a, B b, C c, D d, E e, F f }
arguments! { A a, B b, C c, D d, E e, F f, G g }
arguments! { A a, B b, C c, D d, E e, F f, G g, H h }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::Pointee;

    struct Grid;
    impl Pointee for Grid {}

    #[test]
    fn signatures_name_what_is_passed() {
        assert_eq!(Signature::<(), ()>::TEXT.as_str(), "()");
        assert_eq!(Signature::<(f64,), ()>::TEXT.as_str(), "(f64)");
        assert_eq!(Signature::<(f64, *const f64, usize), f64>::TEXT.as_str(), "(f64,*const f64,u64)->f64");
        assert_eq!(Signature::<(*mut Grid, *const *mut u8), bool>::TEXT.as_str(), "(*mut void,*const *mut u8)->bool");
    }
}
