//! The heat equation in two dimensions as a plugin: three tasks that work on the block of rows that a rank holds.
//!
//! It knows neither MPI nor ranks: who calls it fills the halo rows. `plugins/heat-cpp` has the same tasks, and the same
//! bits in its results.
//!
//! A block of `rows` rows of `columns` cells is an array of `(rows + 2) * columns` values, row by row: a halo row, the
//! rows, a halo row. The halo is the neighbour's nearest row, or, where the domain ends, a copy of the block's own: no
//! heat flows between equal rows, and so that border is insulated, as the left and the right one are.
//!
//! # Layout
//!
//! - `block`: a block's size, its memory, and what can be wrong with them
//! - `shapes`: what is hot in the beginning
//! - `solver`: one step in time, and the total

mod block;
mod shapes;
mod solver;

use block::{HeatError, Size};

dlcast_plugin::plugin!("heat_rust");

/// Fills the rows of a block, which are those from `first` on of a domain of `height` rows, with what is hot in the
/// beginning. Leaves the halo rows alone.
///
/// # Safety
///
/// `cells` is null or points to the block, which nobody else uses during the call.
#[dlcast_plugin::task]
unsafe fn init(cells: *mut f64, rows: u64, columns: u64, first: u64, height: u64) -> Result<(), HeatError> {
    let size = Size::new(rows, columns)?;
    size.inside(first, height)?;
    // SAFETY: the caller upholds it.
    let cells = unsafe { size.writable(cells)? };
    shapes::draw(cells, size, first, height);
    Ok(())
}

/// Writes what the rows of a block are one step later into another block, and gives the largest change of a cell. Leaves
/// the halo rows of `to` alone. `rate` is diffusivity * time step / (cell size)^2.
///
/// # Safety
///
/// `from` and `to` are null or point to blocks; nobody else writes to `from` or uses `to` during the call.
#[dlcast_plugin::task]
unsafe fn step(from: *const f64, to: *mut f64, rows: u64, columns: u64, rate: f64) -> Result<f64, HeatError> {
    let size = Size::new(rows, columns)?;
    size.apart(from, to)?;
    // SAFETY: the caller upholds it, and the blocks are two.
    let (from, to) = unsafe { (size.readable(from)?, size.writable(to)?) };
    solver::step(from, to, size, rate)
}

/// The sum of all cells of a block without its halo: its heat.
///
/// # Safety
///
/// `cells` is null or points to the block, to which nobody writes during the call.
#[dlcast_plugin::task]
unsafe fn total(cells: *const f64, rows: u64, columns: u64) -> Result<f64, HeatError> {
    let size = Size::new(rows, columns)?;
    // SAFETY: the caller upholds it.
    Ok(solver::total(unsafe { size.readable(cells)? }, size))
}
