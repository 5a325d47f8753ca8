//! The hooks of dlopen, dlclose and dlerror.
//!
//! The hook of dlopen is no wrapper: wherever it can it jumps on into the next dlopen with the caller's return address still on the
//! stack, so that the caller's RUNPATH, `$ORIGIN`, the errors and the flags mean what they mean without it. Only where the program
//! has to wait for the other ranks is the library opened from here, after `cure` has made sure that it is the same one.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use crate::cure::{self, Route};
use crate::engine::Engine;
use crate::known::Key;
use crate::objects::LinkMap;
use crate::path::Path;
use crate::state::State;
use crate::{early, engine, next, owed, state, thread, waiting};

/// How the hook goes on, in the two registers that a pair is returned in.
#[repr(C)]
struct Decision {
    /// Where to jump with the arguments as they came; null: return.
    jump: *const c_void,
    /// What to return.
    handle: *mut c_void,
}

impl Decision {
    #[inline(always)]
    fn jump() -> Self {
        Self { jump: next::dlopen_address(), handle: ptr::null_mut() }
    }

    fn give(handle: *mut c_void) -> Self {
        Self { jump: ptr::null(), handle }
    }
}

/// `dlopen(3)`.
///
/// # Safety
/// As dlopen.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "sub rsp, 24",
        ".cfi_adjust_cfa_offset 24",
        "mov [rsp], rdi",
        "mov [rsp + 8], rsi",
        "mov rdx, [rsp + 24]",
        "call {decide}",
        "mov rdi, [rsp]",
        "mov rsi, [rsp + 8]",
        "add rsp, 24",
        ".cfi_adjust_cfa_offset -24",
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2:",
        "mov rax, rdx",
        "ret",
        ".cfi_endproc",
        decide = sym decide,
    )
}

/// `dlopen(3)`.
///
/// # Safety
/// As dlopen.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, #-32]!",
        ".cfi_adjust_cfa_offset 32",
        ".cfi_rel_offset x29, 0",
        ".cfi_rel_offset x30, 8",
        "mov x29, sp",
        "stp x0, x1, [sp, #16]",
        "mov x2, x30",
        "bl {decide}",
        "mov x16, x0",
        "mov x17, x1",
        "ldp x0, x1, [sp, #16]",
        "ldp x29, x30, [sp], #32",
        ".cfi_restore x29",
        ".cfi_restore x30",
        ".cfi_adjust_cfa_offset -32",
        "cbz x16, 2f",
        "br x16",
        "2:",
        "mov x0, x17",
        "ret",
        ".cfi_endproc",
        decide = sym decide,
    )
}

/// Takes no lock and allocates nothing as long as there is nothing to tell.
unsafe extern "C" fn decide(name: *const c_char, flags: c_int, caller: *const c_void) -> Decision {
    let state = state::get();
    // SAFETY: dlopen's name is a C string or null.
    if state == State::Inert || name.is_null() || unsafe { *name } == 0 || flags & libc::RTLD_NOLOAD != 0 {
        return Decision::jump();
    }
    let thread = thread::this();
    if thread.refused.get() != 0 {
        thread.refused.set(0);
    }
    // SAFETY: a C string.
    let key = unsafe { Key::of(name, flags, caller, state) };
    if key.is_some_and(Key::is_known) || engine::holds(caller) {
        return Decision::jump();
    }
    // SAFETY: dlopen's arguments.
    unsafe { tell(state, name, flags, caller, key) }
}

/// There is something to tell. Leaves errno as it is where the real dlopen comes after.
#[cold]
#[inline(never)]
unsafe fn tell(state: State, name: *const c_char, flags: c_int, caller: *const c_void, key: Option<Key>) -> Decision {
    // SAFETY: this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let decision = match (state, engine::get()) {
        (State::Early, _) => {
            // SAFETY: a C string.
            unsafe { early::note(name, flags) };
            if let Some(key) = key {
                key.learn();
            }
            Decision::jump()
        }
        // SAFETY: dlopen's arguments.
        (State::Eager, Some(engine)) => unsafe { open(engine, name, flags, caller, key) },
        // SAFETY: as above.
        (_, Some(engine)) => unsafe { defer(engine, name, flags, caller) },
        (_, None) => Decision::jump(),
    };
    if !decision.jump.is_null() {
        // SAFETY: as above.
        unsafe { *errno = before };
    }
    decision
}

/// What the layers have and this dlopen needs is open from now on. What a bare name means there, and nowhere else; the error is how the
/// dlopen ends where a layer's library cannot be opened.
unsafe fn first(
    engine: &Engine,
    name: *const c_char,
    is_bare: impl FnOnce() -> bool,
) -> Result<Option<Path>, Decision> {
    let mut refused = 0;
    // SAFETY: the engine's function; a C string.
    let meant = unsafe { (engine.first)(name, &raw mut refused) };
    if refused != 0 {
        next::dlerror();
        thread::this().refused.set(1);
        return Err(Decision::give(ptr::null_mut()));
    }
    if meant.is_null() || !is_bare() {
        return Ok(None);
    }
    // SAFETY: a C string until the engine is called again.
    Ok(Path::copy(unsafe { CStr::from_ptr(meant) }.to_bytes()))
}

