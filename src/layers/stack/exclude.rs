//! Which libraries of a layer are not for others: the globs of `dynlib_exclude`, as venvstacks matches them.

use std::path::Path;

use glob::{MatchOptions, Pattern, PatternError};

/// Globs that are matched at the end of a path: `libz.so.*`, `mpi4py/**/*.so`, or `*` for everything.
#[derive(Debug, Clone, Default)]
pub struct Exclude {
    patterns: Vec<Pattern>,
}

/// `*` and `?` stop at a slash, `**` does not; a leading dot is a character like any other.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

impl Exclude {
    /// Takes globs as they stand in the file.
    ///
    /// # Errors
    ///
    /// [`PatternError`] for the first one that is none.
    pub fn new<S: AsRef<str>>(globs: &[S]) -> Result<Exclude, PatternError> {
        let patterns = globs.iter().map(|glob| Pattern::new(&format!("**/{}", glob.as_ref())));
        Ok(Exclude { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// Whether a file of the layer is excluded; `path` is relative to the layer.
    pub fn covers(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.patterns.iter().any(|pattern| pattern.matches_with(&path, OPTIONS))
    }
}
