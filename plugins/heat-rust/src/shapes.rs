//! What is hot in the beginning: a ring with a warm heart, a leaning bar, and a chessboard whose fields soon blur.

use crate::block::Size;

/// Fills the rows of a block; the halo stays.
pub fn draw(cells: &mut [f64], size: Size, first: u64, height: u64) {
    for (row, cells) in cells.chunks_exact_mut(size.columns).skip(1).take(size.rows).enumerate() {
        // Lengths are in units of the domain's height; the twin in C++ computes them in the same order.
        let y = ((first + row as u64) as f64 + 0.5) / height as f64;
        for (column, cell) in cells.iter_mut().enumerate() {
            *cell = temperature((column as f64 + 0.5) / height as f64, y);
        }
    }
}

fn temperature(x: f64, y: f64) -> f64 {
    let (dx, dy) = (x - 0.42, y - 0.5);
    let radius = dx * dx + dy * dy;
    let lean = (x - 0.9) + 0.25 * (y - 0.5);
    let (across, down) = ((x - 1.08) / 0.08, (y - 0.18) / 0.08);
    let on_board = (0.0..5.0).contains(&across) && (0.0..8.0).contains(&down);
    if (0.06..0.11).contains(&radius) {
        1.0
    } else if radius < 0.01 {
        0.6
    } else if lean > -0.035 && lean < 0.035 && y > 0.1 && y < 0.9 {
        0.9
    } else if on_board && (across as u64 + down as u64).is_multiple_of(2) {
        1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows from `first` on of a domain of 50 times 80 cells.
    fn drawn(rows: u64, first: u64) -> Vec<f64> {
        let size = Size::new(rows, 80).unwrap();
        let mut cells = vec![-1.0; size.cells()];
        draw(&mut cells, size, first, 50);
        cells
    }

    #[test]
    fn blocks_are_parts_of_one_picture() {
        let (whole, upper, lower) = (drawn(50, 0), drawn(19, 0), drawn(31, 19));
        assert_eq!(whole[80..20 * 80], upper[80..20 * 80]);
        assert_eq!(whole[20 * 80..51 * 80], lower[80..32 * 80]);
        assert!(whole.contains(&1.0) && whole.contains(&0.0));
    }

    #[test]
    fn the_halo_is_left_alone() {
        let cells = drawn(50, 0);
        assert!(cells[..80].iter().chain(&cells[51 * 80..]).all(|&cell| cell == -1.0));
        assert!(cells[80..51 * 80].iter().all(|&cell| cell >= 0.0));
    }
}
