//! A plugin in Rust, built as its users would: `examples/heat.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use dlcast_plugin::abi;

use crate::ONLY;
use crate::plugin::{Plugin, payload, run, symbols, text, typed};

/// Builds the example, in a target folder of its own: the one of the tests is locked while they are built.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust-plugin");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "dlcast-plugin", "--example", "heat", "--target-dir"])
        .arg(&target)
        // What the optimiser does to plugins is part of the matter.
        .envs([("CARGO_PROFILE_DEV_OPT_LEVEL", "3"), ("CARGO_PROFILE_DEV_CODEGEN_UNITS", "1")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success(), "the example does not build");
    target.join("debug/examples/libheat.so")
}

#[test]
fn a_plugin_in_rust_says_all_it_has() {
    let path = build();
    assert_eq!(symbols(&path), ONLY);
    let plugin = Plugin::open(&path);
    assert_eq!((plugin.table.abi, plugin.table.size), (1, 48));
    assert_eq!((text(plugin.table.name), text(plugin.table.version)), ("heat", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        plugin.names(),
        [
            ("average", "(*const f64,u64)->f64"),
            ("cells", "()->u64"),
            ("reset", "()"),
            ("scale<f32>", "(f32,f32)->f32"),
            ("scale<f64>", "(f64,f64)->f64"),
            ("step", "(f64,u64)->f64"),
            ("unchecked", "(u64)->f64"),
        ]
    );
    assert_eq!(plugin.requests(), [("$ORIGIN/libfields.so", 0, 0), ("heat.plots", 1, 0)]);

    let step = typed::<(f64, u64), f64>(&plugin, "step");
    assert_eq!(step.call((3.0, 2)), Ok(1.5));
    assert_eq!(step.call((3.0, 0)).unwrap_err().message, "n is zero");
    let unchecked = typed::<(u64,), f64>(&plugin, "unchecked");
    assert_eq!(unchecked.call((1,)), Ok(2.0));
    let said = unchecked.call((7,)).unwrap_err().message;
    assert_eq!(said, "panicked: index out of bounds: the len is 3 but the index is 7");
    let values = [1.0, 2.0, 6.0];
    assert_eq!(typed::<(*const f64, u64), f64>(&plugin, "average").call((values.as_ptr(), 3)), Ok(3.0));
    assert_eq!(typed::<(f64, f64), f64>(&plugin, "scale<f64>").call((2.0, 3.0)), Ok(6.0));

    let callbacks = plugin.callbacks();
    let [set_up, plain] = [1, 0].map(|tag| *callbacks.iter().find(|callback| callback.tag == tag).unwrap());
    assert_eq!((payload(&set_up), payload(&plain)), (&b"4"[..], &b""[..]));
    let cells = typed::<(), u64>(&plugin, "cells");
    assert_eq!(cells.call(()), Ok(0));
    let before = plugin.tasks().iter().map(|task| task.entry).collect::<Vec<_>>();
    run(set_up.function.unwrap(), payload(&set_up), set_up.tag).unwrap();
    assert_eq!(cells.call(()), Ok(4));
    let after = plugin.tasks();
    assert_eq!((after.len(), after.last().unwrap().name), (before.len() + 1, "late"));
    assert!(after.iter().zip(before).all(|(task, entry): (_, *const abi::Task)| task.entry == entry));
    assert_eq!(run(set_up.function.unwrap(), b"x", 1).unwrap_err(), "invalid digit found in string");
    assert_eq!(run(plain.function.unwrap(), b"", 0), Ok(()));
    assert_eq!(cells.call(()), Ok(0));
}

#[test]
fn callbacks_that_do_the_same_are_different_functions() {
    let callbacks = Plugin::open(&build()).callbacks();
    let [first, second] = callbacks.iter().filter(|callback| callback.tag == 2).collect::<Vec<_>>()[..] else {
        panic!("two callbacks have the tag 2")
    };
    assert_ne!(first.function.unwrap() as usize, second.function.unwrap() as usize);
}
