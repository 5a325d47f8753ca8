//! `home` in the `pyvenv.cfg` of an environment: the `bin` of the installation that it takes the standard library from, as a whole
//! path. It is mended where that installation is a layer, too, and was moved or copied along; otherwise it is nobody's business here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::WrapperError;
use crate::layers::regular;

/// What makes an environment of a folder.
pub const CONFIG: &str = "pyvenv.cfg";
/// What is not yet in its place. A leftover of it belongs to a run that was interrupted.
const NEW: &str = ".dlcast-pyvenv.cfg";

/// A `pyvenv.cfg` that is to be mended.
#[derive(Debug, PartialEq, Eq)]
pub struct Home {
    /// All of it.
    text: Vec<u8>,
}

/// Whether the environment in `root`, which `interpreter` is started for, says where that is. `roots` are the folders of all layers;
/// no path has links in it.
///
/// # Errors
///
/// [`WrapperError::Read`].
pub fn plan(root: &Path, roots: &[PathBuf], interpreter: &Path) -> Result<Option<Home>, WrapperError> {
    let path = root.join(CONFIG);
    // One that is kept elsewhere is somebody else's.
    if !fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    let Some(bin) = interpreter.parent() else { return Ok(None) };
    let is_installation = |layer: &PathBuf| layer != root && bin == layer.join("bin") && !layer.join(CONFIG).exists();
    // Where it would lead Python astray, or end the line, nothing is written.
    if !roots.iter().any(is_installation) || bin.as_os_str().as_bytes().contains(&b'\n') {
        return Ok(None);
    }
    let text = regular::read(&path).map_err(|source| WrapperError::Read { path, source })?;
    Ok(mended(&text, bin).map(|text| Home { text }))
}

/// What a line says, if it is the one that names the home.
fn value(line: &[u8]) -> Option<PathBuf> {
    let at = line.iter().position(|byte| *byte == b'=')?;
    let is_home = line[..at].trim_ascii().eq_ignore_ascii_case(b"home");
    is_home.then(|| Path::new(std::ffi::OsStr::from_bytes(line[at + 1..].trim_ascii())).to_path_buf())
}

/// The home of the environment in `root`, without links; none where it has none, or one that is not there.
pub fn of(root: &Path) -> Option<PathBuf> {
    let text = regular::read(&root.join(CONFIG)).ok()?;
    fs::canonicalize(text.split(|byte| *byte == b'\n').find_map(value)?).ok()
}

/// The text with another home, if it has one that leads elsewhere.
fn mended(text: &[u8], bin: &Path) -> Option<Vec<u8>> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let (at, says) = lines.iter().enumerate().find_map(|(at, line)| Some((at, value(line)?)))?;
    if fs::canonicalize(says).is_ok_and(|says| says == bin) {
        return None;
    }
    let line = [b"home = ", bin.as_os_str().as_bytes()].concat();
    lines[at] = &line;
    Some(lines.join(&b'\n'))
}

impl Home {
    /// Writes it beside the one in `root`.
    ///
    /// # Errors
    ///
    /// What the system says, and of which file.
    pub fn prepare(&self, root: &Path) -> Result<(), (PathBuf, io::Error)> {
        let path = root.join(NEW);
        let write = || -> io::Result<()> {
            let mut file = File::create_new(&path)?;
            file.set_permissions(fs::metadata(root.join(CONFIG))?.permissions())?;
            file.write_all(&self.text)?;
            file.sync_all()
        };
        write().map_err(|error| (path.clone(), error))
    }

    /// Puts it in its place.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn carry_out(root: &Path) -> Result<(), (PathBuf, io::Error)> {
        let path = root.join(CONFIG);
        fs::rename(root.join(NEW), &path).map_err(|error| (path, error))
    }
}

/// What is not in its place in `root`, if it is there.
pub fn leftover(root: &Path) -> PathBuf {
    root.join(NEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment `app` with this text, an installation `runtime`, and another one that is no layer.
    fn made(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["app/bin", "runtime/bin", "other/bin"] {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join("python3.11"), "").unwrap();
        }
        std::os::unix::fs::symlink("runtime", root.join("link")).unwrap();
        fs::write(root.join("app").join(CONFIG), text.replace("HERE", root.to_str().unwrap())).unwrap();
        (folder, root)
    }

    fn planned(root: &Path, interpreter: &str) -> Option<String> {
        let roots = [root.join("app"), root.join("runtime")];
        let home = plan(&roots[0], &roots, &root.join(interpreter)).unwrap()?;
        Some(String::from_utf8(home.text).unwrap().replace(root.to_str().unwrap(), "HERE"))
    }

    #[test]
    fn a_home_that_the_interpreter_has_left_is_mended_and_nothing_else() {
        for (says, becomes) in [
            ("home = /gone/bin\nversion = 3.11.7\n", "home = HERE/runtime/bin\nversion = 3.11.7\n"),
            ("a = b\r\nHOME=/gone/bin", "a = b\r\nhome = HERE/runtime/bin"),
            // A copy of a stack must not take its library from the stack that it is a copy of.
            ("home = HERE/other/bin\n", "home = HERE/runtime/bin\n"),
        ] {
            let (_folder, root) = made(says);
            assert_eq!(planned(&root, "runtime/bin/python3.11").as_deref(), Some(becomes), "{says}");
        }
    }

    #[test]
    fn a_home_that_is_right_or_not_a_layers_is_left_alone() {
        for says in
            ["home = HERE/runtime/bin\n", "home=HERE/link/bin", "home = HERE/app/../runtime/bin/\n", "", "x = y"]
        {
            let (_folder, root) = made(says);
            assert_eq!(planned(&root, "runtime/bin/python3.11"), None, "{says}");
        }
        let (_folder, root) = made("home = /gone/bin\n");
        for interpreter in ["other/bin/python3.11", "app/bin/python3.11"] {
            assert_eq!(planned(&root, interpreter), None, "{interpreter}");
        }
        // An environment is nobody's home.
        fs::write(root.join("runtime").join(CONFIG), "home = /usr/bin\n").unwrap();
        assert_eq!(planned(&root, "runtime/bin/python3.11"), None);
    }

    #[test]
    fn it_is_put_in_its_place_in_one_step() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, root) = made("home = /gone/bin\n");
        let (app, config) = (root.join("app"), root.join("app").join(CONFIG));
        fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
        let roots = [app.clone(), root.join("runtime")];
        let find = || plan(&app, &roots, &root.join("runtime/bin/python3.11")).unwrap();
        let home = find().unwrap();
        home.prepare(&app).unwrap();
        assert_eq!(fs::read_to_string(&config).unwrap(), "home = /gone/bin\n");
        Home::carry_out(&app).unwrap();
        assert_eq!(fs::read_to_string(&config).unwrap(), format!("home = {}/runtime/bin\n", root.display()));
        assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(find().is_none() && !leftover(&app).exists());
    }
}
