//! MPI calls with a communicator, which a thread must not make while it runs a constructor, callback or module body for dlcast.
//!
//! Any other thread jumps on into the next definition: two loads, a comparison and a jump. Only functions that every MPI has are
//! among them (MPI 3.1): a program may ask by a weak symbol whether its MPI has a newer one, and the shim must not be the answer.
//! Fortran's functions are not among them, and what needs no communicator of the user's (local questions, MPI_Abort) is not either.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::state::{self, State};
use crate::thread::Thread;
use crate::{engine, init, next};

/// A hooked function.
#[repr(C)]
struct Hook {
    next: AtomicPtr<c_void>,
    name: *const c_char,
}

// SAFETY: the name is a constant.
unsafe impl Sync for Hook {}

/// Finds the next definitions, so that no call does it while a constructor holds the loader's lock.
pub fn resolve() {
    for hook in HOOKS {
        let found = next::definition(hook.name(), ptr::null());
        hook.next.store(found, Ordering::Relaxed);
    }
}

impl Hook {
    fn name(&self) -> &'static CStr {
        // SAFETY: a constant C string.
        unsafe { CStr::from_ptr(self.name) }
    }
}

/// Where a call goes that found no next definition yet: MPI is not up, or came with a later dlopen.
unsafe extern "C" fn find(hook: &Hook, caller: *const c_void) -> *const c_void {
    let mut found = next::definition(hook.name(), caller);
    if found.is_null() {
        found = init::definition(hook.name());
    }
    hook.next.store(found, Ordering::Relaxed);
    found
}

/// Where a call of a marked thread goes. Null: on into the next definition.
unsafe extern "C" fn forbid(hook: &Hook) -> c_int {
    match (state::get(), engine::get()) {
        // SAFETY: the engine's function; a C string.
        (State::Starting | State::Eager | State::Deferred, Some(engine)) => unsafe { (engine.forbidden)(hook.name) },
        // MPI goes down, or this is a forked child: not the time for such calls either.
        _ => MPI_ERR_OTHER,
    }
}

/// Open MPI's; any value but 0 is an error.
const MPI_ERR_OTHER: c_int = 16;

/// The hook is in r11. All registers that carry arguments are kept.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn find_and_jump() {
    naked_asm!(
        ".cfi_startproc",
        "sub rsp, 56",
        ".cfi_adjust_cfa_offset 56",
        "mov [rsp], rdi",
        "mov [rsp + 8], rsi",
        "mov [rsp + 16], rdx",
        "mov [rsp + 24], rcx",
        "mov [rsp + 32], r8",
        "mov [rsp + 40], r9",
        "mov rdi, r11",
        "mov rsi, [rsp + 56]",
        "call {find}",
        "mov rdi, [rsp]",
        "mov rsi, [rsp + 8]",
        "mov rdx, [rsp + 16]",
        "mov rcx, [rsp + 24]",
        "mov r8, [rsp + 32]",
        "mov r9, [rsp + 40]",
        "add rsp, 56",
        ".cfi_adjust_cfa_offset -56",
        "jmp rax",
        ".cfi_endproc",
        find = sym find,
    )
}

/// The hook is in x16. All registers that carry arguments are kept.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn find_and_jump() {
    naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, #-80]!",
        ".cfi_adjust_cfa_offset 80",
        ".cfi_rel_offset x29, 0",
        ".cfi_rel_offset x30, 8",
        "mov x29, sp",
        "stp x0, x1, [sp, #16]",
        "stp x2, x3, [sp, #32]",
        "stp x4, x5, [sp, #48]",
        "stp x6, x7, [sp, #64]",
        "mov x0, x16",
        "mov x1, x30",
        "bl {find}",
        "mov x16, x0",
        "ldp x0, x1, [sp, #16]",
        "ldp x2, x3, [sp, #32]",
        "ldp x4, x5, [sp, #48]",
        "ldp x6, x7, [sp, #64]",
        "ldp x29, x30, [sp], #80",
        ".cfi_restore x29",
        ".cfi_restore x30",
        ".cfi_adjust_cfa_offset -80",
        "br x16",
        ".cfi_endproc",
        find = sym find,
    )
}