/// The caller opens it, and the engine finds it.
unsafe fn defer(engine: &Engine, name: *const c_char, flags: c_int, caller: *const c_void) -> Decision {
    // SAFETY: dlopen's arguments.
    let route = unsafe { cure::route(name, caller) };
    let path = route.path(name);
    // SAFETY: a C string.
    let meant = unsafe { first(engine, path, || matches!(route, Route::AsNamed)) };
    let meant = match meant {
        Ok(Some(meant)) => meant,
        Ok(None) => return announce(engine, name, flags),
        Err(end) => return end,
    };
    announce(engine, meant.as_ptr(), flags);
    // SAFETY: what the program asked for.
    Decision::give(unsafe { opened_here(meant.as_ptr(), flags) })
}

/// Opens it in the caller's place.
///
/// # Safety
/// As dlopen.
unsafe fn opened_here(path: *const c_char, flags: c_int) -> *mut c_void {
    let thread = thread::this();
    thread.opening.set(thread.opening.get() + 1);
    // SAFETY: promised by the caller.
    let handle = unsafe { next::dlopen(path, flags) };
    thread.opening.set(thread.opening.get() - 1);
    handle
}

/// The real dlopen follows: the engine will find what it opened, and knows the flags.
fn announce(engine: &Engine, name: *const c_char, flags: c_int) -> Decision {
    // SAFETY: the engine's function; a C string.
    unsafe { (engine.opening)(name, flags) };
    next::dlerror();
    Decision::jump()
}

/// Opens what the caller would have opened, and tells.
unsafe fn open(
    engine: &Engine,
    name: *const c_char,
    flags: c_int,
    caller: *const c_void,
    key: Option<Key>,
) -> Decision {
    // SAFETY: a C string, and the address of the call.
    let route = unsafe { cure::route(name, caller) };
    let path = route.path(name);
    // SAFETY: a C string.
    let meant = match unsafe { first(engine, path, || matches!(route, Route::AsNamed)) } {
        Ok(meant) => meant,
        Err(end) => return end,
    };
    let path = match (&meant, &route) {
        (Some(meant), _) => meant.as_ptr(),
        (None, Route::OfCaller) => return announce(engine, name, flags),
        (None, _) => path,
    };
    // SAFETY: what the program asked for.
    let handle = unsafe { opened_here(path, flags) };
    if handle.is_null() && meant.is_some() {
        // The caller would not find it at all.
        return Decision::give(handle);
    }
    if handle.is_null() {
        // Once more, by the caller: the error is the program's own.
        return Decision::jump();
    }
    // SAFETY: open, and closed below at the earliest.
    let Some(map) = (unsafe { LinkMap::behind(handle) }) else {
        return Decision::give(handle);
    };
    let may_wait = c_int::from(waiting::is_allowed());
    // SAFETY: the engine's function; the record's name is a C string.
    let answer = unsafe { (engine.opened)(map.name().as_ptr(), flags, may_wait) };
    if answer == engine::REFUSED {
        // SAFETY: nobody else has this handle.
        unsafe { next::dlclose(handle) };
        next::dlerror();
        thread::this().refused.set(1);
        return Decision::give(ptr::null_mut());
    }
    // A name that the loader does not know has to come by here each time.
    if let (engine::EVERYWHERE, Some(key), None) = (answer, key, &meant) {
        key.learn();
    }
    next::dlerror();
    // The loader remembers under which names an object was asked for, and takes it for whatever is asked for by them. A path from
    // here would not be remembered as the bare name: where the object does not bear it as SONAME, the caller asks once more itself.
    if let Route::At(_) = route {
        // SAFETY: a C string.
        let name = unsafe { CStr::from_ptr(name) };
        if map.soname() != Some(name) && owed::owe(handle) {
            return Decision::jump();
        }
    }
    Decision::give(handle)
}

/// `dlclose(3)`: with the program's last handle goes ours.
///
/// # Safety
/// As dlclose.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: the shim's own handles, opened once more than the program knows.
    owed::pay(handle, || unsafe {
        next::dlclose(handle);
    });
    // SAFETY: promised by the program.
    unsafe { next::dlclose(handle) }
}

/// `dlerror(3)`: tells what failed elsewhere, if that made the last dlopen fail.
#[unsafe(no_mangle)]
extern "C" fn dlerror() -> *mut c_char {
    let thread = thread::this();
    if let (1.., Some(engine)) = (thread.refused.get(), engine::get()) {
        thread.refused.set(0);
        // SAFETY: the engine's function: a C string, for this thread.
        return unsafe { (engine.last_error)() }.cast_mut();
    }
    next::dlerror()
}
