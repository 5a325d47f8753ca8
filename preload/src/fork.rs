//! A forked child is inert: its ranks' threads, sockets and sessions stayed with the parent.
//!
//! vfork and posix_spawn call no handler; what they start is another program.

/// From now on a child does nothing.
pub fn watch() {
    // SAFETY: the handler stays: the shim is never unloaded. Without memory for it, children would tell an engine that has no threads,
    // which is for the engine to see.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

extern "C" fn in_child() {
    crate::state::retire();
    crate::thread::this().marked.set(0);
}
