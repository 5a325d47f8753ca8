//! A plugin in Rust; `cargo build` makes libstencil.so of it.

use std::num::ParseIntError;
use std::sync::atomic::{AtomicU64, Ordering};

dlcast_plugin::plugin!("stencil"); // once, in the root of the crate; the version is the crate's

static CELLS: AtomicU64 = AtomicU64::new(0);

/// The task `average`, `(f64,f64)->f64`.
#[dlcast_plugin::task]
fn average(left: f64, right: f64) -> f64 {
    (left + right) / 2.0
}

/// An error becomes the caller's, and so does a panic.
#[dlcast_plugin::task(name = "divided")]
fn divide(x: f64, n: u64) -> Result<f64, String> {
    if n == 0 { Err("n is zero".to_owned()) } else { Ok(x / n as f64) }
}

/// Runs once in every process.
#[dlcast_plugin::callback(tag = 1, payload = b"64")]
fn set_up(payload: &[u8], _tag: u64) -> Result<(), ParseIntError> {
    CELLS.store(String::from_utf8_lossy(payload).parse()?, Ordering::Relaxed);
    Ok(())
}

fn scale<T: std::ops::Mul<Output = T>>(x: T, by: T) -> T {
    x * by
}

// What has no attribute: instances of a generic function, closures without capture, requests.
dlcast_plugin::on_open! {
    dlcast_plugin::add_task(c"scale<f64>", scale::<f64>);
    dlcast_plugin::add_task(c"cells", || CELLS.load(Ordering::Relaxed));
}
