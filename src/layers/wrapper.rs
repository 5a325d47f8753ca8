//! `bin/python` of a layer: a script that starts the interpreter in such a way that libraries are found across layers.
//!
//! The interpreter is started by `bin/python_`. The script names the folders of libraries relative to itself, so that a stack can
//! be moved as a whole; what it does at its start is told in `python.bash`. Which libraries there are is not its
//! business: that is [`link`](super::link).
//!
//! # Layout
//! - [`interpreter`] what `bin` has, and where the real interpreter is
//! - [`home`] where the environment says that its interpreter is
//! - [`place`] putting the script there

pub mod error;
pub mod home;
pub mod interpreter;
pub mod place;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::stack::Platform;
pub use error::WrapperError;

/// The folder of a layer's links.
pub const DYNLIB: &str = "share/venv/dynlib";

/// How the script begins.
const TEMPLATE: &str = include_str!("wrapper/python.bash");

/// In its first lines, by which it is known.
const OURS: &str = "Made by `dlcast layers link`";

/// A line of the script that venvstacks puts there.
const VENVSTACKS: &str = "# Allow extension modules to find shared libraries published by lower layers";

/// The script for the layer in `layer`, which uses those in `below`, the first one first. The paths are absolute, and without
/// links.
///
/// # Errors
///
/// [`WrapperError::Path`] for a path that the loader's variable cannot hold.
pub fn text(platform: Platform, layer: &Path, below: &[&Path]) -> Result<Vec<u8>, WrapperError> {
    let loader = Loader::of(platform);
    for path in below.iter().chain([&layer]) {
        loader.can_hold(path)?;
    }
    // Without a folder in common there is nothing to move as a whole.
    let common = below.iter().filter_map(|path| common(layer, path)).min_by_key(|path| path.components().count());
    let stack = common.unwrap_or(layer.to_path_buf());
    let up = layer.components().count() - stack.components().count();

    let mut folders = vec![format!("  \"$dlcast_layer/{DYNLIB}\"").into_bytes()];
    for path in below {
        let mut folder = b"  ".to_vec();
        let named = match path.strip_prefix(&stack) {
            Ok(inside) => {
                folder.extend(b"\"$dlcast_stack\"/");
                inside.join(DYNLIB)
            }
            Err(_) => path.join(DYNLIB),
        };
        folder.extend(quote(named.as_os_str()));
        folders.push(folder);
    }
    let script = TEMPLATE
        .replace("@SEPARATORS@", &loader.separators.replace(';', "\\;"))
        .replace("@VARIABLE@", loader.variable)
        .replace("@DYNLIB@", DYNLIB)
        .replace(
            "@STACK@",
            &format!("${{dlcast_layer{}}}", if up > 0 { format!("%{}", "/*".repeat(up)) } else { String::new() }),
        );
    let (before, after) = script.split_once("@FOLDERS@").unwrap_or((&script, ""));
    Ok([before.as_bytes(), &folders.join(&b'\n'), after.as_bytes()].concat())
}

/// Whether an entry of the loader's variable is one that a wrapper puts there: not the user's own, and not in front of a layer's.
pub fn is_wrappers(entry: &OsStr) -> bool {
    Path::new(entry).ends_with(DYNLIB)
}

/// What a system's loader makes of its variable.
struct Loader {
    variable: &'static str,
    /// What separates two entries.
    separators: &'static str,
    /// What it replaces by something else.
    tokens: &'static [&'static str],
}

impl Loader {
    fn of(platform: Platform) -> Loader {
        match platform {
            Platform::Posix => {
                Loader { variable: "LD_LIBRARY_PATH", separators: ":;", tokens: &["ORIGIN", "LIB", "PLATFORM"] }
            }
            Platform::MacOs => Loader { variable: "DYLD_LIBRARY_PATH", separators: ":", tokens: &[] },
        }
    }

    fn can_hold(&self, path: &Path) -> Result<(), WrapperError> {
        let bytes = path.as_os_str().as_bytes();
        let found = [":", ";"].into_iter().filter(|one| self.separators.contains(one)).find(|one| has(bytes, one));
        let token = self.tokens.iter().copied().find(|token| is_replaced(bytes, token));
        match found.or(token) {
            Some(found) => Err(WrapperError::Path { path: path.into(), found, variable: self.variable }),
            None => Ok(()),
        }
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Whether ld.so takes `$TOKEN` or `${TOKEN}` in it for something else. It does not where the name goes on.
fn is_replaced(path: &[u8], token: &str) -> bool {
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    path.iter().enumerate().filter(|(_, byte)| **byte == b'$').any(|(at, _)| {
        let rest = &path[at + 1..];
        let braces = rest.strip_prefix(b"{").and_then(|rest| rest.strip_prefix(token.as_bytes()));
        let plain = rest.strip_prefix(token.as_bytes());
        braces.is_some_and(|rest| rest.starts_with(b"}"))
            || plain.is_some_and(|rest| !rest.first().is_some_and(goes_on))
    })
}

/// The folder that both are in, if it is not the root.
fn common(one: &Path, other: &Path) -> Option<PathBuf> {
    let same = one.components().zip(other.components()).take_while(|(one, other)| one == other);
    let common: PathBuf = same.map(|(component, _)| component).collect();
    common.components().any(|component| matches!(component, Component::Normal(_))).then_some(common)
}

/// For bash, as one word that means itself.
fn quote(text: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in text.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}
