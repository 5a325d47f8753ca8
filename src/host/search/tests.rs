//! Claims about the search for a bare name. They do not cover the cache's format, which `cache` tests itself.

use super::loader::{folders, loaded, mark_defaults};
use super::*;
use std::os::unix::fs::symlink;

fn folder(path: &Path, default: bool) -> Folder {
    Folder { path: path.to_path_buf(), default }
}

fn sought(name: &str, folders: &[Folder]) -> Result<PathBuf, Vec<Tried>> {
    let mut search = Search { name, tried: Vec::new() };
    search.run(folders).ok_or(search.tried)
}

fn library(path: &Path) {
    let libc = loaded("libc.so.6").unwrap();
    std::fs::copy(libc, path).unwrap();
}

#[test]
fn a_loaded_object_is_found_by_its_soname() {
    let path = find("libc.so.6").unwrap();
    assert!(path.ends_with("libc.so.6"), "{}", path.display());
    assert_eq!(loaded("libc.so"), None);
    assert_eq!(loaded("linux-vdso.so.1"), None);
}

#[test]
fn the_first_folder_that_serves_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    for folder in [&a, &b] {
        std::fs::create_dir(folder).unwrap();
        library(&folder.join("libdlcastx.so"));
    }
    let folders = [folder(&a, false), folder(&b, false)];
    assert_eq!(sought("libdlcastx.so", &folders).unwrap(), a.join("libdlcastx.so"));
}

#[test]
fn dangling_foreign_and_missing_files_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let name = "libdlcastx.so";
    let paths: Vec<_> = ["dangling", "foreign", "missing", "good"].map(|n| dir.path().join(n)).to_vec();
    for path in &paths {
        std::fs::create_dir(path).unwrap();
    }
    symlink("nowhere", paths[0].join(name)).unwrap();
    let mut foreign = vec![0; 64];
    foreign[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    std::fs::write(paths[1].join(name), foreign).unwrap();
    let folders: Vec<_> = paths[..3].iter().map(|path| folder(path, false)).collect();
    let reasons: Vec<_> = sought(name, &folders).unwrap_err().into_iter().map(|t| t.reason).collect();
    assert_eq!(reasons, [Reason::Dangling, Reason::Foreign, Reason::Missing, Reason::NotCached]);
    library(&paths[3].join(name));
    let folders: Vec<_> = paths.iter().map(|path| folder(path, false)).collect();
    assert_eq!(sought(name, &folders).unwrap(), paths[3].join(name));
}

#[test]
fn a_text_or_an_empty_file_stops_the_search() {
    let dir = tempfile::tempdir().unwrap();
    let (bad, good) = (dir.path().join("bad"), dir.path().join("good"));
    let name = "libdlcastx.so";
    std::fs::create_dir(&bad).unwrap();
    std::fs::create_dir(&good).unwrap();
    library(&good.join(name));
    for text in ["INPUT(libdlcastx.so.1)\n/* long enough */", ""] {
        std::fs::write(bad.join(name), text).unwrap();
        let tried = sought(name, &[folder(&bad, false), folder(&good, false)]).unwrap_err();
        assert_eq!(tried.len(), 1);
        assert_eq!(tried[0].reason, Reason::NotElf);
    }
    std::fs::remove_file(bad.join(name)).unwrap();
    std::fs::create_dir(bad.join(name)).unwrap();
    let tried = sought(name, &[folder(&bad, false), folder(&good, false)]).unwrap_err();
    assert!(matches!(tried[0].reason, Reason::Unreadable(_)), "{tried:?}");
}

#[test]
fn the_systems_own_folders_come_after_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let name = "libdlcastx.so";
    library(&dir.path().join(name));
    let mut search = Search { name, tried: Vec::new() };
    assert!(search.run(&[folder(dir.path(), true)]).is_some());
    assert_eq!(search.tried[0].reason, Reason::NotCached);
}

#[test]
fn the_loaders_own_path_ends_with_the_systems_folders() {
    let folders = folders();
    assert!(folders.last().unwrap().default, "{folders:?}");
    assert!(folders.iter().any(|folder| folder.path.is_dir()));
}

#[test]
fn a_folder_given_twice_is_the_systems_own_only_once() {
    let mut path: Vec<_> = ["/opt/lib", "/usr/lib", "/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]
        .map(|path| folder(Path::new(path), false))
        .to_vec();
    mark_defaults(&mut path);
    let marks: Vec<_> = path.iter().map(|folder| folder.default).collect();
    assert_eq!(marks, [false, false, true, true, true]);
}

#[test]
fn a_name_that_is_nowhere_is_told_with_every_place() {
    let error = find("libdlcast-does-not-exist.so").unwrap_err();
    assert!(error.tried.len() >= 3);
    let text = error.to_string();
    assert!(text.starts_with("library `libdlcast-does-not-exist.so` not found: give its path, or add"), "{text}");
    assert!(text.contains("/etc/ld.so.cache: not in the cache"), "{text}");
}

/// The oracle: for names of the cache, and under an LD_LIBRARY_PATH and an RPATH, a program's dlopen maps what `find` names.
#[test]
fn dlopen_maps_what_find_names() {
    for name in ["libresolv.so.2", "libz.so.1", "libstdc++.so.6", "libgcc_s.so.1"] {
        let Ok(path) = find(name) else { continue };
        let c_name = std::ffi::CString::new(name).unwrap();
        // SAFETY: system libraries whose constructors are harmless.
        let handle = unsafe { libc::dlopen(c_name.as_ptr(), libc::RTLD_LAZY) };
        assert!(!handle.is_null(), "{name}");
        let real = std::fs::canonicalize(path).unwrap();
        assert_eq!(std::fs::canonicalize(loaded(name).unwrap()).unwrap(), real);
    }
}
