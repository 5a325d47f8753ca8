//! Which libraries of a layer are not for others: the globs of `dynlib_exclude`, as venvstacks matches them.

use std::path::Path;

use glob::{MatchOptions, Pattern};

/// Globs that are matched at the end of a path: `libz.so.*`, `mpi4py/**/*.so`, or `*` for everything.
#[derive(Debug, Clone, Default)]
pub struct Exclude {
    /// The name of the layer's folder, where it is known.
    folder: String,
    globs: Vec<String>,
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
    /// The first one that is no glob, or can match nothing, and why.
    pub fn new(globs: &[String]) -> Result<Exclude, (String, String)> {
        let patterns = globs.iter().map(|glob| pattern(glob).map_err(|why| (glob.clone(), why)));
        Ok(Exclude { folder: String::new(), globs: globs.to_vec(), patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// The same for the layer in `folder`. Its name may be in a glob, but not what is above it: a stack that is moved stays the same.
    /// (venvstacks matches the whole path.)
    #[must_use]
    pub fn of(self, folder: &Path) -> Exclude {
        let folder = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Exclude { folder, ..self }
    }

    /// Whether a file of the layer is excluded; `path` is relative to the layer.
    pub fn covers(&self, path: &Path) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        let path = format!("{}/{}", self.folder, path.to_string_lossy());
        self.patterns.iter().any(|pattern| pattern.matches_with(&path, OPTIONS))
    }

    /// The globs as they stand in the file.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }
}

fn pattern(glob: &str) -> Result<Pattern, String> {
    if glob.is_empty() {
        return Err("it is empty".into());
    }
    if glob.starts_with('/') {
        return Err("it begins with a slash, and globs are matched at the end of a path".into());
    }
    if glob.ends_with('/') {
        return Err("it ends with a slash, and files are matched; for all of a folder end it with /**".into());
    }
    if glob.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("no path has an empty part, `.` or `..` in it".into());
    }
    Pattern::new(&format!("**/{glob}")).map_err(|error| error.msg.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Globs, paths, and what venvstacks 0.7.0 says of them.
    #[test]
    fn globs_match_as_those_of_venvstacks() {
        let cases = [
            ("*", "lib/libz.so.1", true),
            ("*", "bin/.hidden.so", true),
            ("libz.so", "lib/libz.so", true),
            ("libz.so", "lib/notlibz.so", false),
            ("libz.so", "lib/libz.so.1", false),
            ("libz.so.*", "lib/libz.so.1", true),
            ("lib?.so", "lib/libz.so", true),
            ("lib[xyz].so", "lib/libz.so", true),
            ("lib[!xyz].so", "lib/libz.so", false),
            ("PIL/**/libpng16.*", "lib/python3.11/site-packages/PIL/libpng16.so.16", true),
            ("PIL/**/libpng16.*", "lib/python3.11/site-packages/PIL/a/b/libpng16.so.16", true),
            ("PIL/**/libpng16.*", "lib/python3.11/site-packages/XPIL/libpng16.so.16", false),
            ("PIL/*/libpng16.*", "lib/python3.11/site-packages/PIL/libpng16.so.16", false),
            ("PIL/*", "lib/python3.11/site-packages/PIL/a/libpng16.so.16", false),
            ("PIL/**", "lib/python3.11/site-packages/PIL/a/libpng16.so.16", true),
            ("**/libz.so", "lib/libz.so", true),
            ("**", "lib/libz.so", true),
            ("LIBZ.so", "lib/libz.so", false),
            ("site-packages/*.so", "lib/python3.11/site-packages/_C.so", true),
            ("packages/*.so", "lib/python3.11/site-packages/_C.so", false),
            ("app/lib/*.so", "lib/libz.so", true),
            ("*/lib/*.so", "lib/libz.so", true),
        ];
        for (glob, path, expected) in cases {
            let exclude = Exclude::new(&[glob.to_string()]).unwrap().of(Path::new("/opt/stack/app"));
            assert_eq!(exclude.covers(Path::new(path)), expected, "{glob} {path}");
        }
    }

    #[test]
    fn a_glob_that_can_match_nothing_is_refused() {
        for glob in ["", "/lib/libz.so", "lib/", "../libz.so", "a//b", "lib[.so", "***", "a**b"] {
            assert!(Exclude::new(&[glob.to_string()]).is_err(), "{glob}");
        }
    }
}
