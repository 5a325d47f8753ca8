//! Objects that cannot be sent are built from payloads in every process, by callbacks that rank 1 alone names: an `MPI_Op` that
//! all then reduce with, and a functor with a `std::vector` that gives the same answers everywhere.

use std::ffi::{CString, c_void};

use dlcast::{CallError, CodeRef, Session};
use mpi::ffi;
use mpi::traits::*;
use mpi_tests::{Fixture, Job, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let runtime = job.build(&Fixture::sample("unsendable/runtime.cpp", "runtime"));
    let reductions =
        job.build(&Fixture::sample("unsendable/reductions.c", "reductions").with_mpi().needing(&runtime).flag("-lm"));
    let mapper = job.build(&Fixture::sample("unsendable/mapper.cpp", "mapper").needing(&runtime));
    let code = |path, symbol| CodeRef::symbol(text(path), symbol, "").expect("it was just built");
    let (make_reduction, make_mapper) = (code(&reductions, "make_reduction"), code(&mapper, "make_mapper"));

    // Rank 1 alone knows of any of it.
    let weights: Vec<u32> = (0..job.size as u32).map(|rank| rank % 3 + 1).collect();
    let table: Vec<u8> = weights.iter().flat_map(|weight| weight.to_ne_bytes()).collect();
    if job.rank == 1 {
        session.record_callback(&make_reduction, b"farthest", 0).expect("recording is local");
        session.record_callback(&make_reduction, b"together", 0).expect("recording is local");
        session.record_callback(&make_mapper, &table, 7).expect("recording is local");
    }
    let report = session.sync().expect("every rank can");
    assert!(report.undone.is_empty(), "{:?}", report.undone);

    let runtime = Runtime::open(&runtime);
    // The last rank has the largest magnitude, and its sign stays; the squares add up.
    let mine = [if job.rank == job.last() { -100.0 } else { f64::from(job.rank) }, 2.0];
    assert_eq!(reduced(&job, runtime.reduction("farthest"), mine)[0], -100.0);
    let length = reduced(&job, runtime.reduction("together"), mine)[1];
    assert!((length - (4.0 * f64::from(job.size)).sqrt()).abs() < 1e-12, "{length}");

    let turns: Vec<u32> =
        (0..).zip(&weights).flat_map(|(rank, &weight)| std::iter::repeat_n(rank, weight as usize)).collect();
    let places: Vec<u32> = (0..1000).map(|task| runtime.place("weighted 7", task)).collect();
    assert!(places.iter().enumerate().all(|(task, &place)| place == turns[task % turns.len()]));
    job.assert_same("the mapper", &format!("{places:?}"));
    assert_eq!(runtime.place("weighted 8", 0), u32::MAX);

    // All ask, and the payload is one that no object can be made of: each rank says so, and nothing is left behind.
    refused(&job, &session, &make_reduction, b"median", "no reduction is named `median`");
    refused(&job, &session, &make_mapper, b"odd", "std::invalid_argument: no table of weights");
    refused(&job, &session, &make_mapper, &[0; 8], "std::invalid_argument: a mapper needs a processor with a weight");
    // The same once more is no second object: the runtime would refuse.
    session.register_global(&make_reduction, b"farthest", 0).expect("it has run");
    session.register_global(&make_mapper, &table, 7).expect("it has run");
    job.done();
}

fn refused(job: &Job, session: &Session, code: &CodeRef, payload: &[u8], expected: &str) {
    let error = session.register_global(code, payload, 9).expect_err("no object can be made of it");
    let CallError::Undone(undone) = &error else { panic!("{error}") };
    job.assert_same("the verdict", &undone.to_string());
    assert!(undone.to_string().contains(expected), "{undone}");
    let failing: usize = undone.failures.iter().map(|failure| failure.ranks.len()).sum();
    assert_eq!(failing, job.size as usize, "{undone}");
}

/// An allreduce with the op of this process; the handles of the ranks have nothing in common.
fn reduced(job: &Job, op: ffi::MPI_Op, mine: [f64; 2]) -> [f64; 2] {
    let mut all = [0.0; 2];
    // SAFETY: both arrays have two values, and the op was made by MPI_Op_create in this process.
    let status = unsafe {
        ffi::MPI_Allreduce(
            mine.as_ptr().cast::<c_void>(),
            all.as_mut_ptr().cast::<c_void>(),
            2,
            f64::equivalent_datatype().as_raw(),
            op,
            job.world.as_raw(),
        )
    };
    assert_eq!(status, 0, "MPI_Allreduce");
    all
}

/// The registry of this process, `plugins/unsendable/runtime.h`.
struct Runtime {
    handle: *mut c_void,
}

impl Runtime {
    fn open(path: &std::path::Path) -> Runtime {
        let path = CString::new(text(path)).expect("a path has no zero byte");
        // SAFETY: the plugins have it open already: nothing is loaded.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        assert!(!handle.is_null(), "the plugins need the runtime");
        Runtime { handle }
    }

    fn symbol(&self, name: &str) -> *mut c_void {
        let name = CString::new(name).expect("a name has no zero byte");
        // SAFETY: a handle that is never closed.
        let found = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?}");
        found
    }

    fn place(&self, mapper: &str, task: u64) -> u32 {
        let mapper = CString::new(mapper).expect("a name has no zero byte");
        // SAFETY: runtime.h declares it so, and it only reads the name.
        let place: extern "C" fn(*const libc::c_char, u64) -> u32 =
            unsafe { std::mem::transmute(self.symbol("runtime_place")) };
        place(mapper.as_ptr(), task)
    }

    fn reduction(&self, name: &str) -> ffi::MPI_Op {
        let name = CString::new(name).expect("a name has no zero byte");
        // SAFETY: runtime.h declares it so, and it only reads the name.
        let reduction: extern "C" fn(*const libc::c_char) -> *const ffi::MPI_Op =
            unsafe { std::mem::transmute(self.symbol("runtime_reduction")) };
        let op = reduction(name.as_ptr());
        assert!(!op.is_null(), "{name:?} is registered");
        // SAFETY: the callback has put an MPI_Op there, for as long as the process.
        unsafe { *op }
    }
}
