//! The communicator that the user gave: checked, duplicated without blocking, and the place where its session is cached.
//!
//! What is cached is a number; this file does not know sessions.

use std::ffi::{c_int, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use mpi::ffi;
use mpi::raw::AsRaw;

use super::RawComm;
use super::call::{Request, check, return_errors_on};
use crate::comm::CommError;

/// A communicator of the program: never freed, never changed but for the attribute under which its session is cached.
#[derive(Clone, Copy, PartialEq)]
pub struct UserComm(ffi::MPI_Comm);

// SAFETY: an MPI handle is a plain value.
unsafe impl Send for UserComm {}

impl<C: AsRaw<Raw = ffi::MPI_Comm>> From<&C> for UserComm {
    fn from(comm: &C) -> Self {
        UserComm(comm.as_raw())
    }
}

impl UserComm {
    /// MPI_COMM_WORLD.
    pub fn world() -> Self {
        // SAFETY: reads a constant of rsmpi's shim.
        UserComm(unsafe { ffi::RSMPI_COMM_WORLD })
    }

    /// From a Fortran handle, as mpi4py's `py2f` and C's `MPI_Comm_c2f` give it.
    pub fn from_fortran(handle: i32) -> Self {
        // SAFETY: MPI_Comm_f2c takes any integer; one that is no communicator gives a null handle or an error later.
        UserComm(unsafe { ffi::MPI_Comm_f2c(handle) })
    }

    pub(super) fn raw(self) -> ffi::MPI_Comm {
        self.0
    }

    /// Sessions live on intracommunicators.
    pub fn check(self) -> Result<(), CommError> {
        // SAFETY: reads a constant.
        if self.0 == unsafe { ffi::RSMPI_COMM_NULL } {
            return Err(CommError::NotIntra("the null communicator"));
        }
        let mut flag: c_int = 0;
        // SAFETY: the handle is the user's; the pointer is to a local.
        check("MPI_Comm_test_inter", unsafe { ffi::MPI_Comm_test_inter(self.0, &mut flag) })?;
        if flag != 0 { Err(CommError::NotIntra("an intercommunicator")) } else { Ok(()) }
    }

    /// Whether it has the ranks of MPI_COMM_WORLD in its order or another.
    pub fn spans_world(self) -> bool {
        let mut result: c_int = 0;
        // SAFETY: both handles are valid communicators.
        let code = unsafe { ffi::MPI_Comm_compare(self.0, ffi::RSMPI_COMM_WORLD, &mut result) };
        // SAFETY: reads a constant.
        code == ffi::MPI_SUCCESS as c_int && result != unsafe { ffi::RSMPI_UNEQUAL }
    }

    /// What a rank of this communicator is in MPI_COMM_WORLD; none for one of another world, which the program joined. Local.
    pub fn in_world(self, rank: u32) -> Option<u32> {
        let (own, world) = (Group::of(self.0)?, Group::of(UserComm::world().0)?);
        let rank = c_int::try_from(rank).ok()?;
        // MPI_UNDEFINED is negative, too.
        let mut there: c_int = -1;
        // SAFETY: both groups are valid, the rank is one of the communicator by the caller's word, and the pointers are to
        // one number each.
        let code = unsafe { ffi::MPI_Group_translate_ranks(own.0, 1, &rank, world.0, &mut there) };
        (code == ffi::MPI_SUCCESS as c_int).then(|| u32::try_from(there).ok())?
    }
}

/// The ranks of a communicator, freed at the end.
struct Group(ffi::MPI_Group);

impl Group {
    fn of(comm: ffi::MPI_Comm) -> Option<Group> {
        let mut group = std::mem::MaybeUninit::<ffi::MPI_Group>::zeroed();
        // SAFETY: the communicator is valid by the caller's word; the pointer is to a local.
        let code = unsafe { ffi::MPI_Comm_group(comm, group.as_mut_ptr()) };
        // SAFETY: a zeroed handle is a valid value of its type, and MPI has written it.
        (code == ffi::MPI_SUCCESS as c_int).then(|| Group(unsafe { group.assume_init() }))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the handle came from MPI_Comm_group and is not used afterwards.
        let _code = unsafe { ffi::MPI_Group_free(&mut self.0) };
    }
}

/// MPI_Ibarrier under way on the user's communicator: has every rank called attach?
///
/// An MPI_Comm_idup that was given up can crash in MPI_Finalize (Open MPI 4.1.4: its progress function outlives the
/// component that it calls); a barrier that was given up does not. So the barrier goes first.
pub struct Presence(Request);

impl Presence {
    /// Starts it; collective over the communicator.
    pub fn start(comm: UserComm) -> Result<Self, CommError> {
        let mut request = Request::null();
        // SAFETY: there is no buffer; the handle is the user's.
        check("MPI_Ibarrier", unsafe { ffi::MPI_Ibarrier(comm.0, request.as_mut()) })?;
        Ok(Presence(request))
    }

    /// Whether every rank has started it.
    pub fn test(&mut self) -> Result<Option<()>, CommError> {
        Ok(self.0.test()?.then_some(()))
    }
}

/// MPI_Comm_idup under way: unlike MPI_Comm_dup it can be given up.
pub struct Duplicate {
    // Boxed: MPI writes the handle when the operation completes, perhaps long after it was given up.
    new: Box<ffi::MPI_Comm>,
    request: Request,
}

impl Duplicate {
    /// Starts it; collective over the communicator.
    pub fn start(comm: UserComm) -> Result<Self, CommError> {
        // SAFETY: reads a constant.
        let mut new = Box::new(unsafe { ffi::RSMPI_COMM_NULL });
        let mut request = Request::null();
        // SAFETY: `new` stays where it is until the request is complete, or for ever (Drop).
        check("MPI_Comm_idup", unsafe { ffi::MPI_Comm_idup(comm.0, new.as_mut(), request.as_mut()) })?;
        Ok(Duplicate { new, request })
    }

    /// The same of a communicator of dlcast's own.
    pub fn of_own(comm: &super::MpiComm) -> Result<Self, CommError> {
        Self::start(UserComm(comm.raw()))
    }

    /// The new communicator, once every rank has called.
    pub fn test(&mut self) -> Result<Option<RawComm>, CommError> {
        if !self.request.test()? {
            return Ok(None);
        }
        let raw = std::mem::replace(self.new.as_mut(), UserComm::null());
        return_errors_on(raw)?;
        Ok(Some(RawComm(raw)))
    }
}

impl UserComm {
    fn null() -> ffi::MPI_Comm {
        // SAFETY: reads a constant.
        unsafe { ffi::RSMPI_COMM_NULL }
    }
}

impl Drop for Duplicate {
    fn drop(&mut self) {
        if !self.request.is_null() {
            // Given up: MPI may write the handle later.
            std::mem::forget(std::mem::replace(&mut self.new, Box::new(UserComm::null())));
        }
    }
}

/// Why a session's number is taken off: its communicator was freed, or MPI is being finalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Of the session with this number.
    Freed(u64),
    /// Of all.
    Finalized,
}

