//! The reader of ELF files, given anything: it must neither panic nor take more memory or time than it is given, and what it says of
//! the same bytes must be the same, wherever they are.

#![no_main]

use std::cell::LazyCell;
use std::fs::File;

use dlcast::layers::elf::{self, Elf};
use dlcast_fuzz::{fill, holes, mutated};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

thread_local! {
    static FILE: LazyCell<File> = LazyCell::new(|| tempfile::tempfile_in("/dev/shm").expect("/dev/shm takes files"));
}

fuzz_target!(|data: &[u8]| FILE.with(|file| look(file, data)));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { mutated(data, size, max_size, seed) });

fn look(file: &File, data: &[u8]) {
    let length = fill(file, data).expect("/dev/shm has room");
    let whole = elf::read_any_file(file);
    assert_eq!(elf::read_file(file).is_ok(), whole.as_ref().is_ok_and(|elf| elf.kind == elf::Kind::SharedObject));
    if holes(data) == 0 {
        assert_eq!(whole, elf::read_any(data));
    }
    let outline = elf::outline(file, length, &mut 0);
    // A symbol that only relocations reach is exported to nobody.
    let said = |elf: Elf| Elf { python_init: None, ..elf };
    if let Ok(whole) = whole {
        assert_eq!(Ok(said(whole)), outline.map(said));
    }
    // It has become shorter since it was asked for its length.
    let _cut = elf::outline(file, length + 4096, &mut 0);
    let _loader = elf::interpreter(file);
}
