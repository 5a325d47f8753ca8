//! MPI's profiling layer: these functions stand before MPI's own, count, and go on to the `PMPI_` ones.
//!
//! Every call of this process that moves data goes through here: dlcast's, the floor's, the benchmark's own. What MPI
//! sends inside a collective is not seen. The symbols must be the program's own, so this is no library.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use mpi::ffi::*;

static COLLECTIVES: AtomicU64 = AtomicU64::new(0);
static MESSAGES: AtomicU64 = AtomicU64::new(0);
static LOOKS: AtomicU64 = AtomicU64::new(0);

/// What this rank has called so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Collective operations, blocking or not.
    pub collectives: u64,
    /// Messages sent.
    pub messages: u64,
    /// Calls that only look whether something has come: they depend on time.
    pub looks: u64,
}

impl Calls {
    /// Since the process began.
    pub fn so_far() -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Calls { collectives: read(&COLLECTIVES), messages: read(&MESSAGES), looks: read(&LOOKS) }
    }

    /// Since then.
    pub fn since(self) -> Self {
        let now = Calls::so_far();
        Calls {
            collectives: now.collectives - self.collectives,
            messages: now.messages - self.messages,
            looks: now.looks - self.looks,
        }
    }
}

/// Defines functions of MPI that count themselves.
macro_rules! counted {
    ($counter:ident: $($name:ident => $real:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: $type),*) -> c_int {
            $counter.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the arguments are the caller's, who upholds what MPI asks of this function.
            unsafe { $real($($arg),*) }
        }
    )*};
}

counted! { COLLECTIVES:
    MPI_Barrier => PMPI_Barrier(comm: MPI_Comm);
    MPI_Ibarrier => PMPI_Ibarrier(comm: MPI_Comm, request: *mut MPI_Request);
    MPI_Bcast => PMPI_Bcast(buffer: *mut c_void, count: c_int, of: MPI_Datatype, root: c_int, comm: MPI_Comm);
    MPI_Ibcast => PMPI_Ibcast(
        buffer: *mut c_void, count: c_int, of: MPI_Datatype, root: c_int, comm: MPI_Comm, request: *mut MPI_Request);
    MPI_Allreduce => PMPI_Allreduce(
        from: *const c_void, to: *mut c_void, count: c_int, of: MPI_Datatype, op: MPI_Op, comm: MPI_Comm);
    MPI_Iallreduce => PMPI_Iallreduce(
        from: *const c_void, to: *mut c_void, count: c_int, of: MPI_Datatype, op: MPI_Op, comm: MPI_Comm,
        request: *mut MPI_Request);
    MPI_Reduce => PMPI_Reduce(
        from: *const c_void, to: *mut c_void, count: c_int, of: MPI_Datatype, op: MPI_Op, root: c_int, comm: MPI_Comm);
    MPI_Allgather => PMPI_Allgather(
        from: *const c_void, sent: c_int, of: MPI_Datatype, to: *mut c_void, got: c_int, as_: MPI_Datatype,
        comm: MPI_Comm);
    MPI_Iallgather => PMPI_Iallgather(
        from: *const c_void, sent: c_int, of: MPI_Datatype, to: *mut c_void, got: c_int, as_: MPI_Datatype,
        comm: MPI_Comm, request: *mut MPI_Request);
    MPI_Comm_dup => PMPI_Comm_dup(comm: MPI_Comm, new: *mut MPI_Comm);
    MPI_Comm_idup => PMPI_Comm_idup(comm: MPI_Comm, new: *mut MPI_Comm, request: *mut MPI_Request);
    MPI_Comm_split => PMPI_Comm_split(comm: MPI_Comm, color: c_int, key: c_int, new: *mut MPI_Comm);
}

counted! { MESSAGES:
    MPI_Send => PMPI_Send(
        from: *const c_void, count: c_int, of: MPI_Datatype, to: c_int, tag: c_int, comm: MPI_Comm);
    MPI_Ssend => PMPI_Ssend(
        from: *const c_void, count: c_int, of: MPI_Datatype, to: c_int, tag: c_int, comm: MPI_Comm);
    MPI_Isend => PMPI_Isend(
        from: *const c_void, count: c_int, of: MPI_Datatype, to: c_int, tag: c_int, comm: MPI_Comm,
        request: *mut MPI_Request);
    MPI_Issend => PMPI_Issend(
        from: *const c_void, count: c_int, of: MPI_Datatype, to: c_int, tag: c_int, comm: MPI_Comm,
        request: *mut MPI_Request);
}

counted! { LOOKS:
    MPI_Test => PMPI_Test(request: *mut MPI_Request, flag: *mut c_int, status: *mut MPI_Status);
    MPI_Iprobe => PMPI_Iprobe(
        source: c_int, tag: c_int, comm: MPI_Comm, flag: *mut c_int, status: *mut MPI_Status);
    MPI_Improbe => PMPI_Improbe(
        source: c_int, tag: c_int, comm: MPI_Comm, flag: *mut c_int, message: *mut MPI_Message,
        status: *mut MPI_Status);
}
