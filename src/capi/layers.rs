//! The layers of a stack.

use std::ffi::c_char;
use std::path::Path;

use super::translate::{invalid, run, session_to_call, text};
use super::types::*;
use crate::session::Session;

/// From now on, what dlcast opens on any rank finds the libraries that it needs in the layers of a stack. Collective: every
/// rank calls it; rank 0 reads the stack and looks at the layers. In service mode one rank calls. stack: a stack.toml, a
/// venvstacks.toml, or a folder that holds one of them. DLCAST_UNDONE with what is wrong with it.
///
/// # Safety
/// `stack` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_layers_activate(
    session: dlcast_session,
    stack: *const c_char,
    timeout: f64,
) -> dlcast_status {
    run(|| {
        let (session, sound) = session_to_call(session, timeout)?;
        // SAFETY: as this function asks.
        let stack = sound.and_then(|()| unsafe { text(stack, "stack") });
        session.activate_layers_or(stack.map(Path::new))?;
        Ok(DLCAST_OK)
    })
}

/// Opens what the active layers have and the object at a path needs, before the program opens that itself. Local, and without MPI. What
/// dlcast opens, and what a program under `dlcast run` opens, has this done for it. DLCAST_INVALID with what cannot be opened.
///
/// # Safety
/// `path` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_layers_open_needs(path: *const c_char) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let path = unsafe { text(path, "path")? };
        Session::open_needs(path).map_err(invalid)?;
        Ok(DLCAST_OK)
    })
}

/// As dlcast_layers_activate, for a plan that is there: what `dlcast layers plan` has printed. Local, and without MPI.
///
/// # Safety
/// `plan` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_layers_install(plan: *const c_char) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let plan = unsafe { text(plan, "plan")? };
        Session::install_layers(plan).map_err(|error| invalid(error.to_string()))?;
        Ok(DLCAST_OK)
    })
}
