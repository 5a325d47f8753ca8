//! Reads `/etc/ld.so.cache`: which file the system's cache holds for a library's name.
//!
//! It takes bytes and gives a path. It opens nothing, trusts no offset in the bytes, and knows only the format that ldconfig has
//! written since glibc 2.2 (`glibc-ld.so.cache1.1`), alone or behind the older one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The older format, which stands in front of the newer one in the caches of systems that still read it.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
/// Its header is the magic, padded, and a count; its entries are three words each.
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Magic, count, length of the strings, flags, place of the extensions, three spare words.
const HEADER: usize = 48;
/// Flags, key, value, OS version (a word each), hardware capabilities (two).
const ENTRY: usize = 24;
/// Marks an entry whose capability is the name of a glibc-hwcaps folder (glibc 2.33).
const HWCAP_EXTENSION: u64 = 1 << 62;
const HWCAP_ISA_LEVEL: u64 = 0x3ff << 52;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const EXTENSION_HWCAPS: u32 = 1;

/// What ldconfig writes into an entry's flags for a library of this machine (`_DL_CACHE_DEFAULT_ID` in glibc).
pub const THIS_MACHINE: Option<u32> = if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
    Some(0x0303)
} else if cfg!(target_arch = "aarch64") {
    Some(0x0a03)
} else {
    None
};

/// The path that the cache holds for `name` on a machine whose entries bear `flags`.
///
/// `hwcaps` are the glibc-hwcaps folders that this processor may use, the best first: an entry from one of them goes before the
/// plain one. None where the cache holds no such name, and where `data` is no cache.
#[must_use]
pub fn lookup(data: &[u8], name: &[u8], flags: u32, hwcaps: &[&str]) -> Option<PathBuf> {
    let (cache, entries) = parts(data)?;
    let mut best: Option<(usize, &[u8])> = None;
    for entry in entries.chunks_exact(ENTRY) {
        let field = |at| word(entry, at);
        if field(0)? != flags || string(cache, field(4)?) != Some(name) {
            continue;
        }
        let hwcap = u64::from(field(16)?) | u64::from(field(20)?) << 32;
        let Some(rank) = rank(cache, hwcap, hwcaps) else {
            continue;
        };
        // Among equals the first wins: ldconfig sorts them so.
        if best.is_none_or(|(other, _)| rank < other) {
            best = string(cache, field(8)?).map(|path| (rank, path)).or(best);
        }
    }
    best.map(|(_, path)| PathBuf::from(OsStr::from_bytes(path)))
}

/// The names that the cache holds for a machine whose entries bear `flags`, in its order; some stand there several times.
pub fn names(data: &[u8], flags: u32) -> impl Iterator<Item = &[u8]> {
    let parts = parts(data);
    let entries =
        parts.into_iter().flat_map(|(cache, entries)| entries.chunks_exact(ENTRY).map(move |one| (cache, one)));
    entries.filter_map(move |(cache, entry)| string(cache, word(entry, 4)?).filter(|_| word(entry, 0) == Some(flags)))
}

/// The cache in the newer format, and its entries.
fn parts(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let cache = &data[start(data)?..];
    let count = word(cache, MAGIC.len())? as usize;
    let entries = cache.get(HEADER..HEADER.checked_add(count.checked_mul(ENTRY)?)?)?;
    Some((cache, entries))
}

/// Where the newer format begins: its offsets count from there.
fn start(data: &[u8]) -> Option<usize> {
    let start = if data.starts_with(OLD_MAGIC) {
        let count = word(data, OLD_HEADER - 4)? as usize;
        let end = count.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?;
        end.checked_next_multiple_of(8)?
    } else {
        0
    };
    let newer = data.get(start..)?;
    newer.starts_with(MAGIC).then_some(start)
}

/// How good an entry is here, 0 the best; None if this processor may not use it.
fn rank(cache: &[u8], hwcap: u64, hwcaps: &[&str]) -> Option<usize> {
    if hwcap == 0 {
        return Some(hwcaps.len());
    }
    // The numbered capabilities from before glibc 2.33 are not looked at any more.
    if (hwcap & !HWCAP_ISA_LEVEL) >> 32 != HWCAP_EXTENSION >> 32 {
        return None;
    }
    let folder = hwcaps_folder(cache, hwcap as u32)?;
    hwcaps.iter().position(|known| known.as_bytes() == folder)
}

/// The name of the glibc-hwcaps folder with that index, from the extension section of the cache.
fn hwcaps_folder(cache: &[u8], index: u32) -> Option<&[u8]> {
    let at = word(cache, 32)? as usize;
    if at == 0 || word(cache, at)? != EXTENSION_MAGIC {
        return None;
    }
    let count = word(cache, at.checked_add(4)?)? as usize;
    let sections = cache.get(at.checked_add(8)?..)?.chunks_exact(16).take(count);
    for section in sections {
        if word(section, 0)? == EXTENSION_HWCAPS {
            let (offset, size) = (word(section, 8)?, word(section, 12)?);
            let place = index.checked_mul(4).filter(|place| *place < size)?;
            return string(cache, word(cache, offset.checked_add(place)? as usize)?);
        }
    }
    None
}

