//! Is MPI up, is it the MPI that dlcast was built with, may this thread call it, and who finalises it?

use std::cell::Cell;
use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mpi::ffi;

use super::call::check;
use crate::comm::CommError;
use crate::vendor::{self, is_mpi};

fn initialized() -> bool {
    let mut flag: c_int = 0;
    // SAFETY: may be called at any time (MPI 4.1 section 11.4.1).
    unsafe { ffi::MPI_Initialized(&mut flag) };
    flag != 0
}

fn finalized() -> bool {
    let mut flag: c_int = 0;
    // SAFETY: may be called at any time.
    unsafe { ffi::MPI_Finalized(&mut flag) };
    flag != 0
}

/// Whether MPI can be called.
pub fn is_up() -> bool {
    initialized() && !finalized()
}

/// The process that brought MPI up, or found it up; none yet.
static RANK: AtomicU32 = AtomicU32::new(0);

/// A forked child finds everything as it was in its parent, but MPI's messages are not for it.
fn is_forked() -> Option<u32> {
    let rank = RANK.load(Ordering::Relaxed);
    (rank != 0 && rank != std::process::id()).then_some(rank)
}

thread_local! {
    /// This thread is inside the MPI_Init_thread that dlcast calls.
    static IS_BRINGING: Cell<bool> = const { Cell::new(false) };
}

