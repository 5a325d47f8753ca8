//! The MPI that mpi-sys is bound to is the one that MPICC, or mpicc in PATH, stands for now.
//!
//! mpi-sys is not built again where these have changed since (its build script does not say that it depends on them): the library would
//! be linked with one MPI, and take itself for one of the other. If this does not compile: `cargo clean -p mpi-sys`.

use mpi::ffi;

/// What build.rs has found in mpi.h.
#[cfg(any(built_with = "open-mpi", built_with = "mpich"))]
const MAJOR: u32 = {
    let (digits, mut at, mut number) = (env!("DLCAST_BUILT_MPI_MAJOR").as_bytes(), 0, 0);
    while at < digits.len() {
        number = number * 10 + (digits[at] - b'0') as u32;
        at += 1;
    }
    number
};

#[cfg(built_with = "open-mpi")]
const _: () = assert!(ffi::OMPI_MAJOR_VERSION == MAJOR, "mpi-sys is bound to another MPI: cargo clean -p mpi-sys");

#[cfg(built_with = "mpich")]
const _: () =
    assert!(ffi::MPICH_NUMVERSION / 10_000_000 == MAJOR, "mpi-sys is bound to another MPI: cargo clean -p mpi-sys");
