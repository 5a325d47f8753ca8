//! An outline says what the whole reading says, of every file that is whole, and survives those that are not.

use std::io::{Seek, SeekFrom, Write};

use super::*;

/// The outline of these bytes, in a file that is used again.
fn outlined(file: &mut File, data: &[u8]) -> Result<Elf, ElfError> {
    file.seek(SeekFrom::Start(0)).unwrap();
    file.set_len(0).unwrap();
    file.write_all(data).unwrap();
    outline(file, data.len() as u64, &mut 0)
}

#[test]
fn outlines_agree_with_the_whole_reading() {
    let mut libraries = 0;
    for path in system_libraries() {
        let file = File::open(&path).unwrap();
        let mut read = 0;
        let len = file.metadata().unwrap().len();
        let outline = outline(&file, len, &mut read);
        assert_eq!(outline, read_any_file(&file), "{}", path.display());
        libraries += u32::from(outline.is_ok());
    }
    assert!(libraries > 10, "{libraries}");
    let mut file = tempfile::tempfile().unwrap();
    for way in [&[][..], &["-Wl,--hash-style=sysv"], &["-Wl,-s", "-Wl,--build-id=none"]] {
        let data = sample(way);
        assert_eq!(outlined(&mut file, &data), read(&*data), "{way:?}");
    }
}

#[test]
fn an_outline_knows_extension_modules_as_the_whole_reading_does() {
    let dir = tempfile::tempdir().unwrap();
    for (source, name) in [
        ("void PyInit_x(void) {}", Some("PyInit_x")),
        ("void PyModExport_new(void) {}", Some("PyModExport_new")),
        // import of a module whose name is not ASCII: PyInitU_, then punycode.
        ("void PyInitU_eckzbwbhc6jpgzcx415x(void) {}", Some("PyInitU_eckzbwbhc6jpgzcx415x")),
        ("static void PyInit_x(void) {} void *p = PyInit_x;", None),
        ("extern void PyInit_x(void); void *p = PyInit_x;", None),
        ("void PyInit(void) {} void MyPyInit_x(void) {}", None),
    ] {
        for style in ["-Wl,--hash-style=gnu", "-Wl,--hash-style=sysv"] {
            let path = compile(dir.path(), "x.so", source, &["-shared", "-O2", style]).unwrap();
            let file = File::open(path).unwrap();
            let outline = outline(&file, file.metadata().unwrap().len(), &mut 0).unwrap();
            assert_eq!(outline.python_init.as_deref(), name, "{source}");
            assert_eq!(Ok(outline), read_file(&file));
        }
    }
}

#[test]
fn a_word_across_the_pieces_of_a_long_string_table_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let many: String = (10_000..30_000).map(|n| format!("int a_rather_long_n{n};\n")).collect();
    let path = compile(dir.path(), "x.so", &many, &["-shared"]).unwrap();
    let data = std::fs::read(path).unwrap();
    let (names, size) = section(&data, ".dynstr");
    let mut file = tempfile::tempfile().unwrap();
    let mut tried = 0;
    for end in (1 << 16..size).step_by(1 << 16) {
        // A name that begins shortly before the end of a piece is made an entry point's.
        for start in (end - 6..end).map(|at| names + at).filter(|at| data[*at - 1] == 0) {
            let mut data = data.clone();
            put(&mut data, start, *b"PyInit_");
            let outline = outlined(&mut file, &data).unwrap();
            assert!(outline.python_init.is_some(), "{start}");
            tried += 1;
        }
    }
    assert!(tried > 0);
}

#[test]
fn a_program_without_a_loader_is_a_program() {
    let dir = tempfile::tempdir().unwrap();
    if let Some(path) = compile(dir.path(), "prog", "int main(void) { return 0; }", &["-static", "-no-pie"]) {
        let file = File::open(path).unwrap();
        let outline = outline(&file, file.metadata().unwrap().len(), &mut 0).unwrap();
        assert_eq!((outline.kind, outline.needed), (Kind::Executable, vec![]));
    }
}

