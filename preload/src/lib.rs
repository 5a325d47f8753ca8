//! The shim that `dlcast run` preloads into a program which knows nothing of dlcast.
//!
//! It sees the program's `dlopen`, takes part in `MPI_Init` and `MPI_Finalize`, and tells `libdlcast.so`, which lies beside it, what
//! it saw. It agrees on nothing, decides about no library and speaks with no other rank: that is the engine's business. Until MPI
//! comes up it only notes names; in a program without MPI, after a fork and after `MPI_Finalize` it does nothing at all.
//!
//! It may be in any program, so it needs libc alone, has no constructor, and allocates nothing before MPI is up. Built with the
//! profile `preload` it contains no standard library, and no libgcc_s.so.1 comes along, which a program may bring itself.
//!
//! # Layout
//! - `thread`, `state`: what this thread does, and whether the shim serves
//! - `dlopen`: the hook and its decision; `known` the names that need no telling; `cure` what the caller's own search would
//!   find; `owed` handles that go with the program's last one; `early` what was opened before MPI came up
//! - `waiting`: whether this thread may wait for other ranks
//! - `init`, `fortran`: MPI_Init and its family; `guard`: MPI calls that a worker thread must not make
//! - `next`, `objects`: the definitions that stand behind ours, and the objects of the process
//! - `engine`: `libdlcast.so`; `environment`, `fork`: what children see
#![cfg_attr(panic = "abort", no_std)]

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("the shim is written for 64-bit x86_64 and aarch64 Linux with glibc");

mod cure;
mod dlopen;
mod early;
mod engine;
mod environment;
mod fork;
mod fortran;
mod guard;
mod init;
mod known;
mod next;
mod objects;
mod owed;
mod path;
mod say;
mod state;
mod thread;
mod waiting;

/// There is no way on from a defect in here that would be better than ending at once.
#[cfg(panic = "abort")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: abort takes nothing and does not return.
    unsafe { libc::abort() }
}
