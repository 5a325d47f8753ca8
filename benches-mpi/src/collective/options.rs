//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;

/// Read from the arguments.
pub struct Options {
    /// Where libraries are made; the same on every rank.
    pub folder: PathBuf,
    /// Loads of each kind that are timed; none: no times.
    pub pairs: usize,
    /// Whether to count.
    pub counts: bool,
}

impl Options {
    /// `FOLDER [--pairs N] [--no-counts]`
    pub fn read(mut words: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut folder = None;
        let mut options = Options { folder: PathBuf::new(), pairs: 15, counts: true };
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--no-counts") => options.counts = false,
                Some("--pairs") => {
                    let value = words.next().and_then(|value| value.to_str().and_then(|text| text.parse().ok()));
                    options.pairs = value.ok_or("--pairs expects a number")?;
                }
                Some(flag) if flag.starts_with('-') => return Err(format!("unknown flag {flag}")),
                _ if folder.is_none() => folder = Some(PathBuf::from(word)),
                _ => return Err("expected one folder".into()),
            }
        }
        options.folder = folder.ok_or("expected a folder that all ranks see")?;
        Ok(options)
    }
}
