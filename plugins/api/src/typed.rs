//! A task as its caller holds it: a raw function whose signature was compared, and the arguments' types.
//!
//! It knows no host: where the function comes from, and whether it is still the right one, is the caller's business.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::abi;
use crate::portable::Returned;
use crate::signature::{Arguments, Signature};

/// A task with the arguments `A` (a tuple) and the result `R`: `Typed<(f64, u64), f64>`.
pub struct Typed<A, R> {
    function: abi::Function,
    types: PhantomData<fn(A) -> R>,
}

/// A task was asked for with other types than it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task has the signature `{actual}`, not `{wanted}`")]
pub struct SignatureError {
    /// What the caller's types come to.
    pub wanted: String,
    /// What the task says of itself.
    pub actual: String,
}

/// A task failed: it returned an error, panicked or threw.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// What it said.
    pub message: String,
}

impl<A: Arguments, R: Returned> Typed<A, R> {
    /// What these types come to as a signature.
    pub const SIGNATURE: &'static str = Signature::<A, R>::TEXT.as_str();

    /// Takes `function` for a task with these types, if `signature`, which came with it, says so.
    ///
    /// # Safety
    ///
    /// `signature` tells the truth about `function`, the function stays mapped for as long as this value is used, and it
    /// may be called with every value that the caller will give to [`Typed::call`], pointers included.
    ///
    /// # Errors
    ///
    /// The signatures differ.
    pub unsafe fn new(function: abi::Function, signature: &str) -> Result<Self, SignatureError> {
        if signature == Self::SIGNATURE {
            Ok(Typed { function, types: PhantomData })
        } else {
            Err(SignatureError { wanted: Self::SIGNATURE.to_owned(), actual: signature.to_owned() })
        }
    }

    /// Calls the task.
    ///
    /// # Errors
    ///
    /// The task returned an error, panicked or threw; the message is its own.
    pub fn call(&self, arguments: A) -> Result<R, TaskError> {
        let mut message = [const { MaybeUninit::<c_char>::uninit() }; abi::MESSAGE_LEAST];
        message[0].write(0);
        message[abi::MESSAGE_LEAST - 1].write(0);
        let place = message.as_mut_ptr().cast::<c_char>();
        // SAFETY: `new` compared the signatures, and its caller vouched for function and values; the message is a NUL.
        unsafe { arguments.call(self.function, place, abi::MESSAGE_LEAST) }.map_err(|status| {
            // SAFETY: a failing task leaves NUL-terminated text, or what was there before: a NUL.
            let text = unsafe { CStr::from_ptr(place) }.to_string_lossy().into_owned();
            TaskError { message: if text.is_empty() { format!("the task returned {status}") } else { text } }
        })
    }
}

impl<A, R> Clone for Typed<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R> Copy for Typed<A, R> {}

impl<A, R> std::fmt::Debug for Typed<A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed").field("function", &self.function).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::guarded;

    #[test]
    fn a_task_is_called_with_its_types() {
        let task = guarded(|x: f64, n: u64| if n == 0 { Err("n is zero") } else { Ok(x / n as f64) });
        // SAFETY: the signature came with the function.
        let typed = unsafe { Typed::<(f64, u64), f64>::new(task.function, task.signature.to_str().unwrap()) }.unwrap();
        assert_eq!(typed.call((3.0, 2)), Ok(1.5));
        assert_eq!(typed.call((3.0, 0)).unwrap_err().message, "n is zero");
    }

    #[test]
    fn another_signature_is_refused() {
        let task = guarded(|_: f64| ());
        // SAFETY: the signature came with the function.
        let refused = unsafe { Typed::<(f32,), ()>::new(task.function, task.signature.to_str().unwrap()) };
        assert_eq!(refused.unwrap_err().to_string(), "the task has the signature `(f64)`, not `(f32)`");
    }
}