type Hook = fn(End);
static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Sets who is told when sessions end.
pub fn on_end(hook: Hook) {
    *HOOK.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
}

fn tell(end: End) {
    let hook = *HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hook) = hook {
        hook(end);
    }
}

/// A duplicate of the user's communicator gets a session of its own, so the number is not copied.
unsafe extern "C" fn copy_nothing(
    _comm: ffi::MPI_Comm,
    _key: c_int,
    _state: *mut c_void,
    _value: *mut c_void,
    _copy: *mut c_void,
    flag: *mut c_int,
) -> c_int {
    // SAFETY: MPI passes a valid pointer (MPI 4.1 section 7.7.2).
    unsafe { *flag = 0 };
    ffi::MPI_SUCCESS as c_int
}

unsafe extern "C" fn comm_freed(_: ffi::MPI_Comm, _: c_int, value: *mut c_void, _: *mut c_void) -> c_int {
    tell(End::Freed(value.addr() as u64));
    ffi::MPI_SUCCESS as c_int
}

/// MPI_Finalize frees MPI_COMM_SELF before anything else (MPI 4.1 section 11.2.4); an attribute on MPI_COMM_WORLD is not
/// taken down everywhere.
unsafe extern "C" fn self_freed(_: ffi::MPI_Comm, _: c_int, _: *mut c_void, _: *mut c_void) -> c_int {
    tell(End::Finalized);
    ffi::MPI_SUCCESS as c_int
}

fn make_key(freed: ffi::MPI_Comm_delete_attr_function) -> Result<c_int, CommError> {
    let mut key: c_int = 0;
    // SAFETY: the functions have MPI's types and live as long as the library, which is never unloaded.
    check("MPI_Comm_create_keyval", unsafe {
        ffi::MPI_Comm_create_keyval(Some(copy_nothing), freed, &mut key, std::ptr::null_mut())
    })?;
    Ok(key)
}

fn session_key() -> Result<c_int, CommError> {
    static KEY: OnceLock<Result<c_int, CommError>> = OnceLock::new();
    KEY.get_or_init(|| {
        let own = make_key(Some(self_freed))?;
        // SAFETY: MPI_COMM_SELF is a constant; the value is not read by anybody.
        check("MPI_Comm_set_attr", unsafe { ffi::MPI_Comm_set_attr(ffi::RSMPI_COMM_SELF, own, std::ptr::null_mut()) })?;
        make_key(Some(comm_freed))
    })
    .clone()
}

/// The number cached on a communicator. Local.
pub fn cached(comm: UserComm) -> Result<Option<u64>, CommError> {
    let key = session_key()?;
    let mut value: *mut c_void = std::ptr::null_mut();
    let mut flag: c_int = 0;
    // SAFETY: for a value set with MPI_Comm_set_attr, MPI stores the pointer itself at the address given.
    check("MPI_Comm_get_attr", unsafe { ffi::MPI_Comm_get_attr(comm.0, key, (&raw mut value).cast(), &mut flag) })?;
    Ok((flag != 0).then_some(value.addr() as u64))
}

/// Caches a number on a communicator. Local.
pub fn remember(comm: UserComm, number: u64) -> Result<(), CommError> {
    let key = session_key()?;
    // A number in a pointer's clothes: never dereferenced.
    let value = std::ptr::without_provenance_mut::<c_void>(number as usize);
    // SAFETY: the key is ours, and what is stored needs no care.
    check("MPI_Comm_set_attr", unsafe { ffi::MPI_Comm_set_attr(comm.0, key, value) })
}
