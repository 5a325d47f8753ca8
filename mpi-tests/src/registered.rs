//! What plugins have registered, as a program sees it: tasks that answer, ids, counts of constructors and callbacks.

use dlcast::Session;

use crate::process;

/// Calls the task `answer` of a plugin of `fixtures/plugin.c`.
///
/// # Panics
///
/// When there is no such task.
pub fn answer(session: &Session, plugin: &str) -> i32 {
    let task = session.tasks().find(plugin, "answer").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(task.entry.signature, "c:int32_t()");
    // SAFETY: what the signature says, and what the fixture defines.
    let function: extern "C" fn() -> i32 = unsafe { std::mem::transmute(task.entry.function.as_ptr()) };
    function()
}

/// Asserts that these plugins are registered, answer, and have run their constructors and callbacks once each.
///
/// # Panics
///
/// When they have not.
pub fn assert_registered_once(session: &Session, plugins: &[&str]) {
    for plugin in plugins {
        assert_eq!(answer(session, plugin), 42);
        let callbacks = process::constructed(&format!("{plugin}_callback"));
        assert_eq!((process::constructed(plugin), callbacks), (1, 1), "constructor and callback of {plugin}");
    }
}

/// All plugins and the ids of their tasks, as text to be compared.
pub fn ids(session: &Session) -> String {
    let tasks = session.tasks();
    let mut text = String::new();
    for (number, name, version, count) in tasks.plugins() {
        text.push_str(&format!("{number} {name} {version} {count}:"));
        for index in 0..count {
            let task = tasks.get(dlcast::TaskId::new(number, index)).expect("it is below the count");
            assert_eq!(tasks.find(name, task.entry.name).expect("its name finds it"), task);
            text.push_str(&format!(" {}={}", task.id, task.entry.name));
        }
        text.push('\n');
    }
    text
}
