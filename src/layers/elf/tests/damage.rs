//! Damage, one claim a kind: each would kill ld.so or mislead it, and each is refused with its name.

use super::*;

/// The sample with one thing changed, refused with these words.
#[track_caller]
fn refuses(change: impl FnOnce(&mut Vec<u8>), words: &str) {
    refuses_with(&[], change, words);
}

#[track_caller]
fn refuses_with(flags: &[&'static str], change: impl FnOnce(&mut Vec<u8>), words: &str) {
    let mut data = sample(flags);
    read(&*data).expect("the sample is whole");
    change(&mut data);
    let message = refused(&data);
    assert!(message.contains(words), "{message}");
}

/// Where the `nth` program header of that type is in the file.
pub fn program_header(data: &[u8], kind: elf::ProgramType, nth: usize) -> usize {
    let header = elf::FileHeader64::<LE>::parse(data).unwrap();
    let all = header.program_headers(LE, data).unwrap();
    let mut hits = all.iter().enumerate().filter(|(_, h)| h.p_type.get(LE) == kind);
    64 + hits.nth(nth).unwrap().0 * 56
}

/// Where the entry of the dynamic section with that tag is in the file.
fn dynamic_entry(data: &[u8], tag: elf::DynamicTag) -> usize {
    let (start, size) = section(data, ".dynamic");
    let tag = tag.0.to_le_bytes();
    (start..start + size).step_by(16).find(|at| data[*at..*at + 8] == tag).unwrap()
}

pub fn set_dynamic(data: &mut [u8], tag: elf::DynamicTag, value: u64) {
    let at = dynamic_entry(data, tag);
    put(data, at + 8, value.to_le_bytes());
}

/// Makes another entry of it, one that ld.so does not look at.
pub fn drop_dynamic(data: &mut [u8], tag: elf::DynamicTag) {
    let at = dynamic_entry(data, tag);
    put(data, at, 0x6000_0000u64.to_le_bytes());
}

/// Makes an entry of it another one.
pub fn become_dynamic(data: &mut [u8], tag: elf::DynamicTag, other: elf::DynamicTag, value: u64) {
    let at = dynamic_entry(data, tag);
    put(data, at, other.0.to_le_bytes());
    put(data, at + 8, value.to_le_bytes());
}

const FAR: u64 = 0x10_0000;
const P_FLAGS: usize = 4;
const P_OFFSET: usize = 8;
const P_VADDR: usize = 16;
const P_FILESZ: usize = 32;
const P_MEMSZ: usize = 40;
const P_ALIGN: usize = 48;

#[test]
fn a_library_cut_off_anywhere_is_refused() {
    let mut wholes = vec![sample(&[]), sample(&["-Wl,-s"])];
    let mut libraries = system_libraries();
    libraries.sort();
    for path in libraries.iter().filter(|p| p.metadata().unwrap().len() < 4 << 20).step_by(40) {
        let data = std::fs::read(path).unwrap();
        if read(&*data).is_ok() {
            wholes.push(data);
        }
    }
    for data in wholes {
        for end in (0..data.len()).step_by(4096) {
            assert!(read(&data[..end]).is_err(), "{end} of {}", data.len());
        }
        let message = refused(&data[..data.len() - 1]);
        assert!(message.starts_with("truncated: "), "{message}");
    }
}

#[test]
fn a_cut_says_where_the_file_ends() {
    let data = sample(&[]);
    let message = refused(&data[..4096]);
    assert!(message.starts_with("truncated: a segment ends at byte "), "{message}");
    assert!(message.ends_with(", the file has 4096; copy the file again"), "{message}");
}

#[test]
fn damaged_headers_are_refused() {
    refuses(|d| put(d, 54, [55, 0]), "wrong size of a program header");
    refuses(|d| put(d, 56, [0, 0]), "no program headers, or too many");
    refuses(|d| put(d, 56, [0xff, 0xff]), "no program headers, or too many");
    refuses(|d| put(d, 32, FAR.to_le_bytes()), "truncated: the table of program headers");
    refuses(|d| put(d, 40, FAR.to_le_bytes()), "truncated: the table of section headers");
    refuses(|d| put(d, 16, [9, 0]), "an unknown kind of ELF file");
    refuses(|d| d[6] = 0, "unknown version of ELF");
}

#[test]
fn damaged_segments_are_refused() {
    let load = |d: &[u8], nth| program_header(d, elf::PT_LOAD, nth);
    let change = |nth: usize, field: usize, value: u64| {
        move |d: &mut Vec<u8>| {
            let at = load(d, nth) + field;
            put(d, at, value.to_le_bytes());
        }
    };
    refuses(change(1, P_MEMSZ, 1 << 50), "more memory than a library can have");
    refuses(change(1, P_VADDR, u64::MAX - 4095), "more memory than a library can have");
    refuses(change(1, P_MEMSZ, 1), "more bytes in the file than in memory");
    refuses(change(1, P_ALIGN, 0x1800), "alignment is not a power of two");
    refuses(change(3, P_ALIGN, 0x10_0000), "do not agree with its alignment");
    refuses(change(1, P_OFFSET, 0x1008), "do not agree with its alignment");
    refuses(change(1, P_OFFSET, 1 << 30), "truncated: a segment");
    refuses(change(1, P_VADDR, 0), "overlap or are not in order");
    refuses(change(3, P_VADDR, 0xe10), "overlap or are not in order");
    refuses(
        |d| {
            let at = program_header(d, elf::PT_GNU_RELRO, 0);
            put(d, at + P_MEMSZ, FAR.to_le_bytes());
        },
        "read-only after relocation",
    );
    refuses(
        |d| {
            let at = program_header(d, elf::PT_TLS, 0);
            put(d, at + P_ALIGN, 0u64.to_le_bytes());
        },
        "thread-local storage of impossible size or alignment",
    );
    for address in [0, FAR] {
        refuses(
            |d| {
                let at = program_header(d, elf::PT_TLS, 0);
                put(d, at + P_VADDR, u64::to_le_bytes(address));
            },
            "thread-local data outside of the loaded segments",
        );
    }
    refuses(
        |d| {
            let at = program_header(d, elf::PT_NOTE, 0);
            put(d, at + P_VADDR, FAR.to_le_bytes());
        },
        "notes outside of the loaded segments",
    );
    refuses(
        |d| {
            let (at, _) = section(d, ".note.gnu.build-id");
            put(d, at + 4, [0xff; 4]);
        },
        "a note that is not whole",
    );
    refuses_with(
        &["-Wl,--build-id=none"],
        |d| {
            let at = load(d, 0) + P_FLAGS;
            put(d, at, [0; 4]);
        },
        "in a segment that cannot be read",
    );
}

#[test]
fn a_damaged_dynamic_section_is_refused() {
    let header = |field: usize, value: u64| {
        move |d: &mut Vec<u8>| {
            let at = program_header(d, elf::PT_DYNAMIC, 0) + field;
            put(d, at, value.to_le_bytes());
        }
    };
    refuses(header(P_VADDR, FAR), "PT_DYNAMIC is outside of the loaded segments");
    refuses(header(P_VADDR, 0), "in a segment that cannot be written");
    refuses(header(P_FILESZ, 32), "DT_NULL is missing");
    refuses(
        |d| {
            let at = program_header(d, elf::PT_DYNAMIC, 0);
            put(d, at, [0; 4]);
        },
        "PT_DYNAMIC is missing",
    );
    for (tag, name) in [
        (elf::DT_STRTAB, "DT_STRTAB"),
        (elf::DT_SYMTAB, "DT_SYMTAB"),
        (elf::DT_RELA, "DT_RELA"),
        (elf::DT_JMPREL, "DT_JMPREL"),
        (elf::DT_VERSYM, "DT_VERSYM"),
        (elf::DT_PLTGOT, "DT_PLTGOT"),
        (elf::DT_VERNEED, "version tables"),
        (elf::DT_VERDEF, "version tables"),
        (elf::DT_GNU_HASH, "hash table"),
    ] {
        refuses(|d| set_dynamic(d, tag, FAR), name);
        refuses(|d| set_dynamic(d, tag, u64::MAX - 7), name);
    }
    refuses(|d| set_dynamic(d, elf::DT_STRSZ, FAR), "DT_STRTAB is outside");
    refuses(|d| set_dynamic(d, elf::DT_STRSZ, 5), "DT_STRTAB has no end");
    refuses(|d| set_dynamic(d, elf::DT_NEEDED, FAR), "DT_NEEDED is outside of the string table");
    refuses(|d| set_dynamic(d, elf::DT_NEEDED, 0), "DT_NEEDED has no name");
    refuses(|d| set_dynamic(d, elf::DT_SONAME, FAR), "DT_SONAME is outside of the string table");
    refuses(|d| set_dynamic(d, elf::DT_RELASZ, FAR * 24), "DT_RELA is outside");
    refuses(|d| set_dynamic(d, elf::DT_RELASZ, 25), "DT_RELA is no whole number of entries");
    refuses(|d| set_dynamic(d, elf::DT_RELAENT, 16), "DT_RELAENT");
    refuses(|d| set_dynamic(d, elf::DT_SYMENT, 16), "DT_SYMENT");
    refuses(|d| set_dynamic(d, elf::DT_PLTREL, 17), "DT_PLTREL is not DT_RELA");
    refuses(|d| drop_dynamic(d, elf::DT_RELAENT), "DT_RELAENT is missing");
    refuses(|d| drop_dynamic(d, elf::DT_RELASZ), "DT_RELA has no size");
    refuses(|d| drop_dynamic(d, elf::DT_JMPREL), "DT_JMPREL is missing");
    refuses(|d| drop_dynamic(d, elf::DT_PLTGOT), "DT_PLTGOT is missing");
    refuses(|d| drop_dynamic(d, elf::DT_SYMTAB), "DT_SYMTAB is missing");
    refuses(|d| drop_dynamic(d, elf::DT_VERSYM), "no DT_VERSYM");
}

/// ld.so knows the filter tags by their low 31 bits.
#[test]
fn a_filter_in_disguise_is_seen() {
    refuses(
        |d| {
            let at = dynamic_entry(d, elf::DT_SYMENT);
            put(d, at, (0x1234_7fff_ffff_u64 | 1 << 63).to_le_bytes());
            put(d, at + 8, FAR.to_le_bytes());
        },
        "DT_FILTER is outside of the string table",
    );
}

#[test]
fn damaged_symbols_are_refused() {
    let symbols = |d: &[u8]| section(d, ".dynsym").0;
    refuses(
        |d| {
            let at = symbols(d) + 24;
            put(d, at, [0xff; 4]);
        },
        "damaged symbol 1: its name is outside of the string table",
    );
    refuses(
        |d| {
            let (at, size) = section(d, ".gnu.version");
            put(d, at + size - 2, [0xff, 0x7f]);
        },
        "its version does not exist",
    );
    refuses(
        |d| {
            // Every function becomes one that ld.so calls to choose a function, at an address without code.
            let (at, size) = section(d, ".dynsym");
            let mut all = (at..at + size).step_by(24);
            let at = all.find(|at| d[at + 4] & 15 == elf::STT_FUNC.0 && d[at + 6] != 0).unwrap();
            d[at + 4] = d[at + 4] & 0xf0 | elf::STT_GNU_IFUNC.0;
            put(d, at + 8, FAR.to_le_bytes());
        },
        "ld.so would call it, but it is not code",
    );
}

#[test]
fn damaged_hash_tables_are_refused() {
    let gnu = |d: &[u8]| section(d, ".gnu.hash").0;
    refuses(
        |d| {
            let at = gnu(d) + 8;
            put(d, at, [3, 0, 0, 0]);
        },
        "the filter's size is not a power of two",
    );
    refuses(
        |d| {
            let at = gnu(d);
            put(d, at, [0xff; 4]);
        },
        "outside of the loaded segments",
    );
    refuses(
        |d| {
            let at = gnu(d) + 4;
            put(d, at, [0xff, 0, 0, 0]);
        },
        "a bucket points before the table",
    );
    refuses(
        |d| {
            let (at, size) = section(d, ".gnu.hash");
            let bloom = u32::from_le_bytes(d[at + 8..at + 12].try_into().unwrap()) as usize;
            put(d, at + 16 + bloom * 8, [0xff, 0xff, 0xff, 0x0f]);
            assert!(size > 24);
        },
        "a chain has no end",
    );
    let sysv = ["-Wl,--hash-style=sysv"];
    refuses_with(
        &sysv,
        |d| {
            // Each symbol is followed by itself.
            let at = section(d, ".hash").0;
            let word = |d: &[u8], i: usize| u32::from_le_bytes(d[at + i * 4..at + i * 4 + 4].try_into().unwrap());
            let (buckets, chains) = (word(d, 0) as usize, word(d, 1) as usize);
            for i in 1..chains {
                put(d, at + (2 + buckets + i) * 4, (i as u32).to_le_bytes());
            }
        },
        "a chain has no end",
    );
    refuses_with(
        &sysv,
        |d| {
            let at = section(d, ".hash").0;
            put(d, at + 8, [0xff; 4]);
        },
        "an entry is no symbol",
    );
}

#[test]
fn damaged_versions_are_refused() {
    let needs = |d: &[u8]| section(d, ".gnu.version_r").0;
    refuses(
        |d| {
            let at = needs(d);
            put(d, at + 8, [0xf0, 0xff, 0xff, 0]);
        },
        "a chain leaves its segment",
    );
    refuses(
        |d| {
            // The file's name becomes a part of another one.
            let at = needs(d);
            let soname = u64::from_le_bytes(d[dynamic_entry(d, elf::DT_SONAME) + 8..][..8].try_into().unwrap());
            put(d, at + 4, (soname as u32).to_le_bytes());
        },
        "versions of `libsample.so.1` are required, but the library does not need that file",
    );
    refuses(
        |d| {
            let at = section(d, ".gnu.version_d").0;
            let next = u32::from_le_bytes(d[at + 16..at + 20].try_into().unwrap()) as usize;
            put(d, at + next + 16, [0xf0, 0xff, 0xff, 0]);
        },
        "a chain leaves its segment",
    );
}

#[test]
fn damaged_relocations_are_refused() {
    let change = |nth: usize, field: usize, value: u64| {
        move |d: &mut Vec<u8>| {
            let at = section(d, ".rela.dyn").0 + nth * 24 + field;
            put(d, at, value.to_le_bytes());
        }
    };
    refuses(change(0, 0, 0), "damaged relocation 0 of DT_RELA: it writes where");
    refuses(change(0, 0, u64::MAX - 3), "it writes where the library may not be written");
    refuses(change(3, 8, 99), "ld.so does not know its type");
    refuses(change(3, 8, 1 << 63 | 6), "shorter than the symbols in use");
    refuses(change(0, 8, 6), "it stands among the relative ones, but is not");
    refuses(
        |d| {
            let place = section(d, ".dynamic").0 as u64;
            // The writable segment is mapped a page farther on than it is in the file.
            change(0, 0, place + 0x1000)(d);
        },
        "it writes into the tables of ld.so",
    );
    let mut data = sample(&[]);
    change(3, 8, 37)(&mut data);
    assert!(refused(&data).contains("ld.so would call what is not code"));
}

#[test]
fn initialisers_must_be_code() {
    let dir = tempfile::tempdir().unwrap();
    let source = format!("{SOURCE}{CONSTRUCTOR}");
    for flags in [&["-shared", "-nostartfiles"][..], &["-shared", "-nostartfiles", "-Wl,-z,pack-relative-relocs"]] {
        let Some(path) = compile(dir.path(), "x.so", &source, flags) else {
            continue;
        };
        let good = std::fs::read(path).unwrap();
        read(&*good).unwrap();
        let mut data = good.clone();
        drop_dynamic(&mut data, elf::DT_INIT_ARRAYSZ);
        assert!(refused(&data).contains("DT_INIT_ARRAY has no size"));
        let mut data = good.clone();
        let at = dynamic_entry(&good, elf::DT_INIT_ARRAY) + 8;
        let array = u64::from_le_bytes(good[at..at + 8].try_into().unwrap());
        for shift in [1, 8, 64] {
            set_dynamic(&mut data, elf::DT_INIT_ARRAY, array + shift);
            let message = refused(&data);
            assert!(message.contains("of DT_INIT_ARRAY") || message.contains("array of functions"), "{message}");
        }
    }
    let mut data = sample(&[]);
    // Without a constructor there is no DT_INIT; an entry that is not needed becomes one.
    let at = dynamic_entry(&data, elf::DT_SYMENT);
    put(&mut data, at, elf::DT_INIT.0.to_le_bytes());
    assert!(refused(&data).contains("DT_INIT does not point at code"));
}

#[test]
fn garbage_behind_the_magic_is_never_a_panic() {
    let mut random = fastrand::Rng::with_seed(2);
    let good = sample(&[]);
    let start = Instant::now();
    for _ in 0..20_000 {
        let mut data: Vec<u8> = (0..random.usize(64..2048)).map(|_| random.u8(..)).collect();
        // Half of them get past the header.
        let keep = [4, 20, 64, 64 + 11 * 56][random.usize(..4)].min(data.len());
        data[..keep].copy_from_slice(&good[..keep]);
        let _ = read(&*data);
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn flipped_bytes_are_never_a_panic() {
    let mut random = fastrand::Rng::with_seed(3);
    let samples = [sample(&[]), sample(&["-Wl,--hash-style=sysv", "-Wl,-z,pack-relative-relocs"])];
    // The last part is everything up to the code: symbols, strings, hashes, versions.
    let samples = samples.map(|good| {
        let parts = [(0, 64 + 11 * 56), section(&good, ".dynamic"), section(&good, ".rela.dyn"), (64, 0x1000 - 64)];
        (good, parts)
    });
    let start = Instant::now();
    for round in 0..200_000 {
        let (good, parts) = &samples[round % 2];
        let mut data = good.clone();
        for _ in 0..random.usize(1..4) {
            let (from, size) = parts[random.usize(..parts.len())];
            data[from + random.usize(..size)] = random.u8(..);
        }
        let _ = read(&*data);
    }
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

/// Tables as large as the file says, counts as large as their fields hold: neither memory nor time follows them.
#[test]
fn huge_counts_cost_nothing() {
    let start = Instant::now();
    refuses(|d| set_dynamic(d, elf::DT_RELASZ, u64::MAX / 24 * 24), "DT_RELA");
    refuses(|d| put(d, 60, [0xff, 0xff]), "truncated: the table of section headers");
    refuses(
        |d| {
            // A chain that steps by one byte through the whole segment, each entry with such a chain of its own.
            let at = section(d, ".gnu.version_r").0;
            for byte in &mut d[at..at + 64] {
                *byte = 1;
            }
        },
        "version",
    );
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
