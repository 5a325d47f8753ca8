//! What this thread does, in four words of static thread-local storage.
//!
//! The storage is declared in assembly: it is reached by two instructions, needs no initialisation, allocates nothing and is there
//! in a thread's first instruction as in its last.

use core::arch::{asm, global_asm};
use core::cell::Cell;

/// The words of one thread; a new thread's are zero.
#[repr(C)]
pub struct Thread {
    /// How many dlopens that the shim itself makes are under way: their constructors run on this thread.
    pub opening: Cell<u32>,
    /// How many jobs of the engine (constructors, callbacks, module bodies) run on this thread.
    pub marked: Cell<u32>,
    /// How many hooks of MPI_Init are under way: Fortran's calls C's.
    pub starting: Cell<u32>,
    /// Whether the last dlopen failed because it failed elsewhere, and `dlerror` has not told so yet.
    pub refused: Cell<u32>,
}

global_asm!(
    ".pushsection .tbss.dlcast_thread,\"awT\",@nobits",
    ".balign 8",
    ".globl dlcast_thread",
    ".hidden dlcast_thread",
    ".type dlcast_thread, @object",
    ".size dlcast_thread, {size}",
    "dlcast_thread:",
    ".zero {size}",
    ".popsection",
    size = const size_of::<Thread>(),
);

/// The words of this thread.
#[inline(always)]
pub fn this<'a>() -> &'a Thread {
    let words: *const Thread;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the thread pointer at fs:0 plus the offset that the loader gave the storage above.
    unsafe {
        asm!(
            "mov {words}, qword ptr fs:[0]",
            "add {words}, qword ptr [rip + dlcast_thread@GOTTPOFF]",
            words = out(reg) words,
            options(nostack, readonly),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the thread pointer plus the offset that the loader gave the storage above.
    unsafe {
        asm!(
            "mrs {words}, tpidr_el0",
            "adrp {offset}, :gottprel:dlcast_thread",
            "ldr {offset}, [{offset}, :gottprel_lo12:dlcast_thread]",
            "add {words}, {words}, {offset}",
            words = out(reg) words,
            offset = out(reg) _,
            options(nostack, readonly),
        );
    }
    // SAFETY: all bit patterns are values; the storage lives as long as its thread, and cells do not leave it (they are not Sync).
    unsafe { &*words }
}
