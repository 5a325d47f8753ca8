//! The types and constants of the C ABI.

use std::ffi::{c_char, c_void};

/// What a call came to: one of the DLCAST_ codes below. Everything but DLCAST_OK and DLCAST_JOB leaves a text in
/// dlcast_last_error.
pub type dlcast_status = i32;
/// A session. Handles are never used twice in a process.
pub type dlcast_session = i64;
/// A collective call that its caller steps.
pub type dlcast_call = i64;
/// A block whose dlopens are being recorded.
pub type dlcast_recording = i64;

/// All went well.
pub const DLCAST_OK: i32 = 0;
/// A request of this call failed on some rank and is undone on all.
pub const DLCAST_UNDONE: i32 = 1;
/// The deadline passed in this call; in collective mode the session is unusable from now on.
pub const DLCAST_TIMEOUT: i32 = 2;
/// The session became unusable earlier, or no session has this handle.
pub const DLCAST_BROKEN: i32 = 3;
/// A bad argument or setting. In a collective call this rank has taken part all the same, so that nobody waits for it.
pub const DLCAST_INVALID: i32 = 4;
/// MPI reported an error, has been finalised, or is another MPI; or another rank runs another dlcast.
pub const DLCAST_MPI: i32 = 5;
/// Called inside a constructor, dlopen, an import or a callback, whoever began it, where nothing may wait for other ranks:
/// recorded. What a dlcast call runs is carried out before that call returns, anything else by the next one.
/// dlcast_load_global has opened its library on this rank; dlcast_sync does nothing.
pub const DLCAST_NESTED: i32 = 6;
/// Another thread of this rank is in a call of the same session, and did not return in time; nothing was sent.
pub const DLCAST_BUSY: i32 = 7;
/// dlcast_call_step, dlcast_import_next: there is a job to do.
pub const DLCAST_JOB: i32 = 100;
/// dlcast_call_step_within: not yet.
pub const DLCAST_PENDING: i32 = 101;

/// The communicator argument that means MPI_COMM_WORLD.
pub const DLCAST_COMM_WORLD: i32 = i32::MIN;

/// Mode: DLCAST_MODE in the environment, by default collective.
pub const DLCAST_DEFAULT_MODE: i32 = -1;
/// Mode: every rank makes the calls itself.
pub const DLCAST_COLLECTIVE: i32 = 0;
/// Mode: threads take part for ranks that do not call; every verb is one-sided. Needs MPI_THREAD_MULTIPLE.
pub const DLCAST_SERVICE: i32 = 1;

/// A call without a request of its own.
pub const DLCAST_VERB_SYNC: i32 = 0;
/// name: a path or bare name.
pub const DLCAST_VERB_LOAD: i32 = 1;
/// name: a module.
pub const DLCAST_VERB_IMPORT: i32 = 2;
/// name: what is wrong with the arguments. The call takes part in the round, so that nobody waits for this rank, with a
/// request that fails.
pub const DLCAST_VERB_INVALID: i32 = 3;

/// name: as for DLCAST_VERB_LOAD; takes a plugin's tasks away.
pub const DLCAST_VERB_UNLOAD: i32 = 4;

/// Import the module.
pub const DLCAST_JOB_IMPORT: i32 = 1;
/// Every rank has imported it.
pub const DLCAST_JOB_COMMIT: i32 = 2;
/// Some rank could not: take it out again.
pub const DLCAST_JOB_UNDO: i32 = 3;

/// Call the function; its module is imported on the fly.
pub const DLCAST_JOB_CALL: i32 = 4;

/// It was committed in this call, and a plugin that it brought has failed: take it out again.
pub const DLCAST_JOB_REVOKE: i32 = 5;

/// Work for a Python interpreter.
#[repr(C)]
pub struct dlcast_job {
    /// DLCAST_JOB_IMPORT and so on.
    pub kind: i32,
    /// The module's name in UTF-8, for DLCAST_JOB_CALL "module:qualname"; valid until the next dlcast call of this thread.
    pub name: *const c_char,
    /// Of DLCAST_JOB_CALL: lent until the job is answered.
    pub payload: *const c_void,
    /// Bytes of the payload.
    pub length: usize,
    /// Of DLCAST_JOB_CALL.
    pub tag: u64,
    /// Whose round it belongs to.
    pub session: dlcast_session,
}

/// The one signature of callbacks, dlcast_callback of dlcast_plugin.h: 0 is success; anything else a failure, and message
/// (capacity bytes, "" at entry) says why. The payload is lent during the call. It must not throw.
///
/// A callback may call, on the thread that runs it: dlcast_record_*; dlcast_load_global, dlcast_import_global,
/// dlcast_register_global and dlcast_register_code, which give DLCAST_NESTED at once and are carried out before the outer
/// call returns; dlcast_task_* and dlcast_code_*, which are local. If what it asks for fails,
/// so does it. It must not wait for other ranks, which may be elsewhere: dlcast_sync, and dlcast_attach on a communicator
/// without a session, are refused.
pub type dlcast_global_callback = Option<
    unsafe extern "C" fn(payload: *const c_void, length: usize, tag: u64, message: *mut c_char, capacity: usize) -> i32,
>;

/// A task of a plugin.
#[repr(C)]
pub struct dlcast_task {
    /// The same on every rank; never used for another task.
    pub id: u64,
    /// The plugin's name; valid until the next dlcast call of this thread.
    pub plugin: *const c_char,
    /// The plugin's own text; valid for as long as the process.
    pub name: *const c_char,
    /// As name.
    pub signature: *const c_char,
    /// To be cast to what the signature says.
    pub function: *const c_void,
}
