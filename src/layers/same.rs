//! Whether two files have the same content. Read side by side: where they differ, they mostly do so early.

use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::Path;

use super::regular;

const BUFFER: usize = 128 << 10;

/// More than a library has. Two files of holes can be of any size, and are the same until the end.
const MOST: u64 = 1 << 34;

/// Compares the content of two files.
///
/// # Errors
///
/// What opening or reading them fails with; and files of one size that are larger than libraries are.
pub fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let open = |path: &Path| regular::open(path).map(|file| BufReader::with_capacity(BUFFER, file));
    let (mut one, mut other) = (open(one)?, open(other)?);
    let length = one.get_ref().metadata()?.len();
    if length != other.get_ref().metadata()?.len() {
        return Ok(false);
    }
    if length > MOST {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "larger than any library"));
    }
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.len() == right.len());
        }
        if left[..length] != right[..length] {
            return Ok(false);
        }
        one.consume(length);
        other.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn one_byte_at_any_end_makes_a_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let long = vec![7; 3 * BUFFER + 1];
        fs::write(path("one"), &long).unwrap();
        for (change, expected) in [(None, true), (Some(0), false), (Some(BUFFER), false), (Some(3 * BUFFER), false)] {
            let mut other = long.clone();
            change.into_iter().for_each(|at: usize| other[at] = 8);
            fs::write(path("other"), &other).unwrap();
            assert_eq!(same(&path("one"), &path("other")).unwrap(), expected, "{change:?}");
        }
        fs::write(path("other"), &long[1..]).unwrap();
        assert!(!same(&path("one"), &path("other")).unwrap());
        assert!(same(&path("one"), &path("none")).is_err());
    }

    #[test]
    fn files_of_holes_are_not_read_to_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "other"] {
            File::create(path(name)).unwrap().set_len(1 << 43).unwrap();
        }
        let error = same(&path("one"), &path("other")).unwrap_err();
        assert_eq!(error.to_string(), "larger than any library");
    }
}