/// The word at `at`; ldconfig writes in the byte order of the machine.
fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// The C string at `at`, without its end.
fn string(data: &[u8], at: u32) -> Option<&[u8]> {
    let rest = data.get(at as usize..)?;
    rest.split(|byte| *byte == 0).next().filter(|s| s.len() < rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: u32 = 0x0303;

    /// Entries (flags, name, path, hwcap) as ldconfig would write them, with one hwcaps folder named `x86-64-v3`.
    fn cache(entries: &[(u32, &str, &str, u64)]) -> Vec<u8> {
        let mut strings = b"x86-64-v3\0".to_vec();
        let base = HEADER + entries.len() * ENTRY;
        let mut table = Vec::new();
        for (flags, name, path, hwcap) in entries {
            let mut put = |text: &str| {
                let at = (base + strings.len()) as u32;
                strings.extend(text.as_bytes());
                strings.push(0);
                at
            };
            let (key, value) = (put(name), put(path));
            for field in [*flags, key, value, 0] {
                table.extend(field.to_ne_bytes());
            }
            table.extend(hwcap.to_ne_bytes());
        }
        let extension = base + strings.len();
        let mut data = MAGIC.to_vec();
        for field in [entries.len() as u32, strings.len() as u32, 2, extension as u32, 0, 0, 0] {
            data.extend(field.to_ne_bytes());
        }
        data.extend(table);
        data.extend(strings);
        for field in [EXTENSION_MAGIC, 1, EXTENSION_HWCAPS, 0, extension as u32 + 24, 4, base as u32] {
            data.extend(field.to_ne_bytes());
        }
        data
    }

    fn found(data: &[u8], name: &str, hwcaps: &[&str]) -> Option<String> {
        let path = lookup(data, name.as_bytes(), FLAGS, hwcaps)?;
        Some(path.to_string_lossy().into_owned())
    }

    #[test]
    fn a_name_is_found_for_this_machine_only() {
        let data = cache(&[(3, "liba.so", "/lib32/liba.so", 0), (FLAGS, "liba.so", "/lib/liba.so", 0)]);
        assert_eq!(found(&data, "liba.so", &[]).unwrap(), "/lib/liba.so");
        assert_eq!(found(&data, "libb.so", &[]), None);
    }

    #[test]
    fn a_better_build_goes_first_where_the_processor_has_it() {
        let data = cache(&[(FLAGS, "a", "/lib/a", 0), (FLAGS, "a", "/lib/v3/a", HWCAP_EXTENSION)]);
        assert_eq!(found(&data, "a", &["x86-64-v4", "x86-64-v3"]).unwrap(), "/lib/v3/a");
        assert_eq!(found(&data, "a", &["x86-64-v2"]).unwrap(), "/lib/a");
        let data = cache(&[(FLAGS, "a", "/lib/old/a", 4)]);
        assert_eq!(found(&data, "a", &["x86-64-v3"]), None);
    }

    #[test]
    fn names_are_those_of_this_machine() {
        let data = cache(&[(3, "liba.so", "/lib32/liba.so", 0), (FLAGS, "libb.so", "/lib/libb.so", 0)]);
        assert_eq!(names(&data, FLAGS).collect::<Vec<_>>(), [b"libb.so"]);
        assert_eq!(names(b"nonsense", FLAGS).count(), 0);
    }

    #[test]
    fn the_newer_format_is_found_behind_the_older_one() {
        let mut data = OLD_MAGIC.to_vec();
        data.push(0);
        data.extend(1u32.to_ne_bytes());
        data.extend([0; OLD_ENTRY]);
        data.extend([0; 4]);
        data.extend(cache(&[(FLAGS, "a", "/lib/a", 0)]));
        assert_eq!(found(&data, "a", &[]).unwrap(), "/lib/a");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = cache(&[(FLAGS, "a", "/lib/v3/a", HWCAP_EXTENSION), (FLAGS, "a", "/lib/a", 0)]);
        for end in 0..good.len() {
            let _ = found(&good[..end], "a", &["x86-64-v3"]);
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut data = good.clone();
            for _ in 0..random.usize(1..5) {
                let at = random.usize(MAGIC.len()..data.len());
                data[at] = random.u8(..);
            }
            let _ = found(&data, "a", &["x86-64-v3"]);
        }
    }

    #[test]
    fn what_ldconfig_lists_is_found() {
        let (Ok(data), Some(flags)) = (std::fs::read("/etc/ld.so.cache"), THIS_MACHINE) else {
            return;
        };
        let path = lookup(&data, b"libc.so.6", flags, &[]).expect("every cache has libc");
        assert!(path.is_file(), "{}", path.display());
    }
}
