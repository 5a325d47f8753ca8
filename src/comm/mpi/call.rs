//! One MPI call, its return code checked, under the lock that MPI's thread level asks for.

use std::ffi::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mpi::ffi;

use crate::comm::CommError;
use crate::wire::{MOST_BYTES, WireError};

/// An error code of MPI as an error.
pub fn check(call: &'static str, code: c_int) -> Result<(), CommError> {
    if code == ffi::MPI_SUCCESS as c_int {
        return Ok(());
    }
    let mut text = vec![0u8; 4096];
    let mut len: c_int = 0;
    // SAFETY: the buffer is larger than MPI_MAX_ERROR_STRING of every MPI (256 to 1024), which is what MPI may write.
    let said = unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast(), &mut len) };
    let known = said == ffi::MPI_SUCCESS as c_int;
    text.truncate(if known { usize::try_from(len).unwrap_or(0) } else { 0 });
    let text = if known { String::from_utf8_lossy(&text).into_owned() } else { "unknown error".into() };
    Err(CommError::Mpi { call, code, text })
}

/// A count as MPI takes it: a C int.
pub fn count(len: usize) -> Result<c_int, CommError> {
    if len > MOST_BYTES {
        return Err(WireError::TooLarge(len).into());
    }
    // MOST_BYTES is below i32::MAX.
    c_int::try_from(len).map_err(|_| WireError::TooLarge(len).into())
}

/// A non-blocking operation under way.
pub struct Request(ffi::MPI_Request);

impl Request {
    pub fn null() -> Self {
        // SAFETY: reads a constant that rsmpi's C shim defines.
        Request(unsafe { ffi::RSMPI_REQUEST_NULL })
    }

    /// Nothing under way, or complete.
    pub fn is_null(&self) -> bool {
        // SAFETY: reads a constant.
        self.0 == unsafe { ffi::RSMPI_REQUEST_NULL }
    }

    pub fn as_mut(&mut self) -> *mut ffi::MPI_Request {
        &mut self.0
    }

    /// Whether it is complete; moves MPI on.
    pub fn test(&mut self) -> Result<bool, CommError> {
        let mut flag: c_int = 0;
        // SAFETY: the request is one that MPI gave, or null; MPI_STATUS_IGNORE is a constant of rsmpi's shim.
        check("MPI_Test", unsafe { ffi::MPI_Test(&mut self.0, &mut flag, ffi::RSMPI_STATUS_IGNORE) })?;
        Ok(flag != 0)
    }
}

/// Sends `bytes`; the caller keeps them alive until the request is complete.
pub fn isend(comm: ffi::MPI_Comm, to: u32, tag: c_int, bytes: &[u8]) -> Result<Request, CommError> {
    let mut request = Request::null();
    let (len, to) = (count(bytes.len())?, count(to as usize)?);
    // SAFETY: `bytes` holds `len` bytes; that it outlives the request is the caller's duty, kept by Tree and Notes.
    check("MPI_Isend", unsafe {
        ffi::MPI_Isend(bytes.as_ptr().cast::<c_void>(), len, ffi::RSMPI_UINT8_T, to, tag, comm, request.as_mut())
    })?;
    Ok(request)
}

/// A message that has arrived: matched, so that nobody else can receive it, and being received.
pub struct Incoming {
    pub from: u32,
    pub bytes: Vec<u8>,
    pub request: Request,
}

