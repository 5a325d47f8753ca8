//! One rank of the job of `tests/job.rs`. Arguments: the plugin that panics, the plugin of `docs/plugin-authors.md`.
//!
//! The first fails everywhere with the message that its source promises, and nothing of it is registered; the second loads, and its
//! tasks answer.

use dlcast::{CallError, Session};
use dlcast_plugin::{Arguments, Returned, Typed, abi};
use mpi_tests::{Job, NOW, ids};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("two libraries");
    let (panics, stencil) = (next(), next());
    let job = Job::start();
    let session = job.attach();

    let mut promised = include_str!("../src/lib.rs").lines().filter_map(|line| line.strip_prefix("//! Must say: "));
    let promised = promised.next().expect("the source says what it comes to");
    for _attempt in 0..2 {
        let error = session.load_global(&panics, NOW).expect_err("its callback panics");
        let CallError::Undone(undone) = &error else { panic!("{error}") };
        job.assert_same("the verdict", &undone.to_string());
        assert!(undone.to_string().contains(promised), "`{promised}` is not in: {undone}");
        assert_eq!(undone.failures.iter().map(|failure| failure.ranks.len()).sum::<usize>(), job.size as usize);
        assert_eq!(ids(&session), "", "nothing is registered");
    }

    session.load_global(&stencil, NOW).expect("a plugin without a mistake");
    assert_eq!(call::<_, f64>(&session, "average", (1.0, 2.0)), Ok(1.5));
    assert_eq!(call::<_, f64>(&session, "divided", (3.0, 2_u64)), Ok(1.5));
    assert_eq!(call::<_, f64>(&session, "divided", (3.0, 0_u64)), Err("n is zero".to_owned()));
    assert_eq!(call::<_, f64>(&session, "scale<f64>", (3.0, 2.0)), Ok(6.0));
    assert_eq!(call::<_, u64>(&session, "cells", ()), Ok(64), "its callback has run");
    job.assert_same("ids", &ids(&session));
    job.done();
}

fn call<A: Arguments, R: Returned>(session: &Session, name: &str, arguments: A) -> Result<R, String> {
    let task = session.tasks().find("stencil", name).unwrap_or_else(|error| panic!("{error}"));
    // SAFETY: the address of a task is that of a function.
    let function =
        unsafe { std::mem::transmute::<*const std::ffi::c_void, abi::Function>(task.entry.function.as_ptr()) };
    // SAFETY: the attribute has derived the signature from the function, and no argument is a pointer.
    let typed = unsafe { Typed::<A, R>::new(function, task.entry.signature) }.unwrap_or_else(|error| panic!("{error}"));
    typed.call(arguments).map_err(|error| error.message)
}
