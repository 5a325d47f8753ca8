//! What a `stack.toml` says.

use std::path::PathBuf;

use super::source::Source;
use super::{Asked, StackError, absolute};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    layer: Vec<Table>,
}

/// A `[[layer]]`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    /// Relative to the file.
    path: PathBuf,
    #[serde(default)]
    uses: Vec<String>,
    #[serde(default)]
    dynlib_exclude: Vec<String>,
}

/// The layers that it asks for.
pub fn read(source: &Source) -> Result<Vec<Asked>, StackError> {
    let declared: Declared = source.parse()?;
    let asked = declared.layer.into_iter().map(|table| Asked {
        name: table.name,
        path: absolute(source.folder(), &table.path),
        uses: table.uses,
        exclude: table.dynlib_exclude,
        built: None,
    });
    Ok(asked.collect())
}
