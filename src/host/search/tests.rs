//! Claims about this process's loader. The search itself is tested in `layers::search`.

use super::loader::{Folder, folders, loaded, mark_defaults};
use super::*;
use std::process::Command;

#[test]
fn a_loaded_object_is_found_by_its_soname() {
    let path = find("libc.so.6").unwrap();
    assert!(path.ends_with("libc.so.6"), "{}", path.display());
    assert_eq!(loaded("libc.so"), None);
    assert_eq!(loaded("linux-vdso.so.1"), None);
}

#[test]
fn the_loaders_own_path_ends_with_the_systems_folders() {
    let folders = folders();
    assert!(folders.last().unwrap().default, "{folders:?}");
    assert!(folders.iter().any(|folder| folder.path.is_dir()));
}

#[test]
fn a_folder_given_twice_is_the_systems_own_only_once() {
    let folder = |path: &str| Folder { path: path.into(), default: false };
    let mut path: Vec<_> = ["/opt/lib", "/usr/lib", "/lib/x86_64-linux-gnu", "/lib", "/usr/lib"].map(folder).to_vec();
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

/// The oracle: for names of the cache, a program's dlopen maps what `find` names.
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

/// The loader itself says what it was built with (since glibc 2.33).
#[test]
fn what_the_system_is_the_loader_says_too() {
    let shell = std::fs::File::open("/bin/sh").unwrap();
    let loader = crate::layers::elf::interpreter(&shell).unwrap().unwrap();
    let Ok(output) = Command::new(loader).arg("--list-diagnostics").output() else { return };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let values = |key: &str| -> Vec<String> {
        let lines = told.lines().filter_map(|line| line.split_once('='));
        let named = lines.filter(|(name, _)| name.split('[').next() == Some(key));
        named.map(|(_, value)| value.trim_matches('"').to_string()).collect()
    };
    if values("version.version").is_empty() {
        return;
    }
    let system = system();
    assert_eq!(vec![system.lib.clone()], values("dl_dst_lib"));
    assert_eq!(vec![system.platform.clone()], values("dl_platform"));
    let folders: Vec<String> = system.folders.iter().map(|folder| format!("{}/", folder.display())).collect();
    assert_eq!(folders, values("path.system_dirs"));
    // Of those that it knows, some may be beyond this processor.
    let known = values("dl_hwcaps_subdirs").join(":");
    assert!(known.ends_with(&system.hwcaps.join(":")), "{known}: {:?}", system.hwcaps);
}