#[test]
fn of_a_big_library_little_is_read() {
    let Some(path) = system_libraries().into_iter().max_by_key(|p| p.metadata().unwrap().len()) else {
        return;
    };
    let file = File::open(&path).unwrap();
    let len = file.metadata().unwrap().len();
    let mut read = 0;
    outline(&file, len, &mut read).unwrap();
    assert!(read < len / 4, "{}: {read} of {len}", path.display());
}

#[test]
fn a_cut_off_library_has_no_outline() {
    let mut file = tempfile::tempfile().unwrap();
    let data = sample(&[]);
    for end in (0..data.len()).step_by(512) {
        assert!(outlined(&mut file, &data[..end]).is_err(), "{end} of {}", data.len());
    }
}

#[test]
fn flipped_bytes_are_never_a_panic() {
    let mut random = fastrand::Rng::with_seed(4);
    let good = sample(&[]);
    let parts = [(0, 64 + 11 * 56), section(&good, ".dynamic"), section(&good, ".dynstr"), section(&good, ".gnu.hash")];
    let start = Instant::now();
    let mut file = tempfile::tempfile().unwrap();
    for _ in 0..20_000 {
        let mut data = good.clone();
        // So that the symbols are looked through.
        let (names, _) = section(&good, ".dynstr");
        data[names + 1..names + 8].copy_from_slice(b"PyInit_");
        for _ in 0..random.usize(1..4) {
            let (from, size) = parts[random.usize(..parts.len())];
            data[from + random.usize(..size)] = random.u8(..);
        }
        let _ = outlined(&mut file, &data);
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// The sample with its last segment 1 TB long, which are holes, and with an entry point's name.
pub fn with_holes(flags: &[&'static str]) -> (Vec<u8>, u64, u64) {
    let mut data = sample(flags);
    let (names, _) = section(&data, ".dynstr");
    data[names + 1..names + 8].copy_from_slice(b"PyInit_");
    let header = elf::FileHeader64::<LE>::parse(&*data).unwrap();
    let mut loads = header.program_headers(LE, &*data).unwrap().iter().enumerate();
    let (index, last) = loads.rfind(|(_, load)| load.p_type.get(LE) == elf::PT_LOAD).unwrap();
    let (address, offset) = (last.p_vaddr.get(LE), last.p_offset.get(LE));
    let place = 64 + index * 56;
    put(&mut data, place + 32, LENGTH.to_le_bytes());
    put(&mut data, place + 40, LENGTH.to_le_bytes());
    (data, address, offset)
}

pub const LENGTH: u64 = 1 << 39;

#[track_caller]
fn refuses_quickly(data: &[u8], holes: u64, words: &str) {
    let start = Instant::now();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    file.set_len(holes + LENGTH).unwrap();
    let mut read = 0;
    let message = outline(&file, holes + LENGTH, &mut read).unwrap_err().to_string();
    assert!(message.contains(words), "{message}");
    assert!(read < 4 << 20, "{read}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// A file of holes is as long as it likes, and costs nobody anything.
#[test]
fn what_is_said_of_holes_is_not_believed() {
    let (mut data, address, offset) = with_holes(&[]);
    super::damage::set_dynamic(&mut data, elf::DT_STRTAB, address);
    super::damage::set_dynamic(&mut data, elf::DT_STRSZ, LENGTH);
    for _ in read(&*sample(&[])).unwrap().needed {
        super::damage::drop_dynamic(&mut data, elf::DT_NEEDED);
    }
    refuses_quickly(&data, offset, "DT_STRTAB");
    let (mut data, address, offset) = with_holes(&["-Wl,--hash-style=sysv"]);
    let table = data.len().next_multiple_of(8);
    data.resize(table, 0);
    data.extend([0, 0, 0, 0x40, 0, 0, 0, 0x40]);
    super::damage::set_dynamic(&mut data, elf::DT_HASH, address + (table as u64 - offset));
    refuses_quickly(&data, offset, "for more symbols than a library exports");
}
