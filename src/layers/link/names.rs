//! Under which names a library is looked for.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The longest name that a file can have.
const LONGEST: usize = 255;

/// What auditwheel puts into the name of a copy: eight digits of a digest, in hex.
const DIGEST: usize = 8;

/// The names under which others look for a library in a file of this name: its SONAME, where that is its own, and the file name.
pub fn names(file: &OsStr, soname: Option<&OsStr>) -> Vec<OsString> {
    let soname = soname.filter(|soname| is_name(soname) && !is_private(file, soname));
    let mut names: Vec<OsString> = soname.into_iter().map(OsString::from).collect();
    if !names.iter().any(|name| name == file) {
        names.push(file.into());
    }
    names
}

/// Whether a file is somebody's private copy of a library: its name differs from the SONAME by more than a version, as that of
/// `libz.e05c5b49.so.1` with the SONAME `libz.so.1`. Found by that SONAME it would take the place of the host's.
pub fn is_private(file: &OsStr, soname: &OsStr) -> bool {
    let own = |name| without_version(stem(name));
    own(file.as_bytes()) != own(soname.as_bytes())
}

/// Whether a link can be called so. A SONAME can be any string.
fn is_name(soname: &OsStr) -> bool {
    let bytes = soname.as_bytes();
    !matches!(bytes, b"" | b"." | b"..") && bytes.len() <= LONGEST && !bytes.contains(&b'/')
}

/// What comes before `.so` and the version behind it.
fn stem(name: &[u8]) -> &[u8] {
    let is_suffix =
        |at: &usize| name[*at..].strip_prefix(b".so").is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'.'));
    &name[..(1..name.len()).rev().find(is_suffix).unwrap_or(name.len())]
}

/// `libc-2.36` and `libpython3.11` without their numbers.
fn without_version(stem: &[u8]) -> &[u8] {
    let is_version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let rest = stem.iter().rposition(|byte| !is_version(byte)).map_or(0, |at| at + 1);
    let version = stem[rest..].strip_prefix(b".").unwrap_or(&stem[rest..]);
    // A digest may have no letter in it.
    if version.is_empty() || (version.len() == DIGEST && !version.contains(&b'.')) {
        return stem;
    }
    let base = &stem[..rest];
    base.strip_suffix(b"-").or(base.strip_suffix(b"_")).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(file: &str, soname: Option<&str>) -> Vec<String> {
        names(file.as_ref(), soname.map(OsStr::new)).into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_library_is_found_by_its_soname_and_its_file_name() {
        assert_eq!(told("libtbb.so.12.20", Some("libtbb.so.12")), ["libtbb.so.12", "libtbb.so.12.20"]);
        assert_eq!(told("libtbb.so", Some("libtbb.so.12")), ["libtbb.so.12", "libtbb.so"]);
        assert_eq!(told("libc-2.36.so", Some("libc.so.6")), ["libc.so.6", "libc-2.36.so"]);
        assert_eq!(told("libmpi.so.12", Some("libmpi.so.12")), ["libmpi.so.12"]);
        assert_eq!(told("image.so", None), ["image.so"]);
    }

    #[test]
    fn a_private_copy_is_found_by_its_file_name_only() {
        for (file, soname) in [
            ("libz.e05c5b49.so.1", "libz.so.1"),
            ("libz-12345678.so.1", "libz.so.1"),
            ("libz.12345678.so.1", "libz.so.1"),
            ("libgomp-a34b3233.so.1.0.0", "libgomp.so.1"),
            ("libopenblasp-r0.3.21.so", "libopenblas.so.0"),
        ] {
            assert_eq!(told(file, Some(soname)), [file], "{soname}");
            // Where the SONAME was changed, too, it is no copy of anybody else's.
            assert_eq!(told(file, Some(file)), [file]);
        }
    }

    #[test]
    fn a_soname_that_can_be_no_link_is_no_name() {
        for soname in ["", ".", "..", "../libx.so", "/lib/libx.so", "@rpath/libx.so"] {
            assert_eq!(told("libx.so", Some(soname)), ["libx.so"], "{soname}");
        }
        assert_eq!(told("libx.so", Some(&format!("libx.so.{}", "1".repeat(250)))), ["libx.so"]);
    }
}
