//! A block of rows with a halo row on either side: its size, its memory, and what can be wrong with them.
//!
//! It computes nothing.

/// Why a task refuses. The twin in C++ says the same.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum HeatError {
    /// Nothing to compute on.
    #[error("a block of {rows} rows of {columns} cells is empty")]
    Empty { rows: u64, columns: u64 },
    /// No memory can hold it.
    #[error("a block of {rows} rows of {columns} cells fits into no memory")]
    TooLarge { rows: u64, columns: u64 },
    /// The block is no part of the domain.
    #[error("{rows} rows from row {first} on are not in a domain of {height} rows")]
    Outside { rows: u64, first: u64, height: u64 },
    /// No block.
    #[error("the block is a null pointer")]
    Null,
    /// A step cannot be done in place.
    #[error("the block to read and the block to write overlap")]
    Overlap,
    /// The explicit scheme would oscillate.
    #[error("the rate is {0}, and steps are stable only above 0 and up to 0.25")]
    Unstable(f64),
}

/// The size of a block that memory can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Without the halo; at least one.
    pub rows: usize,
    /// At least one.
    pub columns: usize,
}

impl Size {
    /// Takes only sizes whose bytes can be counted.
    pub fn new(rows: u64, columns: u64) -> Result<Self, HeatError> {
        if rows == 0 || columns == 0 {
            return Err(HeatError::Empty { rows, columns });
        }
        let bytes = rows.checked_add(2).and_then(|all| all.checked_mul(columns)).and_then(|cells| cells.checked_mul(8));
        match (bytes.and_then(|bytes| isize::try_from(bytes).ok()), usize::try_from(rows), usize::try_from(columns)) {
            (Some(_), Ok(rows), Ok(columns)) => Ok(Size { rows, columns }),
            _ => Err(HeatError::TooLarge { rows, columns }),
        }
    }

    /// The number of cells with the halo's.
    pub fn cells(self) -> usize {
        (self.rows + 2) * self.columns
    }

    /// Whether the block lies in a domain of `height` rows.
    pub fn inside(self, first: u64, height: u64) -> Result<(), HeatError> {
        let rows = self.rows as u64;
        match first.checked_add(rows) {
            Some(end) if end <= height => Ok(()),
            _ => Err(HeatError::Outside { rows, first, height }),
        }
    }

    /// Whether two blocks of this size have no cell in common.
    pub fn apart(self, one: *const f64, other: *const f64) -> Result<(), HeatError> {
        if one.addr().abs_diff(other.addr()) < self.cells() * size_of::<f64>() && !one.is_null() {
            return Err(HeatError::Overlap);
        }
        Ok(())
    }

    /// # Safety
    ///
    /// `cells` is null or points to a block of this size, to which nobody writes while the slice lives.
    pub unsafe fn readable<'a>(self, cells: *const f64) -> Result<&'a [f64], HeatError> {
        if cells.is_null() {
            return Err(HeatError::Null);
        }
        // SAFETY: the caller upholds it, and `new` has counted the bytes.
        Ok(unsafe { std::slice::from_raw_parts(cells, self.cells()) })
    }

    /// # Safety
    ///
    /// `cells` is null or points to a block of this size, which nobody else uses while the slice lives.
    pub unsafe fn writable<'a>(self, cells: *mut f64) -> Result<&'a mut [f64], HeatError> {
        if cells.is_null() {
            return Err(HeatError::Null);
        }
        // SAFETY: the caller upholds it, and `new` has counted the bytes.
        Ok(unsafe { std::slice::from_raw_parts_mut(cells, self.cells()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_size_is_an_error() {
        assert_eq!(Size::new(0, 3).unwrap_err().to_string(), "a block of 0 rows of 3 cells is empty");
        assert_eq!(Size::new(3, 0), Err(HeatError::Empty { rows: 3, columns: 0 }));
        for (rows, columns) in [(u64::MAX, 1), (1, u64::MAX), (1 << 32, 1 << 32), (1 << 40, 1 << 20)] {
            assert_eq!(Size::new(rows, columns), Err(HeatError::TooLarge { rows, columns }));
        }
    }

    #[test]
    fn a_block_lies_in_its_domain() {
        let size = Size::new(4, 2).unwrap();
        assert_eq!(size.inside(6, 10), Ok(()));
        assert_eq!(size.inside(7, 10), Err(HeatError::Outside { rows: 4, first: 7, height: 10 }));
        assert!(size.inside(u64::MAX, 10).is_err());
    }

    #[test]
    fn a_null_block_is_an_error() {
        // SAFETY: null is allowed.
        unsafe {
            assert_eq!(crate::total(std::ptr::null(), 2, 2), Err(HeatError::Null));
            assert_eq!(crate::init(std::ptr::null_mut(), 2, 2, 0, 2), Err(HeatError::Null));
            assert_eq!(crate::step(std::ptr::null(), std::ptr::null_mut(), 2, 2, 0.1), Err(HeatError::Null));
        }
    }

    #[test]
    fn a_step_in_place_is_an_error() {
        let mut cells = [0.0; 20];
        let place = cells.as_mut_ptr();
        // SAFETY: blocks of 4 * 2 cells; those that overlap become no slices.
        unsafe {
            assert_eq!(crate::step(place, place, 2, 2, 0.1), Err(HeatError::Overlap));
            assert_eq!(crate::step(place.add(7), place, 2, 2, 0.1), Err(HeatError::Overlap));
            assert_eq!(crate::step(place.add(8), place, 2, 2, 0.1), Ok(0.0));
        }
    }
}