/// MPI is up after this. Where nobody has initialised it, dlcast does, with MPI_THREAD_MULTIPLE, and finalises it at exit.
pub fn bring_up() -> Result<(), CommError> {
    static ONE: Mutex<()> = Mutex::new(());
    if IS_BRINGING.get() {
        // Under `dlcast run`: the shim starts its session when MPI_Init_thread has come up, before it returns here.
        return Ok(());
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(parent) = is_forked() {
        return Err(CommError::Forked { parent });
    }
    if finalized() {
        return Err(CommError::Finalized);
    }
    RANK.store(std::process::id(), Ordering::Relaxed);
    if !initialized() {
        let mut provided: c_int = 0;
        IS_BRINGING.set(true);
        // SAFETY: null arguments are allowed; nobody has initialised MPI, and the lock keeps a second thread away.
        let code = unsafe {
            ffi::MPI_Init_thread(std::ptr::null_mut(), std::ptr::null_mut(), ffi::RSMPI_THREAD_MULTIPLE, &mut provided)
        };
        IS_BRINGING.set(false);
        check("MPI_Init_thread", code)?;
        // SAFETY: the function takes nothing, returns nothing, and lives as long as the process. Should registering it
        // fail, the launcher reports a missing MPI_Finalize.
        unsafe { libc::atexit(bring_down) };
    }
    Ok(())
}

extern "C" fn bring_down() {
    if is_up() && is_forked().is_none() {
        // SAFETY: MPI is up, and it was dlcast that initialised it.
        unsafe { ffi::MPI_Finalize() };
    }
}

/// Ends the job with an exit code, on the word of one rank: MPI says so for each that aborts. The others go with it.
pub fn abort(code: i32, is_first: bool) -> ! {
    const PATIENCE: Duration = Duration::from_secs(5);
    if !is_first {
        std::thread::sleep(PATIENCE);
    }
    CODE.store(code, Ordering::Relaxed);
    // SAFETY: the function takes nothing, returns nothing, and lives as long as the process.
    unsafe { libc::atexit(skip_the_rest) };
    // SAFETY: MPI is up, and may be aborted at any time.
    unsafe { ffi::MPI_Abort(ffi::RSMPI_COMM_WORLD, code) };
    std::process::exit(code)
}

/// The exit code of a process that is being aborted.
static CODE: AtomicI32 = AtomicI32::new(0);

/// The first of what exit calls, by which MPICH's MPI_Abort ends: the last of it waits for the loader's lock, and a constructor that
/// never returns has that. (Nor does a thread of Rust's begin without it.)
extern "C" fn skip_the_rest() {
    // SAFETY: ends the process at once; an abort promises no cleaning up.
    unsafe { libc::_exit(CODE.load(Ordering::Relaxed)) }
}

/// What a call of MPI returns that dlcast does not let through.
pub const REFUSED: i32 = ffi::MPI_ERR_OTHER as i32;

/// MPI can be called in this process, which is no forked child.
pub fn is_here() -> bool {
    is_forked().is_none() && is_up()
}

/// Whether threads may call MPI at any time: service mode needs it.
pub fn needs_multiple() -> Result<(), CommError> {
    let mut level: c_int = 0;
    // SAFETY: MPI is initialised (attach has brought it up); the pointer is to a local.
    check("MPI_Query_thread", unsafe { ffi::MPI_Query_thread(&mut level) })?;
    // SAFETY: reads constants.
    let (multiple, names) = unsafe {
        let single = (ffi::RSMPI_THREAD_SINGLE, "MPI_THREAD_SINGLE");
        let funneled = (ffi::RSMPI_THREAD_FUNNELED, "MPI_THREAD_FUNNELED");
        (ffi::RSMPI_THREAD_MULTIPLE, [single, funneled])
    };
    if level == multiple {
        return Ok(());
    }
    let name = names.iter().find(|(known, _)| *known == level).map_or("MPI_THREAD_SERIALIZED", |(_, name)| name);
    Err(CommError::NoThreads(name))
}

/// May this thread make MPI calls?
pub fn may_call() -> Result<(), CommError> {
    if let Some(parent) = is_forked() {
        return Err(CommError::Forked { parent });
    }
    if finalized() {
        return Err(CommError::Finalized);
    }
    // The level is fixed once MPI is up.
    static ANY_THREAD: AtomicBool = AtomicBool::new(false);
    if ANY_THREAD.load(Ordering::Relaxed) {
        return Ok(());
    }
    let (mut level, mut main): (c_int, c_int) = (0, 0);
    // SAFETY: MPI is initialised (sessions exist only then); pointers to locals.
    check("MPI_Query_thread", unsafe { ffi::MPI_Query_thread(&mut level) })?;
    // SAFETY: as above.
    check("MPI_Is_thread_main", unsafe { ffi::MPI_Is_thread_main(&mut main) })?;
    // SAFETY: reads constants.
    let (single, funneled) = unsafe { (ffi::RSMPI_THREAD_SINGLE, ffi::RSMPI_THREAD_FUNNELED) };
    if level != single && level != funneled {
        ANY_THREAD.store(true, Ordering::Relaxed);
    }
    match main {
        0 if level == single => Err(CommError::ThreadLevel("MPI_THREAD_SINGLE")),
        0 if level == funneled => Err(CommError::ThreadLevel("MPI_THREAD_FUNNELED")),
        _ => Ok(()),
    }
}

/// An address inside the MPI library that dlcast calls: tells its file.
pub fn address() -> usize {
    // A function that nobody hooks.
    ffi::MPI_Get_library_version as *const () as usize
}

/// Refuses another MPI than the one of the build: `bound` is the file that holds [`address`], `mapped` every file in the
/// process.
pub fn refuse_other_mpi(bound: Option<PathBuf>, mapped: &[PathBuf]) -> Result<(), CommError> {
    let bound = bound.unwrap_or_default();
    let real = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let mut others: Vec<&PathBuf> = mapped.iter().filter(|path| is_mpi(path) && real(path) != real(&bound)).collect();
    others.dedup();
    let version = library_version();
    let built = format!("{} ({})", vendor::BUILT_WITH, vendor::BUILT_FILE);
    if !vendor::is_of_the_build(&version) {
        let found = format!("{} ({})", vendor::short(&version), bound.display());
        return Err(CommError::OtherMpi { built, found });
    }
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
        let found = format!("{} beside {}", names.join(", "), bound.display());
        return Err(CommError::OtherMpi { built, found });
    }
    Ok(())
}

fn library_version() -> String {
    let mut text = vec![0u8; 1 << 14];
    let mut len: c_int = 0;
    // SAFETY: may be called at any time; the buffer is larger than MPI_MAX_LIBRARY_VERSION_STRING of every MPI (8192).
    unsafe { ffi::MPI_Get_library_version(text.as_mut_ptr().cast(), &mut len) };
    text.truncate(usize::try_from(len).unwrap_or(0));
    String::from_utf8_lossy(&text).trim_end_matches('\0').to_string()
}
