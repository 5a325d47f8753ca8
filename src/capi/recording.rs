//! Requests that are recorded: named, or seen while a block runs. All of it is local.

use std::collections::HashMap;
use std::ffi::c_char;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::translate::{self, invalid, put, run, text};
use super::types::*;
use crate::session::CallError;
use crate::session::record::Recording;

static HANDLES: AtomicI64 = AtomicI64::new(1);
static RECORDINGS: LazyLock<Mutex<HashMap<i64, Recording>>> = LazyLock::new(Mutex::default);

/// Records a library for the next round. Local: nothing is opened, nothing waited for.
///
/// # Safety
/// `path` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_record_library(
    session: dlcast_session,
    path: *const c_char,
    flags: i32,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let path = unsafe { text(path, "path")? };
        translate::session(session, -1.0)?.record_library(path, translate::flags(flags)?)?;
        Ok(DLCAST_OK)
    })
}

/// Records a Python module for the next round. Local.
///
/// # Safety
/// `module` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_record_module(session: dlcast_session, module: *const c_char) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let module = unsafe { text(module, "module")? };
        translate::session(session, -1.0)?.record_module(module)?;
        Ok(DLCAST_OK)
    })
}

/// Begins to observe which libraries are opened, by whomever: the difference of the link maps. Local.
///
/// # Safety
/// `recording` points to a dlcast_recording.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_recording_begin(
    session: dlcast_session,
    recording: *mut dlcast_recording,
) -> dlcast_status {
    run(|| {
        let begun = Recording::begin(&translate::session(session, -1.0)?);
        let handle = HANDLES.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as this function asks.
        unsafe { put(recording, handle, "recording")? };
        RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, begun);
        Ok(DLCAST_OK)
    })
}

fn with_recording(
    handle: dlcast_recording,
    body: impl FnOnce(&mut Recording) -> Result<(), CallError>,
) -> dlcast_status {
    run(|| {
        let mut recordings = RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner);
        let recording = recordings.get_mut(&handle).ok_or_else(|| invalid("no recording has this handle"))?;
        body(recording).map(|()| DLCAST_OK)
    })
}

/// An explicit dlopen whose flags are known.
///
/// # Safety
/// `path` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_recording_opened(
    recording: dlcast_recording,
    path: *const c_char,
    flags: i32,
) -> dlcast_status {
    with_recording(recording, |recording| {
        // SAFETY: as this function asks.
        let opened = unsafe { text(path, "path") }.and_then(|path| recording.opened(path, translate::flags(flags)?));
        // The program has opened it: what is wrong is that it cannot travel, which the round tells all ranks.
        opened.or_else(|error| {
            recording.refused(error.to_string());
            Ok(())
        })
    })
}

/// What is opened from here to the matching dlcast_recording_cover_end belongs to a module request.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_recording_cover_begin(recording: dlcast_recording) -> dlcast_status {
    with_recording(recording, |recording| {
        recording.cover_begin();
        Ok(())
    })
}

/// Ends what dlcast_recording_cover_begin began.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_recording_cover_end(recording: dlcast_recording) -> dlcast_status {
    with_recording(recording, |recording| {
        recording.cover_end();
        Ok(())
    })
}

/// A module that was imported while recording.
///
/// # Safety
/// `module` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_recording_module(recording: dlcast_recording, module: *const c_char) -> dlcast_status {
    // SAFETY: as this function asks.
    with_recording(recording, |recording| recording.module(unsafe { text(module, "module")? }))
}

/// Ends a recording. keep 1: what was seen is recorded for the next round; 0: forgotten.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_recording_end(recording: dlcast_recording, keep: i32) -> dlcast_status {
    run(|| {
        let ended = RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner).remove(&recording);
        let ended = ended.ok_or_else(|| invalid("no recording has this handle"))?;
        if keep != 0 {
            ended.end()?;
        }
        Ok(DLCAST_OK)
    })
}
