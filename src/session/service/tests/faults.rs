//! Known ways into a deadlock, put back one by one: each makes random runs stuck.

use super::market::scenario;
use super::run::run;
use super::script::{Fault, Scenario};

/// Seeds within which a fault must be found.
const MOST: u64 = 2_000;

fn with(fault: Fault, seed: u64) -> Scenario {
    Scenario { fault: Some(fault), ..scenario(seed) }
}

/// Who waits for what in the first run that is stuck.
fn stuck(fault: Fault) -> String {
    let runs = (0..MOST).map(|seed| run(with(fault, seed)));
    let found = runs.map(|run| run.stuck.join("\n")).find(|stuck| !stuck.is_empty());
    found.unwrap_or_else(|| panic!("{fault:?} leaves nobody stuck in {MOST} runs"))
}

#[test]
fn a_dlopen_that_waits_for_imports_is_stuck_with_the_gil() {
    let stuck = stuck(Fault::ImportAtDlopen);
    assert!(stuck.contains(" with the GIL inside [] at AwaitPython"), "{stuck}");
}

#[test]
fn one_thread_for_protocol_and_work_is_stuck() {
    let stuck = stuck(Fault::OneThread);
    assert!(stuck.contains("worker"), "{stuck}");
}

#[test]
fn a_constructor_that_waits_is_stuck_with_the_lock_of_the_loader() {
    let stuck = stuck(Fault::WaitInConstructor);
    assert!(stuck.contains("Constructor") && stuck.contains("at Await"), "{stuck}");
}

#[test]
fn a_body_that_waits_is_stuck_with_the_lock_of_its_module() {
    let stuck = stuck(Fault::WaitInImport);
    assert!(stuck.contains("Import") && stuck.contains("at Await"), "{stuck}");
}

#[test]
fn a_native_lane_that_waits_for_python_is_stuck() {
    let stuck = stuck(Fault::NativeAfterPython);
    assert!(stuck.contains("the library worker inside [] at Finish"), "{stuck}");
}
