//! Files that were made to break the reader. A few seconds of what `scripts/fuzz` does for as long as one likes.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use super::damage::{drop_dynamic, set_dynamic};
use super::outline::{LENGTH, with_holes};
use super::*;

#[test]
fn whatever_stands_in_a_file_it_is_no_panic_and_the_same_from_memory() {
    let mut random = fastrand::Rng::with_seed(5);
    let samples = [&[][..], &["-Wl,--hash-style=sysv"], &["-Wl,-s", "-Wl,-z,noseparate-code"]].map(sample);
    let file = tempfile::tempfile().unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..6000 {
        let mut data = samples[round % samples.len()].clone();
        mutate::mutate(&mut data, 1 << 16, &mut random);
        file.set_len(0).unwrap();
        file.write_all_at(&data, 0).unwrap();
        let whole = read_any_file(&file);
        assert_eq!(whole, read_any(&*data));
        let holes = data.get(mutate::HOLES_AT).and_then(|number| mutate::HOLES.get(usize::from(*number)));
        // Not every file system has larger files.
        let length = data.len() as u64 + holes.unwrap_or(&0).min(&LENGTH);
        file.set_len(length).unwrap();
        let outline = outline(&file, length, &mut 0);
        match read_any_file(&file) {
            Ok(whole) => {
                accepted += 1;
                // A symbol that only relocations reach is exported to nobody.
                let said = |elf: Elf| Elf { python_init: None, ..elf };
                assert_eq!(outline.map(said), Ok(said(whole)));
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 500 && refused > 500, "{accepted} {refused}");
}

/// A library whose last segment goes on into a file of holes, with one thing changed, refused with these words and soon.
#[track_caller]
fn refuses_holes(flags: &[&'static str], change: impl FnOnce(&mut [u8], u64), words: &str) {
    let (mut data, address, offset) = with_holes(flags);
    let holes = address + (data.len() as u64 - offset).next_multiple_of(24) + 24;
    change(&mut data, holes);
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&data, 0).unwrap();
    file.set_len(offset + LENGTH).unwrap();
    let start = Instant::now();
    let message = read_file(&file).unwrap_err().to_string();
    assert!(message.contains(words), "{message}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

const MANY: u64 = 24 << 30;

#[test]
fn tables_as_long_as_a_file_of_holes_are_not_read() {
    let rela = |data: &mut [u8], holes| {
        set_dynamic(data, elf::DT_RELA, holes);
        set_dynamic(data, elf::DT_RELASZ, MANY);
    };
    refuses_holes(&[], rela, "DT_RELA has more relocations than a library");
    let plt = |data: &mut [u8], holes| {
        set_dynamic(data, elf::DT_JMPREL, holes);
        set_dynamic(data, elf::DT_PLTRELSZ, MANY);
    };
    refuses_holes(&[], plt, "DT_JMPREL has more relocations than a library");
    let packed = |data: &mut [u8], holes| {
        set_dynamic(data, elf::DT_RELR, holes);
        set_dynamic(data, elf::DT_RELRSZ, MANY);
    };
    refuses_holes(&["-Wl,-z,pack-relative-relocs"], packed, "DT_RELR has more relocations than a library");
    let strings = |data: &mut [u8], holes| {
        set_dynamic(data, elf::DT_STRTAB, holes);
        set_dynamic(data, elf::DT_STRSZ, MANY);
    };
    refuses_holes(&[], strings, "DT_STRTAB is larger than the names of a library");
    let calls = |data: &mut [u8], holes| {
        // Without a constructor there are none; entries that are not needed become them.
        let (debug, count) = (elf::DT_SYMENT, elf::DT_RELACOUNT);
        super::damage::become_dynamic(data, debug, elf::DT_INIT_ARRAY, holes);
        super::damage::become_dynamic(data, count, elf::DT_INIT_ARRAYSZ, MANY);
    };
    refuses_holes(&[], calls, "DT_INIT_ARRAY has more functions than a library");
    let symbols = |data: &mut [u8], holes| {
        set_dynamic(data, elf::DT_SYMTAB, holes);
        drop_dynamic(data, elf::DT_VERSYM);
        drop_dynamic(data, elf::DT_VERNEED);
        drop_dynamic(data, elf::DT_VERDEF);
        // A relocation that names the last symbol that it can.
        let at = section(data, ".rela.dyn").0 + 3 * 24 + 12;
        put(data, at, u32::MAX.to_le_bytes());
    };
    refuses_holes(&[], symbols, "DT_SYMTAB has more symbols than a library");
    let sections = |data: &mut [u8], _| {
        let table = data.len() - 64;
        put(data, 40, (table as u64).to_le_bytes());
        put(data, 60, [0, 0]);
        put(data, table + 32, (1u64 << 28).to_le_bytes());
    };
    refuses_holes(&[], sections, "more section headers than a library has");
    let notes = |data: &mut [u8], holes: u64| {
        let at = super::damage::program_header(data, elf::PT_NOTE, 0);
        put(data, at + 16, holes.to_le_bytes());
        put(data, at + 32, MANY.to_le_bytes());
        put(data, at + 40, MANY.to_le_bytes());
    };
    refuses_holes(&[], notes, "more notes than a library has");
}

/// A file of which a block more is gone after each reading.
struct Shrinking<'a> {
    data: &'a [u8],
    reads: Cell<usize>,
}

impl FileExt for Shrinking<'_> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let reads = self.reads.get();
        self.reads.set(reads + 1);
        let end = self.data.len().saturating_sub(reads * 4096);
        let rest = self.data.get(offset as usize..end).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }
}

#[test]
fn a_file_that_is_cut_off_while_it_is_read_is_an_error() {
    let data = sample(&["-Wl,-z,max-page-size=65536"]);
    assert!(data.len() > 3 << 16, "it takes several blocks");
    let shrinking = Shrinking { data: &data, reads: Cell::new(0) };
    let error = check(Image::of_file(&shrinking, data.len() as u64)).unwrap_err();
    assert!(matches!(error, ElfError::Unreadable { .. }), "{error}");
}

#[test]
fn names_that_are_no_text_are_told_and_no_harm() {
    let mut data = sample(&[]);
    let (names, size) = section(&data, ".dynstr");
    let at = names + data[names..names + size].windows(9).position(|part| part == b"libsample").unwrap();
    put(&mut data, at, *b"li\xff\x1b[1m\n");
    assert_eq!(read(&*data).unwrap().soname.as_deref(), Some(OsStr::from_bytes(b"li\xff\x1b[1m\ne.so.1")));
}
