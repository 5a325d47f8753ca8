//! Files that are no libraries, or no longer: what a shared file system, a full disk or a wrong build leaves behind.

use std::fs;
use std::path::Path;

/// `e_ident[EI_CLASS]`, `e_machine` and `e_shoff` of a 64-bit ELF header.
const CLASS: usize = 4;
const MACHINE: usize = 18;
const SECTIONS: usize = 40;

/// What a bad file is like. The library it was made of stays the same in size, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Missing,
    Empty,
    Text,
    /// Cut at this many bytes.
    Truncated(usize),
    /// The ELF magic, then noise from this seed.
    Noise(u64),
    /// 32 bits.
    Class,
    /// AArch64.
    Machine,
    Directory,
    Fifo,
    /// Mode 000.
    Unreadable,
    /// One bit of this section is another.
    Flipped(&'static str),
}

impl Kind {
    /// The kinds that a word of `cases.toml` stands for.
    ///
    /// # Panics
    ///
    /// For a word that stands for none.
    pub fn named(word: &str, good: &[u8]) -> Vec<Kind> {
        match word {
            "missing" => vec![Kind::Missing],
            "empty" => vec![Kind::Empty],
            "text" => vec![Kind::Text],
            "truncated" => {
                (1..).map(|page| page * 4096).take_while(|&at| at < good.len()).map(Kind::Truncated).collect()
            }
            "noise" => (0..12).map(Kind::Noise).collect(),
            "class" => vec![Kind::Class],
            "machine" => vec![Kind::Machine],
            "directory" => vec![Kind::Directory],
            "fifo" => vec![Kind::Fifo],
            "unreadable" => vec![Kind::Unreadable],
            "flipped" => vec![Kind::Flipped(".dynamic"), Kind::Flipped(".rela.dyn")],
            other => panic!("no such kind of bad file: {other}"),
        }
    }

    /// Writes such a file in the place of `path`, made of the library in `good`.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn make(&self, path: &Path, good: &[u8]) {
        let write = |bytes: &[u8]| fs::write(path, bytes).expect("the folder is writable");
        match self {
            Kind::Missing => {}
            Kind::Empty => write(b""),
            Kind::Text => write(b"INPUT(libsomething.so.1)\n"),
            Kind::Truncated(at) => write(&good[..*at]),
            Kind::Noise(seed) => {
                let mut random = fastrand::Rng::with_seed(*seed);
                let noise = good[4..].iter().map(|_| random.u8(..));
                write(&good[..4].iter().copied().chain(noise).collect::<Vec<u8>>());
            }
            Kind::Class => write(&with_byte(good, CLASS, 1)),
            Kind::Machine => write(&with_byte(good, MACHINE, 183)),
            Kind::Directory => fs::create_dir(path).expect("the folder is writable"),
            Kind::Fifo => {
                let path = std::ffi::CString::new(crate::text(path)).expect("a path has no zero byte");
                // SAFETY: a NUL-terminated path.
                assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o644) }, 0, "mkfifo");
            }
            Kind::Unreadable => {
                use std::os::unix::fs::PermissionsExt;
                write(good);
                fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("the file is ours");
            }
            Kind::Flipped(section) => {
                // The tag or the offset of the second entry: what ld.so would follow blindly.
                let at = section_start(good, section) + 16;
                write(&with_byte(good, at, good[at] ^ 0x40));
            }
        }
    }
}

fn with_byte(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    copy[at] = byte;
    copy
}

fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |number, &byte| (number << 8) | usize::from(byte))
}

/// Where a section of a 64-bit little-endian ELF file starts.
fn section_start(elf: &[u8], name: &str) -> usize {
    let (table, size) = (number(elf, SECTIONS, 8), number(elf, SECTIONS + 18, 2));
    let (count, names) = (number(elf, SECTIONS + 20, 2), number(elf, SECTIONS + 22, 2));
    let offset = |section: usize| number(elf, table + section * size + 24, 8);
    let named = |section: usize| {
        let text = &elf[offset(names) + number(elf, table + section * size, 4)..];
        text.starts_with(name.as_bytes()) && text[name.len()] == 0
    };
    offset((0..count).find(|&section| named(section)).expect("the compiler makes this section"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fixture;

    #[test]
    fn every_kind_differs_from_the_good_file() {
        let folder = tempfile::tempdir().unwrap();
        let good = fs::read(Fixture::new("counted.c", "apple").build(folder.path())).unwrap();
        for word in ["empty", "text", "truncated", "noise", "class", "machine", "flipped"] {
            for kind in Kind::named(word, &good) {
                let path = folder.path().join("bad.so");
                kind.make(&path, &good);
                assert_ne!(fs::read(&path).unwrap(), good, "{kind:?}");
            }
        }
        assert!(Kind::named("truncated", &good).len() >= 3, "a library of several pages");
    }
}
