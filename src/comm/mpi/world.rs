//! Is MPI up, is it the MPI that dlcast was built with, may this thread call it, and who finalises it?

use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use mpi::ffi;

use super::call::check;
use crate::comm::CommError;

/// "Open MPI 4.1.4" or "MPICH 5.0.2": what build.rs found in mpi.h.
const BUILT_WITH: &str = env!("DLCAST_BUILT_MPI");
/// The file that the build linked against.
const BUILT_FILE: &str = env!("DLCAST_BUILT_MPI_FILE");

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

/// MPI is up after this. Where nobody has initialised it, dlcast does, with MPI_THREAD_MULTIPLE, and finalises it at exit.
pub fn bring_up() -> Result<(), CommError> {
    static ONE: Mutex<()> = Mutex::new(());
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
        // SAFETY: null arguments are allowed; nobody has initialised MPI, and the lock keeps a second thread away.
        check("MPI_Init_thread", unsafe {
            ffi::MPI_Init_thread(std::ptr::null_mut(), std::ptr::null_mut(), ffi::RSMPI_THREAD_MULTIPLE, &mut provided)
        })?;
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
    ffi::MPI_Init as *const () as usize
}

/// Refuses another MPI than the one of the build: `bound` is the file that holds [`address`], `mapped` every file in the
/// process.
pub fn refuse_other_mpi(bound: Option<PathBuf>, mapped: &[PathBuf]) -> Result<(), CommError> {
    let bound = bound.unwrap_or_default();
    let real = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let mut others: Vec<&PathBuf> = mapped.iter().filter(|path| is_mpi(path) && real(path) != real(&bound)).collect();
    others.dedup();
    let version = library_version();
    let built = format!("{BUILT_WITH} ({BUILT_FILE})");
    if !same_mpi(&version) {
        let found = format!("{} ({})", first_line(&version), bound.display());
        return Err(CommError::OtherMpi { built, found });
    }
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
        let found = format!("{} beside {}", names.join(", "), bound.display());
        return Err(CommError::OtherMpi { built, found });
    }
    Ok(())
}

/// The C library of an MPI by its file name: libmpi.so.40, libmpich.so.12, libmpi_cray.so.12; not libmpi_mpifh.
pub fn is_mpi(path: &std::path::Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let stem = name.split(".so").next().unwrap_or("");
    // auditwheel puts a hash behind the name: libmpi-1a2b3c4d.so.40.
    let stem = stem.split('-').next().unwrap_or(stem);
    name.contains(".so") && matches!(stem, "libmpi" | "libmpich" | "libmpi_cray" | "libmpi_gnu" | "libmpi_intel")
}

fn library_version() -> String {
    let mut text = vec![0u8; 1 << 14];
    let mut len: c_int = 0;
    // SAFETY: may be called at any time; the buffer is larger than MPI_MAX_LIBRARY_VERSION_STRING of every MPI (8192).
    unsafe { ffi::MPI_Get_library_version(text.as_mut_ptr().cast(), &mut len) };
    text.truncate(usize::try_from(len).unwrap_or(0));
    String::from_utf8_lossy(&text).trim_end_matches('\0').to_string()
}

fn first_line(text: &str) -> &str {
    text.split(['\n', ',']).next().unwrap_or("").trim()
}

/// Vendor and major version are those of the build: an MPI keeps its ABI within a major version.
fn same_mpi(version: &str) -> bool {
    let words = |text: &str| -> (Option<String>, Option<String>) {
        let vendor = ["Open MPI", "MPICH"].into_iter().find(|vendor| text.contains(vendor)).map(String::from);
        let major = text
            .split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
            .and_then(|word| word.split('.').next().map(String::from));
        (vendor, major)
    };
    let (built, found) = (words(BUILT_WITH), words(version));
    // A vendor that this file does not know gets the benefit of the doubt: the linker found its symbols.
    built.0.is_none() || found.0.is_none() || built == found
}

/// "Open MPI 4.1.4": for people.
pub fn built_with() -> &'static str {
    BUILT_WITH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_of_an_mpi_is_known_by_name() {
        for name in ["libmpi.so", "libmpi.so.40.30.4", "libmpich.so.12", "libmpi-1a2b3c.so.40"] {
            assert!(is_mpi(&PathBuf::from("/opt/lib").join(name)), "{name}");
        }
        for name in ["libmpi_mpifh.so.40", "libmpi_cxx.so", "libmpiwrapper.so", "libmpi.txt"] {
            assert!(!is_mpi(&PathBuf::from(name)), "{name}");
        }
    }
}
