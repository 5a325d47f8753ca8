//! Tasks of plugins, by name and by id. All of it is local.

use std::ffi::c_char;

use super::translate::{self, invalid, put, run, text};
use super::types::*;
use crate::registry::Task;
use crate::task::TaskId;

fn give(task: &Task, plugin: &str) -> dlcast_task {
    // The plugin's own C strings: a NUL stands behind each.
    dlcast_task {
        id: task.id.bits(),
        plugin: super::stepping::last_name(plugin),
        name: task.entry.name.as_ptr().cast(),
        signature: task.entry.signature.as_ptr().cast(),
        function: task.entry.function.as_ptr(),
    }
}

/// Finds a task by the names of plugin and task. Local.
///
/// # Safety
/// `plugin` and `name` are C strings; `task` points to a dlcast_task.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_task_find(
    session: dlcast_session,
    plugin: *const c_char,
    name: *const c_char,
    task: *mut dlcast_task,
) -> dlcast_status {
    run(|| {
        // SAFETY: as this function asks.
        let (plugin, name) = unsafe { (text(plugin, "plugin")?, text(name, "name")?) };
        let session = translate::session(session, -1.0)?;
        let found = session.tasks().find(plugin, name).map_err(|error| invalid(error.to_string()))?;
        // SAFETY: as this function asks.
        unsafe { put(task, give(&found, plugin), "task")? };
        Ok(DLCAST_OK)
    })
}

/// Finds a task by its id, which is the same on every rank. Local. A stale id is DLCAST_INVALID.
///
/// # Safety
/// `task` points to a dlcast_task.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlcast_task_get(session: dlcast_session, id: u64, task: *mut dlcast_task) -> dlcast_status {
    run(|| {
        let session = translate::session(session, -1.0)?;
        let tasks = session.tasks();
        let found = tasks.get(TaskId::from_bits(id)).map_err(|error| invalid(error.to_string()))?;
        let plugin = tasks.plugins().find(|(number, ..)| *number == found.id.plugin()).map_or("", |(_, name, ..)| name);
        // SAFETY: as this function asks.
        unsafe { put(task, give(&found, plugin), "task")? };
        Ok(DLCAST_OK)
    })
}

/// Leaves the loaded plugins in dlcast_last_report: {"plugins": [{"number", "name", "version", "tasks"}]}. Local.
#[unsafe(no_mangle)]
pub extern "C" fn dlcast_plugins(session: dlcast_session) -> dlcast_status {
    run(|| {
        let session = translate::session(session, -1.0)?;
        let tasks = session.tasks();
        let plugins = tasks.plugins().map(|(number, name, version, tasks)| {
            serde_json::json!({ "number": number, "name": name, "version": version, "tasks": tasks })
        });
        translate::leave_report(&serde_json::json!({ "plugins": plugins.collect::<Vec<_>>() }));
        Ok(DLCAST_OK)
    })
}
