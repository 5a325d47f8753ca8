//! A plugin in Rust: tasks, callbacks, and what it asks for. It solves no equation.

use std::num::ParseIntError;
use std::ops::Mul;
use std::sync::atomic::{AtomicU64, Ordering};

dlcast_plugin::plugin!("heat");

static CELLS: AtomicU64 = AtomicU64::new(0);

/// The task `step`, `(f64,u64)->f64`; the error becomes the caller's.
#[dlcast_plugin::task]
fn step(x: f64, n: usize) -> Result<f64, &'static str> {
    if n == 0 { Err("n is zero") } else { Ok(x / n as f64) }
}

/// A panic becomes the caller's error, too.
#[dlcast_plugin::task(name = "unchecked")]
fn element(at: usize) -> f64 {
    vec![1.0, 2.0, 3.0][at]
}

/// # Safety
///
/// There are `count` values.
#[dlcast_plugin::task]
unsafe fn average(values: *const f64, count: usize) -> f64 {
    // SAFETY: the caller upholds it.
    let values = unsafe { std::slice::from_raw_parts(values, count) };
    values.iter().sum::<f64>() / count as f64
}

#[dlcast_plugin::task]
fn cells() -> u64 {
    CELLS.load(Ordering::Relaxed)
}

#[dlcast_plugin::task]
fn reset() {
    CELLS.store(0, Ordering::Relaxed);
}

/// Runs once in every process, with its payload; adds a task that there was none of before.
#[dlcast_plugin::callback(tag = 1, payload = b"4")]
fn set_up(payload: &[u8], _tag: u64) -> Result<(), ParseIntError> {
    CELLS.store(String::from_utf8_lossy(payload).parse()?, Ordering::Relaxed);
    dlcast_plugin::add_task(c"late", || CELLS.load(Ordering::Relaxed));
    Ok(())
}

#[dlcast_plugin::callback]
fn tear_down(_payload: &[u8], _tag: u64) {
    reset();
}

/// Two callbacks that do the same are two, even where the optimiser sees it.
#[dlcast_plugin::callback(tag = 2)]
fn count(_payload: &[u8], _tag: u64) {
    CELLS.fetch_add(1, Ordering::Relaxed);
}

#[dlcast_plugin::callback(tag = 2)]
fn count_again(_payload: &[u8], _tag: u64) {
    CELLS.fetch_add(1, Ordering::Relaxed);
}

fn scale<T: Mul<Output = T>>(x: T, by: T) -> T {
    x * by
}

dlcast_plugin::on_open! {
    dlcast_plugin::add_task(c"scale<f32>", scale::<f32>);
    dlcast_plugin::add_task(c"scale<f64>", scale::<f64>);
    dlcast_plugin::ask_library(c"$ORIGIN/libfields.so", 0);
    dlcast_plugin::ask_module(c"heat.plots");
}
