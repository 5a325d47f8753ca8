//! MPI comes up and goes down: the hooks of MPI_Init, MPI_Init_thread and MPI_Finalize in C, and what Fortran's share with them.
//!
//! The service needs MPI_THREAD_MULTIPLE. MPI_Init is therefore made with MPI_Init_thread where both next definitions belong to one
//! library; a profiling tool that wraps only MPI_Init is called as MPI_Init, and the level is asked for by the environment. The
//! program is told what MPI provides. MPI_Session_init is not seen.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr;

use crate::state::{self, State};
use crate::{early, engine, environment, fork, guard, next, say, thread, waiting};

/// MPI_SUCCESS of every MPI.
pub const SUCCESS: c_int = 0;

type Arguments = *mut *mut *mut c_char;
type Init = unsafe extern "C" fn(*mut c_int, Arguments) -> c_int;
type InitThread = unsafe extern "C" fn(*mut c_int, Arguments, c_int, *mut c_int) -> c_int;
type Finalize = unsafe extern "C" fn() -> c_int;

/// `MPI_Init`.
///
/// # Safety
/// As MPI_Init.
#[unsafe(no_mangle)]
unsafe extern "C" fn MPI_Init(argc: *mut c_int, argv: Arguments) -> c_int {
    // SAFETY: promised by the program.
    unsafe { init(c"MPI_Init", c"MPI_Init_thread", argc, argv) }
}

/// `PMPI_Init`, by which a profiling tool that was preloaded before the shim goes on.
///
/// # Safety
/// As MPI_Init.
#[unsafe(no_mangle)]
unsafe extern "C" fn PMPI_Init(argc: *mut c_int, argv: Arguments) -> c_int {
    // SAFETY: promised by the program.
    unsafe { init(c"PMPI_Init", c"PMPI_Init_thread", argc, argv) }
}

/// `MPI_Init_thread`.
///
/// # Safety
/// As MPI_Init_thread.
#[unsafe(no_mangle)]
unsafe extern "C" fn MPI_Init_thread(
    argc: *mut c_int,
    argv: Arguments,
    required: c_int,
    provided: *mut c_int,
) -> c_int {
    // SAFETY: promised by the program.
    unsafe { init_thread(c"MPI_Init_thread", argc, argv, required, provided) }
}

/// `PMPI_Init_thread`, see [`PMPI_Init`].
///
/// # Safety
/// As MPI_Init_thread.
#[unsafe(no_mangle)]
unsafe extern "C" fn PMPI_Init_thread(
    argc: *mut c_int,
    argv: Arguments,
    required: c_int,
    provided: *mut c_int,
) -> c_int {
    // SAFETY: promised by the program.
    unsafe { init_thread(c"PMPI_Init_thread", argc, argv, required, provided) }
}

/// `MPI_Finalize`.
///
/// # Safety
/// As MPI_Finalize.
#[unsafe(no_mangle)]
unsafe extern "C" fn MPI_Finalize() -> c_int {
    // SAFETY: promised by the program.
    unsafe { finalize(c"MPI_Finalize") }
}

/// `PMPI_Finalize`, see [`PMPI_Init`].
///
/// # Safety
/// As MPI_Finalize.
#[unsafe(no_mangle)]
unsafe extern "C" fn PMPI_Finalize() -> c_int {
    // SAFETY: promised by the program.
    unsafe { finalize(c"PMPI_Finalize") }
}

unsafe fn init(name: &CStr, threaded: &CStr, argc: *mut c_int, argv: Arguments) -> c_int {
    coming_up(|| match Call::of(name, threaded) {
        // SAFETY: MPI_Init's type and the program's arguments.
        Call::Plain(next) => with_level(|| unsafe { transmute::<*mut c_void, Init>(next)(argc, argv) }),
        Call::Threaded(next) => {
            let mut provided = 0;
            // SAFETY: MPI_Init_thread's type and the program's arguments.
            unsafe { transmute::<*mut c_void, InitThread>(next)(argc, argv, multiple(next), &raw mut provided) }
        }
    })
}

unsafe fn init_thread(name: &CStr, argc: *mut c_int, argv: Arguments, required: c_int, provided: *mut c_int) -> c_int {
    coming_up(|| {
        let next = definition(name);
        let required = if is_raising() { multiple(next) } else { required };
        // SAFETY: MPI_Init_thread's type and the program's arguments.
        unsafe { transmute::<*mut c_void, InitThread>(next)(argc, argv, required, provided) }
    })
}

