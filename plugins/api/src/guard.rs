//! Wrappers around the plugin's functions: C functions that never unwind and say why they failed.
//!
//! A function is given as a value without a size (a function's own type, a closure without capture), so that the
//! wrapper needs no place for it: it is a plain pointer, valid wherever the code is.

use std::any::TypeId;
use std::ffi::{CStr, c_char, c_void};
use std::mem::transmute;
use std::ptr::NonNull;

use crate::abi;
use crate::message::attempt;
use crate::outcome::Outcome;
use crate::portable::{Portable, Returned};
use crate::signature::Signature;

/// A guarded task: what [`abi::Task`] wants, without the name.
#[derive(Clone, Copy, Debug)]
pub struct Guarded {
    /// A C function that takes the arguments, a place for the result, and room for a message.
    pub function: abi::Function,
    /// Its signature.
    pub signature: &'static CStr,
}

/// A function or closure without capture that can be a task: up to eight [`Portable`] arguments, an [`Outcome`].
pub trait TaskFunction<A>: Copy + Send + Sync + 'static {
    /// The wrapper.
    fn guarded(self) -> Guarded;
}

/// A callback: `(payload, tag)`, giving nothing or a `Result` of nothing.
pub trait CallbackFunction<O>: Fn(&[u8], u64) -> O + Copy + Send + Sync + 'static {}

impl<O, F: Fn(&[u8], u64) -> O + Copy + Send + Sync + 'static> CallbackFunction<O> for F {}

/// `function` as a guarded task; panics and errors become messages.
pub fn guarded<A, F: TaskFunction<A>>(function: F) -> Guarded {
    function.guarded()
}

/// `function` as a callback; panics and errors become messages.
pub fn guarded_callback<O: Outcome<Value = ()>, F: CallbackFunction<O>>(_function: F) -> abi::Callback {
    const { assert!(size_of::<F>() == 0, "dlcast: a callback is a function or a closure without capture") };
    run_callback::<O, F>
}

unsafe extern "C" fn run_callback<O: Outcome<Value = ()>, F: CallbackFunction<O>>(
    payload: *const c_void,
    length: usize,
    tag: u64,
    message: *mut c_char,
    capacity: usize,
) -> i32 {
    let body = || {
        let payload = if length == 0 {
            &[]
        } else {
            // SAFETY: whoever runs a callback lends `length` bytes during the call.
            unsafe { std::slice::from_raw_parts(payload.cast::<u8>(), length) }
        };
        // SAFETY: `guarded_callback` was given a value of F and has checked its size.
        let function = unsafe { again::<F>() };
        // Callbacks are told apart by their address, and the optimiser would make one of two that do the same.
        std::hint::black_box(TypeId::of::<F>());
        function(payload, tag).into_result()
    };
    // SAFETY: whoever runs a callback gives room for its message.
    match unsafe { attempt(message, capacity, body) } {
        Some(()) => 0,
        None => 1,
    }
}

/// Another copy of a value without a size.
///
/// # Safety
///
/// F has no size, and there was a value of it.
unsafe fn again<F: Copy + Send + Sync + 'static>() -> F {
    // SAFETY: a value without a size is read from anywhere; that one exists is upheld by the caller, and that another
    // may exist, on any thread, is said by Copy, Send and Sync.
    unsafe { NonNull::<F>::dangling().read() }
}

macro_rules! tasks {
    ($($argument:ident $value:ident),*) => {
        impl<Z, O, $($argument),*> TaskFunction<($($argument,)*)> for Z
        where
            Z: Fn($($argument),*) -> O + Copy + Send + Sync + 'static,
            O: Outcome,
            $($argument: Portable,)*
        {
            fn guarded(self) -> Guarded {
                const { assert!(size_of::<Z>() == 0, "dlcast: a task is a function or a closure without capture") };

                unsafe extern "C" fn plain<Z, O, $($argument),*>(
                    $($value: $argument,)* message: *mut c_char, capacity: usize,
                ) -> i32
                where
                    Z: Fn($($argument),*) -> O + Copy + Send + Sync + 'static,
                    O: Outcome,
                {
                    // SAFETY: `guarded` was given a value of Z and has checked its size.
                    let body = || unsafe { again::<Z>() }($($value),*).into_result();
                    // SAFETY: whoever calls a task gives room for its message.
                    if unsafe { attempt(message, capacity, body) }.is_some() { 0 } else { 1 }
                }

                unsafe extern "C" fn giving<Z, O, $($argument),*>(
                    $($value: $argument,)* result: *mut O::Value, message: *mut c_char, capacity: usize,
                ) -> i32
                where
                    Z: Fn($($argument),*) -> O + Copy + Send + Sync + 'static,
                    O: Outcome,
                {
                    // SAFETY: `guarded` was given a value of Z and has checked its size.
                    let body = || unsafe { again::<Z>() }($($value),*).into_result();
                    // SAFETY: whoever calls a task gives room for its message.
                    let Some(value) = (unsafe { attempt(message, capacity, body) }) else { return 1 };
                    // SAFETY: whoever calls a task that gives something has a place for it.
                    unsafe { result.write(value) };
                    0
                }

                type Plain<$($argument),*> = unsafe extern "C" fn($($argument,)* *mut c_char, usize) -> i32;
                type Giving<R, $($argument),*> = unsafe extern "C" fn($($argument,)* *mut R, *mut c_char, usize) -> i32;
                let function = if O::Value::IS_UNIT {
                    // SAFETY: one function pointer for another; its type is restored by whoever reads the signature.
                    unsafe { transmute::<Plain<$($argument),*>, abi::Function>(plain::<Z, O, $($argument),*>) }
                } else {
                    // SAFETY: as above.
                    unsafe {
                        transmute::<Giving<O::Value, $($argument),*>, abi::Function>(giving::<Z, O, $($argument),*>)
                    }
                };
                Guarded { function, signature: const { Signature::<($($argument,)*), O::Value>::TEXT.as_c_str() } }
            }
        }
    };
}

tasks! {}
tasks! { A a }
tasks! { A a, B b }
tasks! { A a, B b, C c }
tasks! { A a, B b, C c, D d }
tasks! { A a, B b, C c, D d, E e }
tasks! { A a, B b, C c, D d, E e, F f }
tasks! { A a, B b, C c, D d, E e, F f, G g }
tasks! { A a, B b, C c, D d, E e, F f, G g, H h }
