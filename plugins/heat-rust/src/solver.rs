//! The explicit scheme with five points, on a block whose halo is filled.

use crate::block::{HeatError, Size};

/// One step in time; the largest change of a cell. The twin in C++ adds in the same order.
pub fn step(from: &[f64], to: &mut [f64], size: Size, rate: f64) -> Result<f64, HeatError> {
    if !(rate > 0.0 && rate <= 0.25) {
        return Err(HeatError::Unstable(rate));
    }
    let columns = size.columns;
    let last = columns - 1;
    let mut largest = 0.0;
    for row in 1..=size.rows {
        let here = &from[row * columns..][..columns];
        let above = &from[(row - 1) * columns..][..columns];
        let below = &from[(row + 1) * columns..][..columns];
        let target = &mut to[row * columns..][..columns];
        for column in 0..columns {
            let cell = here[column];
            // Beyond the border it is as warm as on it: nothing flows.
            let left = here[column.saturating_sub(1)];
            let right = here[(column + 1).min(last)];
            let next = cell + rate * (((above[column] + below[column]) + (left + right)) - 4.0 * cell);
            target[column] = next;
            let change = (next - cell).abs();
            if change > largest {
                largest = change;
            }
        }
    }
    Ok(largest)
}

/// The heat of a block without its halo, added row by row.
pub fn total(cells: &[f64], size: Size) -> f64 {
    let mut sum = 0.0;
    for cell in &cells[size.columns..][..size.rows * size.columns] {
        sum += cell;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole domain: its halo copies its own border rows.
    struct Domain {
        size: Size,
        cells: Vec<f64>,
    }

    impl Domain {
        fn new(rows: u64, columns: u64, hot: &[(usize, usize)]) -> Self {
            let size = Size::new(rows, columns).unwrap();
            let mut cells = vec![0.0; size.cells()];
            for &(row, column) in hot {
                cells[(row + 1) * size.columns + column] = 1.0;
            }
            Domain { size, cells }
        }

        fn at(&self, row: usize, column: usize) -> f64 {
            self.cells[(row + 1) * self.size.columns + column]
        }

        fn step(&mut self, rate: f64) -> f64 {
            let Size { rows, columns } = self.size;
            self.cells.copy_within(columns..2 * columns, 0);
            self.cells.copy_within(rows * columns..(rows + 1) * columns, (rows + 1) * columns);
            let mut next = self.cells.clone();
            let largest = step(&self.cells, &mut next, self.size, rate).unwrap();
            self.cells = next;
            largest
        }

        fn total(&self) -> f64 {
            total(&self.cells, self.size)
        }
    }

    #[test]
    fn heat_flows_to_the_four_neighbours() {
        let mut domain = Domain::new(5, 5, &[(2, 2)]);
        assert_eq!(domain.step(0.25), 1.0);
        assert_eq!(domain.at(2, 2), 0.0);
        for (row, column) in [(1, 2), (3, 2), (2, 1), (2, 3)] {
            assert_eq!(domain.at(row, column), 0.25);
        }
        assert_eq!((domain.at(1, 1), domain.at(0, 2)), (0.0, 0.0));
    }

    #[test]
    fn insulated_borders_keep_all_heat() {
        let mut domain = Domain::new(7, 11, &[(0, 0), (6, 10), (3, 4), (0, 10)]);
        for _ in 0..500 {
            domain.step(0.2);
        }
        assert!((domain.total() - 4.0).abs() < 1e-12, "{}", domain.total());
    }

    #[test]
    fn all_becomes_evenly_warm() {
        let mut domain = Domain::new(4, 6, &[(0, 0), (1, 1), (3, 5)]);
        let first = domain.step(0.25);
        let last = (0..2000).map(|_| domain.step(0.25)).last().unwrap();
        assert!(first > 0.1 && last < 1e-12, "{first} {last}");
        assert!((0..4).all(|row| (0..6).all(|column| (domain.at(row, column) - 0.125).abs() < 1e-9)));
    }

    #[test]
    fn one_cell_stays_as_warm_as_it_is() {
        let mut domain = Domain::new(1, 1, &[(0, 0)]);
        assert_eq!((domain.step(0.25), domain.at(0, 0)), (0.0, 1.0));
    }

    #[test]
    fn a_rate_that_is_not_stable_is_an_error() {
        let size = Size::new(1, 1).unwrap();
        for rate in [0.0, -0.1, 0.26, f64::NAN, f64::INFINITY] {
            assert!(matches!(step(&[0.0; 3], &mut [0.0; 3], size, rate), Err(HeatError::Unstable(_))), "{rate}");
        }
        let said = HeatError::Unstable(0.3).to_string();
        assert_eq!(said, "the rate is 0.3, and steps are stable only above 0 and up to 0.25");
    }
}