macro_rules! hooks {
    ($($name:ident)*) => {
        const HOOKS: &[&Hook] = &[$({
            #[allow(non_upper_case_globals, reason = "named like the function")]
            static $name: Hook = Hook {
                next: AtomicPtr::new(ptr::null_mut()),
                name: concat!(stringify!($name), "\0").as_ptr().cast(),
            };

            /// # Safety
            /// As the function of that name.
            #[cfg(target_arch = "x86_64")]
            #[unsafe(export_name = stringify!($name))]
            #[unsafe(naked)]
            unsafe extern "C" fn hook() {
                naked_asm!(
                    ".cfi_startproc",
                    "mov rax, qword ptr [rip + dlcast_thread@GOTTPOFF]",
                    "lea r11, [rip + {hook}]",
                    "cmp dword ptr fs:[rax + {marked}], 0",
                    "jne 2f",
                    "mov rax, qword ptr [r11]",
                    "test rax, rax",
                    "jz {find_and_jump}",
                    "jmp rax",
                    "2:",
                    "mov rdi, r11",
                    "jmp {forbid}",
                    ".cfi_endproc",
                    hook = sym $name,
                    marked = const offset_of!(Thread, marked),
                    find_and_jump = sym find_and_jump,
                    forbid = sym forbid,
                )
            }

            /// # Safety
            /// As the function of that name.
            #[cfg(target_arch = "aarch64")]
            #[unsafe(export_name = stringify!($name))]
            #[unsafe(naked)]
            unsafe extern "C" fn hook() {
                naked_asm!(
                    ".cfi_startproc",
                    "mrs x9, tpidr_el0",
                    "adrp x10, :gottprel:dlcast_thread",
                    "ldr x10, [x10, :gottprel_lo12:dlcast_thread]",
                    "add x9, x9, x10",
                    "adrp x16, {hook}",
                    "add x16, x16, :lo12:{hook}",
                    "ldr w9, [x9, {marked}]",
                    "cbnz w9, 2f",
                    "ldr x17, [x16]",
                    "cbz x17, 3f",
                    "br x17",
                    "2:",
                    "mov x0, x16",
                    "b {forbid}",
                    "3:",
                    "b {find_and_jump}",
                    ".cfi_endproc",
                    hook = sym $name,
                    marked = const offset_of!(Thread, marked),
                    find_and_jump = sym find_and_jump,
                    forbid = sym forbid,
                )
            }
            &$name
        }),*];
    };
}

hooks! {
    MPI_Bsend MPI_Bsend_init MPI_Ibsend MPI_Improbe MPI_Iprobe MPI_Irecv MPI_Irsend MPI_Isend MPI_Issend MPI_Mprobe MPI_Probe
    MPI_Recv MPI_Recv_init MPI_Rsend MPI_Rsend_init MPI_Send MPI_Send_init MPI_Sendrecv MPI_Sendrecv_replace MPI_Ssend
    MPI_Ssend_init

    MPI_Allgather MPI_Allgatherv MPI_Allreduce MPI_Alltoall MPI_Alltoallv MPI_Alltoallw MPI_Barrier MPI_Bcast MPI_Exscan
    MPI_Gather MPI_Gatherv MPI_Reduce MPI_Reduce_scatter MPI_Reduce_scatter_block MPI_Scan MPI_Scatter MPI_Scatterv
    MPI_Iallgather MPI_Iallgatherv MPI_Iallreduce MPI_Ialltoall MPI_Ialltoallv MPI_Ialltoallw MPI_Ibarrier MPI_Ibcast
    MPI_Iexscan MPI_Igather MPI_Igatherv MPI_Ireduce MPI_Ireduce_scatter MPI_Ireduce_scatter_block MPI_Iscan MPI_Iscatter
    MPI_Iscatterv
    MPI_Neighbor_allgather MPI_Neighbor_allgatherv MPI_Neighbor_alltoall MPI_Neighbor_alltoallv MPI_Neighbor_alltoallw
    MPI_Ineighbor_allgather MPI_Ineighbor_allgatherv MPI_Ineighbor_alltoall MPI_Ineighbor_alltoallv MPI_Ineighbor_alltoallw

    MPI_Cart_create MPI_Cart_sub MPI_Comm_accept MPI_Comm_connect MPI_Comm_create MPI_Comm_create_group MPI_Comm_disconnect
    MPI_Comm_dup MPI_Comm_dup_with_info MPI_Comm_free MPI_Comm_idup MPI_Comm_spawn MPI_Comm_spawn_multiple MPI_Comm_split
    MPI_Comm_split_type MPI_Dist_graph_create MPI_Dist_graph_create_adjacent MPI_Graph_create MPI_Intercomm_create
    MPI_Intercomm_merge

    MPI_File_open MPI_Win_allocate MPI_Win_allocate_shared MPI_Win_create MPI_Win_create_dynamic
}
