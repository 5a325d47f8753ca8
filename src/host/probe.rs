//! Asks an MPI library what it is and which thread level it provides, by starting it here: for a process that does nothing else.
//!
//! MPI may print, crash, hang or end the process: who wants to know starts a child, and looks at it from outside.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;

/// The MPI's own words about itself; may be asked before MPI_Init.
///
/// # Errors
/// The loader's message, or what is missing.
pub fn version(mpi: &Path) -> Result<String, String> {
    type GetLibraryVersion = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
    let library = super::dl::open_mpi(mpi)?;
    // SAFETY: the type that the MPI standard gives the function.
    let get = unsafe { library.get::<GetLibraryVersion>(b"MPI_Get_library_version") }.map_err(|e| e.to_string())?;
    let mut text = vec![0u8; 1 << 14];
    let mut length: c_int = 0;
    // SAFETY: may be called at any time; the buffer is larger than MPI_MAX_LIBRARY_VERSION_STRING of every MPI (8192).
    let code = unsafe { get(text.as_mut_ptr().cast(), &mut length) };
    std::mem::forget(library);
    if code != 0 {
        return Err(format!("MPI_Get_library_version failed with code {code}"));
    }
    text.truncate(usize::try_from(length).unwrap_or(0));
    Ok(String::from_utf8_lossy(&text).trim_end_matches('\0').to_string())
}

/// Opens dlcast's engine as the shim does, with the MPI there already, and asks for the version of what it offers the shim.
///
/// # Errors
/// The loader's message, or what is missing.
pub fn engine(engine: &Path) -> Result<u32, String> {
    let library = super::dl::open_beside_mpi(engine)?;
    // SAFETY: the type that dlcast's capi gives the function.
    let version = unsafe { library.get::<unsafe extern "C" fn() -> u32>(b"dlcast_preload_version") };
    let version = version.map_err(|_| "offers the shim nothing: it is of another version of dlcast".to_string())?;
    // SAFETY: it may be called at any time.
    let version = unsafe { version() };
    std::mem::forget(library);
    Ok(version)
}

/// Starts MPI as a single process that asks for MPI_THREAD_MULTIPLE, tells `provided` the level, and ends it.
///
/// # Errors
/// What is missing, or which call failed.
pub fn thread_level(mpi: &Path, provided: impl FnOnce(c_int)) -> Result<(), String> {
    type InitThread = unsafe extern "C" fn(*mut c_int, *mut c_void, c_int, *mut c_int) -> c_int;
    type Finalize = unsafe extern "C" fn() -> c_int;
    /// The same number in every MPI, and fixed by MPI 5's ABI.
    const MULTIPLE: c_int = 3;
    let library = super::dl::open_mpi(mpi)?;
    // SAFETY: the types that the MPI standard gives the two functions.
    let functions =
        unsafe { (library.get::<InitThread>(b"MPI_Init_thread"), library.get::<Finalize>(b"MPI_Finalize")) };
    let (Ok(init), Ok(finalize)) = functions else { return Err("has no MPI_Init_thread, or no MPI_Finalize".into()) };
    let mut level: c_int = -1;
    // SAFETY: null arguments are allowed; nobody else is in this process.
    let code = unsafe { init(std::ptr::null_mut(), std::ptr::null_mut(), MULTIPLE, &mut level) };
    if code != 0 {
        return Err(format!("MPI_Init_thread failed with code {code}"));
    }
    provided(level);
    // SAFETY: MPI is up.
    let code = unsafe { finalize() };
    // Its threads may live on.
    std::mem::forget(library);
    if code == 0 { Ok(()) } else { Err(format!("MPI_Finalize failed with code {code}")) }
}
