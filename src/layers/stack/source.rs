//! Finds the file that describes a stack, and reads it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{StackError, absolute};
use crate::layers::regular;

/// What a person or a tool writes is far smaller.
const LARGEST: u64 = 1 << 20;

/// The names of the files that a folder is searched for.
const NAMES: [&str; 2] = ["stack.toml", "venvstacks.toml"];

/// A file that describes a stack.
#[derive(Debug)]
pub struct Source {
    /// Absolute, without `.` and `..`.
    pub file: PathBuf,
    text: String,
}

/// What kind of file it is: by what is in it, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `[[layer]]`.
    Stack,
    /// `[[runtimes]]`, `[[frameworks]]`, `[[applications]]`.
    Venvstacks,
}

impl Source {
    /// Reads the file, or the one that is in the folder.
    pub fn read(path: &Path) -> Result<Source, StackError> {
        let here = std::path::absolute(path).map_err(|source| StackError::read(path, source))?;
        let mut file = absolute(Path::new("/"), &here);
        let meta = fs::metadata(&file).map_err(|source| StackError::read(&file, source))?;
        if meta.is_dir() {
            let mut found = NAMES.iter().map(|name| file.join(name)).filter(|file| file.exists());
            file = match (found.next(), found.next()) {
                (Some(found), None) => found,
                (Some(_), Some(_)) => return Err(StackError::TwoFiles { folder: file }),
                (None, _) => return Err(StackError::NoFile { folder: file }),
            };
        }
        let text = text(&file)?;
        Ok(Source { file, text })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    pub fn format(&self) -> Result<Format, StackError> {
        let table: toml::Table = self.parse()?;
        let venvstacks = ["runtimes", "frameworks", "applications"].iter().any(|name| table.contains_key(*name));
        match (table.contains_key("layer"), venvstacks) {
            (true, false) => Ok(Format::Stack),
            (false, true) => Ok(Format::Venvstacks),
            _ => Err(StackError::Format { file: self.file.clone() }),
        }
    }

    /// What the file says, as `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, StackError> {
        toml::from_str(&self.text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(self.text.len());
            let line = self.text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
            // Some messages have lines of their own.
            let mut message = error.message().replace('\n', ": ");
            // Which value has the wrong type is told by its place alone.
            let is_type = ["invalid type", "invalid value"].iter().any(|begin| message.starts_with(begin));
            if let Some(key) = is_type.then(|| key_at(&self.text, start)).flatten() {
                message = format!("`{key}`: {message}");
            }
            StackError::Syntax { file: self.file.clone(), line, message }
        })
    }
}

/// The key of the value that begins at this place: on its line, or above, where the value is in a list of several lines.
fn key_at(text: &str, start: usize) -> Option<&str> {
    let is_key = |key: &&str| key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) && !key.is_empty();
    text.get(..start)?.lines().rev().filter_map(|line| Some(line.split_once('=')?.0.trim())).find(is_key)
}

/// The text of a file that is no larger than a description can be.
pub fn text(file: &Path) -> Result<String, StackError> {
    let meta = fs::metadata(file).map_err(|source| StackError::read(file, source))?;
    if !meta.is_file() {
        return Err(StackError::NotAFile { path: file.to_path_buf() });
    }
    let bytes = regular::start(file, LARGEST + 1).map_err(|source| StackError::read(file, source))?;
    if bytes.len() as u64 > LARGEST {
        return Err(StackError::TooLarge { path: file.to_path_buf(), most: LARGEST });
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        StackError::Syntax { file: file.to_path_buf(), line, message: "not UTF-8".into() }
    })
}
