//! What the loader makes of this processor, and what it was built with, as far as a search depends on it.
//!
//! It asks the processor, the kernel and libc; no file is looked at.

use std::ffi::CStr;
use std::path::PathBuf;

use crate::layers::search::System;

/// What ld.so is on this machine, whose own folders are `folders`.
pub fn system(folders: Vec<PathBuf>) -> System {
    let hwcaps: Vec<String> = hwcaps().iter().map(ToString::to_string).collect();
    let platform = platform();
    let mut subfolders: Vec<String> = hwcaps.iter().map(|level| format!("glibc-hwcaps/{level}")).collect();
    // Since 2.37 the older kind is not looked into any more.
    if glibc().is_some_and(|version| version < (2, 37)) {
        subfolders.extend(legacy(&platform));
    }
    let lib = lib(folders.first());
    System { folders, subfolders, hwcaps, lib, platform, cache: "/etc/ld.so.cache".into() }
}

/// The glibc-hwcaps folders for this processor, the best first (the x86-64 psABI's levels).
fn hwcaps() -> &'static [&'static str] {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let v2 = has!("sse4.2") && has!("popcnt") && has!("ssse3") && has!("cmpxchg16b");
        let v3 = v2 && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma");
        let v3 = v3 && has!("lzcnt") && has!("movbe");
        let v4 = v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd");
        let v4 = v4 && has!("avx512dq") && has!("avx512vl");
        const LEVELS: &[&str] = &["x86-64-v4", "x86-64-v3", "x86-64-v2"];
        &LEVELS[3 - usize::from(v2) - usize::from(v3) - usize::from(v4)..]
    }
    #[cfg(not(target_arch = "x86_64"))]
    &[]
}

/// What the kernel calls the processor. glibc knows better names for two of Intel's.
fn platform() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let is_intel = || std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("GenuineIntel"));
        let haswell = has!("avx2") && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("movbe") && has!("popcnt");
        if haswell && is_intel() {
            return "haswell".into();
        }
    }
    // SAFETY: getauxval only looks into the table that the kernel gave the process.
    let text = unsafe { libc::getauxval(libc::AT_PLATFORM) } as *const std::ffi::c_char;
    if text.is_null() {
        return String::new();
    }
    // SAFETY: under this key the kernel gives a C string, which stays for the life of the process.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn glibc() -> Option<(u32, u32)> {
    // SAFETY: it returns a constant string of libc's.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    let mut numbers = version.to_str().ok()?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// The folders from before glibc-hwcaps: every combination of `tls`, the platform and the machine, the longest first.
fn legacy(platform: &str) -> Vec<String> {
    let mut parts = if cfg!(target_arch = "x86_64") { vec!["x86_64"] } else { Vec::new() };
    parts.extend(Some(platform).filter(|platform| !platform.is_empty()));
    parts.push("tls");
    let mut folders = Vec::new();
    for chosen in (1..1_u32 << parts.len()).rev() {
        let names = (0..parts.len()).rev().filter(|part| chosen >> part & 1 == 1).map(|part| parts[part]);
        let folder = names.collect::<Vec<_>>().join("/");
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// `$LIB` is the name of the folder that libc was installed into, which is the first that the loader looks into.
fn lib(first: Option<&PathBuf>) -> String {
    let first = first.and_then(|folder| folder.to_str()).unwrap_or("/lib");
    first.strip_prefix("/usr").unwrap_or(first).trim_matches('/').to_string()
}
