//! Numbers, names, growth, and once.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::task::Function;

/// A table that grows.
struct Names(Vec<&'static str>, AtomicU32);

impl TaskTable for Names {
    fn len(&self) -> u32 {
        self.1.load(Ordering::Relaxed)
    }

    fn entry(&self, index: u32) -> Result<Entry, String> {
        let name = self.0[index as usize];
        if name.is_empty() {
            Err("its name is empty".into())
        } else {
            Ok(Entry { name, signature: "()", function: Function(1) })
        }
    }
}

fn table(names: &[&'static str]) -> Arc<Names> {
    Arc::new(Names(names.to_vec(), AtomicU32::new(names.len() as u32)))
}

fn identity(name: &str) -> Identity {
    Identity { name: name.into(), size: 1, build_id: None, digest: [name.len() as u8; 32] }
}

#[test]
fn a_number_is_never_given_twice_and_a_stale_id_is_an_error() {
    let mut registry = Registry::default();
    let first = registry.add("heat", "1", identity("libheat.so"), table(&["init", "step"]), 2);
    let id = registry.find("heat", "step").expect("it is there").id;
    assert_eq!(id, TaskId::new(first, 1));
    assert_eq!(registry.get(id).expect("it is there").entry.name, "step");
    assert!(registry.remove(&identity("libheat.so")));
    assert_eq!(registry.get(id), Err(TaskError::Stale { id, plugin: "heat".into() }));
    assert!(matches!(registry.find("heat", "step"), Err(TaskError::NoPluginName { .. })));
    let second = registry.add("heat", "1", identity("libheat.so"), table(&["init", "step"]), 2);
    assert_ne!(first, second);
    assert!(registry.get(id).is_err(), "the old id stays stale");
    assert_ne!(registry.find("heat", "step").expect("it is there").id, id);
}

#[test]
fn what_is_wrong_with_a_table_is_an_error_at_the_first_look_up() {
    for (names, what) in [(["a", ""], "task 1: its name is empty"), (["a", "a"], "two tasks are named `a`")] {
        let mut registry = Registry::default();
        registry.add("bad", "", identity("x"), table(&names), 2);
        let error = registry.find("bad", "a").expect_err("it is bad");
        assert_eq!(error.to_string(), format!("the plugin table of `bad` cannot be used: {what}"));
    }
}

#[test]
fn tasks_added_later_are_seen_when_all_agree() {
    let mut registry = Registry::default();
    let names = table(&["a", "b", "c"]);
    let number = registry.add("grows", "", identity("x"), names, 1);
    let before = registry.clone();
    assert!(registry.find("grows", "b").is_err());
    assert!(registry.get(TaskId::new(number, 1)).is_err(), "not agreed on yet");
    registry.grow(&identity("x"), 2);
    assert!(registry.find("grows", "b").is_ok());
    assert!(registry.find("grows", "c").is_err());
    assert!(before.find("grows", "b").is_err(), "a snapshot does not change");
}

#[test]
fn a_callback_runs_once_and_its_failure_is_repeated() {
    let runs = AtomicU32::new(0);
    let count = || {
        runs.fetch_add(1, Ordering::Relaxed);
        Err("no".to_string())
    };
    assert_eq!(runs::once([9; 32], count), Err("no".into()));
    let again = runs::once([9; 32], count).expect_err("it failed");
    assert!(again.ends_with("): no"), "{again}");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let turn = runs::begin([8; 32]).expect("nobody has run it");
    let waits = std::thread::spawn(|| runs::once([8; 32], || Err("a second run".into())));
    turn.end(Ok(()));
    assert_eq!(waits.join().expect("it does not panic"), Ok(()), "the other thread is told how it went");
    drop(runs::begin([7; 32]));
    let mut turn = runs::begin([7; 32]).expect("it has not run");
    turn.start();
    drop(turn);
    assert!(runs::begin([7; 32]).is_err_and(|outcome| outcome.is_err()), "given up is failed");
}