/// Looks for a message and starts to receive it. `from` None: from any rank.
pub fn improbe(comm: ffi::MPI_Comm, from: Option<u32>, tag: c_int) -> Result<Option<Incoming>, CommError> {
    let mut flag: c_int = 0;
    let mut status = std::mem::MaybeUninit::<ffi::MPI_Status>::zeroed();
    // SAFETY: reads a constant of rsmpi's shim.
    let any = unsafe { ffi::RSMPI_ANY_SOURCE };
    let source = from.map_or(Ok(any), |rank| count(rank as usize))?;
    // SAFETY: a constant again; it is overwritten when there is a message.
    let mut message = unsafe { ffi::RSMPI_MESSAGE_NULL };
    // SAFETY: all pointers are to locals.
    check("MPI_Improbe", unsafe { ffi::MPI_Improbe(source, tag, comm, &mut flag, &mut message, status.as_mut_ptr()) })?;
    if flag == 0 {
        return Ok(None);
    }
    // SAFETY: it was zeroed, which is a valid MPI_Status (integers), and MPI has filled it in.
    let status = unsafe { status.assume_init() };
    let mut len: c_int = 0;
    // SAFETY: `status` belongs to the message of bytes that was just matched.
    check("MPI_Get_count", unsafe { ffi::MPI_Get_count(&status, ffi::RSMPI_UINT8_T, &mut len) })?;
    let len = usize::try_from(len).unwrap_or(0);
    let mut bytes = vec![0u8; len];
    let mut request = Request::null();
    // SAFETY: the buffer has the size of the message, and moves into Incoming with the request (a vector's bytes stay
    // where they are).
    check("MPI_Imrecv", unsafe {
        ffi::MPI_Imrecv(bytes.as_mut_ptr().cast(), count(len)?, ffi::RSMPI_UINT8_T, &mut message, request.as_mut())
    })?;
    Ok(Some(Incoming { from: u32::try_from(status.MPI_SOURCE).unwrap_or(0), bytes, request }))
}

/// Rank and size of a communicator.
pub fn rank_and_size(comm: ffi::MPI_Comm) -> Result<(u32, u32), CommError> {
    let (mut rank, mut size): (c_int, c_int) = (0, 0);
    // SAFETY: pointers to locals; the communicator is valid by the caller's word.
    check("MPI_Comm_rank", unsafe { ffi::MPI_Comm_rank(comm, &mut rank) })?;
    // SAFETY: as above.
    check("MPI_Comm_size", unsafe { ffi::MPI_Comm_size(comm, &mut size) })?;
    Ok((u32::try_from(rank).unwrap_or(0), u32::try_from(size).unwrap_or(1)))
}

/// Frees a communicator of dlcast's own; an error is of no use to anybody by then.
pub fn free(comm: &mut ffi::MPI_Comm) {
    // SAFETY: the handle is dlcast's own and is not used afterwards.
    let _code = unsafe { ffi::MPI_Comm_free(comm) };
}

unsafe extern "C" fn return_errors(_comm: *mut ffi::MPI_Comm, _code: *mut c_int) {}

/// Lets a communicator return error codes instead of ending the job. (MPI_ERRORS_RETURN is a macro that bindgen cannot
/// read in every MPI; a handler that does nothing is the same.)
pub fn return_errors_on(comm: ffi::MPI_Comm) -> Result<(), CommError> {
    static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);
    struct Handler(ffi::MPI_Errhandler);
    // SAFETY: a handle is a plain value; it is used under the mutex.
    unsafe impl Send for Handler {}
    let mut handler: MutexGuard<'_, Option<Handler>> = HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
    if handler.is_none() {
        let mut made = std::mem::MaybeUninit::<ffi::MPI_Errhandler>::zeroed();
        let function: unsafe extern "C" fn(*mut ffi::MPI_Comm, *mut c_int) = return_errors;
        // SAFETY: MPI's type has variadic arguments behind these two, which the function does not read: the C calling
        // convention lets a callee ignore them.
        let function: ffi::MPI_Comm_errhandler_function = unsafe { std::mem::transmute(function) };
        // SAFETY: the function is never unloaded before MPI is finalised; `made` is a local.
        check("MPI_Comm_create_errhandler", unsafe { ffi::MPI_Comm_create_errhandler(function, made.as_mut_ptr()) })?;
        // SAFETY: MPI has written the handle.
        *handler = Some(Handler(unsafe { made.assume_init() }));
    }
    if let Some(handler) = &*handler {
        // SAFETY: both handles are valid.
        check("MPI_Comm_set_errhandler", unsafe { ffi::MPI_Comm_set_errhandler(comm, handler.0) })?;
    }
    Ok(())
}