unsafe fn finalize(name: &CStr) -> c_int {
    going_down();
    // SAFETY: MPI_Finalize's type.
    unsafe { transmute::<*mut c_void, Finalize>(definition(name))() }
}

/// How to call an MPI_Init.
pub enum Call {
    /// As it stands.
    Plain(*mut c_void),
    /// With a thread level.
    Threaded(*mut c_void),
}

impl Call {
    /// The next definition of `init`, or that of `init_thread` in its place.
    pub fn of(init: &CStr, init_thread: &CStr) -> Self {
        let plain = definition(init);
        if !is_raising() {
            return Self::Plain(plain);
        }
        let threaded = next::definition(init_thread, ptr::null());
        if !threaded.is_null() && next::is_same_object(plain, threaded) {
            Self::Threaded(threaded)
        } else {
            Self::Plain(plain)
        }
    }
}

/// The next definition; without one the program would not have come so far.
pub fn definition(name: &CStr) -> *mut c_void {
    let found = next::definition(name, ptr::null());
    if found.is_null() {
        say::die_undefined(name);
    }
    found
}

/// Whether this is a first MPI_Init.
pub fn is_raising() -> bool {
    state::get() == State::Early
}

/// MPI_THREAD_MULTIPLE of the MPI that a definition belongs to: that of the standard's ABI has another value.
pub fn multiple(definition: *const c_void) -> c_int {
    let file = crate::objects::LinkMap::of(definition).map_or(c"", |map| map.name()).to_bytes();
    let name = file.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.starts_with(b"libmpi_abi.so") { 4096 } else { 3 }
}

/// Around an MPI_Init: the outermost one that succeeds brings the engine up.
pub fn coming_up(init: impl FnOnce() -> c_int) -> c_int {
    let thread = thread::this();
    thread.starting.set(thread.starting.get() + 1);
    let code = init();
    if code == SUCCESS && thread.starting.get() == 1 && state::advance(State::Early, State::Starting) {
        start();
    }
    thread.starting.set(thread.starting.get() - 1);
    code
}

/// Before an MPI_Finalize.
pub fn going_down() {
    if let (State::Eager | State::Deferred, Some(engine)) = (state::get(), engine::get()) {
        // SAFETY: the engine's function.
        unsafe { (engine.stop)() };
        state::retire();
    }
}

/// Calls an MPI_Init as it stands; a first one with the variables by which Open MPI's and MPICH's take a thread level.
pub fn with_level(init: impl FnOnce() -> c_int) -> c_int {
    if !is_raising() {
        return init();
    }
    const LEVELS: [(&CStr, &CStr); 2] =
        [(c"OMPI_MPI_THREAD_LEVEL", c"3"), (c"MPIR_CVAR_DEFAULT_THREAD_LEVEL", c"MPI_THREAD_MULTIPLE")];
    let before = LEVELS.map(|(name, _)| environment::value(name));
    for (name, level) in LEVELS {
        // SAFETY: C strings. MPI_Init is no place for other threads to change the environment.
        unsafe { libc::setenv(name.as_ptr(), level.as_ptr(), 1) };
    }
    let code = init();
    for ((name, _), before) in LEVELS.iter().zip(before) {
        // SAFETY: as above; what was there before was replaced, not freed.
        unsafe {
            match before {
                Some(value) => libc::setenv(name.as_ptr(), value.as_ptr(), 1),
                None => libc::unsetenv(name.as_ptr()),
            };
        }
    }
    code
}

/// MPI is up.
fn start() {
    environment::leave();
    fork::watch();
    guard::resolve();
    let is_serving = engine::open().is_some_and(|engine| {
        waiting::prepare();
        early::tell(engine);
        // SAFETY: the engine's function, which keeps `mark`: the shim is never unloaded.
        unsafe { (engine.start)(engine::mark) == 0 }
    });
    let is_deferred = environment::value(c"DLCAST_POLICY").is_some_and(|policy| policy == c"deferred");
    match (is_serving, is_deferred) {
        (true, false) => _ = state::advance(State::Starting, State::Eager),
        (true, true) => _ = state::advance(State::Starting, State::Deferred),
        (false, _) => state::retire(),
    }
}
