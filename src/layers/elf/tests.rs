//! Claims about reading libraries: what is whole is accepted, what ld.so would die of is refused, nothing makes it panic.
//!
//! The libraries are compiled here or are the system's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use object::endian::LittleEndian as LE;
use object::read::elf::{FileHeader, SectionHeader};

use super::*;

mod damage;
mod hostile;
mod mutate;
mod oracle;
mod outline;

/// A library with most of what a linker can put into one: data that points, thread-local data, versions, weak symbols. Without
/// constructors, so that a damaged copy can be opened.
const SOURCE: &str = include_str!("../../../fuzz/sample.c");

const CONSTRUCTOR: &str = "static volatile int n; __attribute__((constructor)) static void c(void) { n++; }\n";

/// Compiles `source` into `dir` with further flags; None where there is no compiler or the flags are unknown to it.
fn compile(dir: &Path, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let (c, out) = (dir.join(format!("{name}.c")), dir.join(name));
    std::fs::write(&c, source).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-fPIC", "-O1", "-o"]).arg(&out).arg(&c).args(flags);
    cc.output().is_ok_and(|o| o.status.success()).then_some(out)
}

/// The library that most tests take, as bytes. Each way of linking is linked once.
fn sample(flags: &[&'static str]) -> Vec<u8> {
    static MADE: Mutex<Vec<(Vec<&str>, Vec<u8>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, data)) = made.iter().find(|(way, _)| way == flags) {
        return data.clone();
    }
    let dir = tempfile::tempdir().unwrap();
    let map = dir.path().join("map");
    std::fs::write(&map, "V_1 { global: v1; table; };\nV_2 { global: *; } V_1;\n").unwrap();
    let script = format!("-Wl,--version-script={}", map.display());
    let mut all = vec!["-shared", "-nostartfiles", "-Wl,-soname,libsample.so.1", &script];
    all.extend(flags);
    let path = compile(dir.path(), "libsample.so", SOURCE, &all).expect("cc works");
    let data = std::fs::read(path).unwrap();
    made.push((flags.to_vec(), data.clone()));
    data
}

/// Place and size of a section in the file.
fn section(data: &[u8], name: &str) -> (usize, usize) {
    let header = elf::FileHeader64::<LE>::parse(data).unwrap();
    let sections = header.sections(LE, data).unwrap();
    let (_, section) = sections.section_by_name(LE, name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
    (section.sh_offset(LE) as usize, section.sh_size(LE) as usize)
}

fn put<const N: usize>(data: &mut [u8], at: usize, bytes: [u8; N]) {
    data[at..at + N].copy_from_slice(&bytes);
}

#[track_caller]
fn refused(data: &[u8]) -> String {
    read(data).expect_err("it is damaged").to_string()
}

#[test]
fn what_the_linker_was_told_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let source = "int PyInit_fast(void) { return 0; } int other(void) { return 1; }";
    let flags = ["-shared", "-Wl,-soname,libfast.so.3", "-Wl,--build-id=0x0123abcd", "-Wl,--no-as-needed", "-lm"];
    let new = ["-Wl,-rpath,$ORIGIN/lib:/opt/x", "-Wl,--enable-new-dtags"];
    let path = compile(dir.path(), "fast.so", source, &[&flags[..], &new].concat()).unwrap();
    let elf = read_file(&File::open(path).unwrap()).unwrap();
    assert_eq!(elf.soname.as_deref(), Some("libfast.so.3".as_ref()));
    assert_eq!(elf.needed, ["libm.so.6", "libc.so.6"]);
    assert_eq!((elf.rpath, elf.runpath), (vec![], vec!["$ORIGIN/lib".into(), "/opt/x".into()]));
    assert_eq!(elf.build_id.unwrap(), [0x01, 0x23, 0xab, 0xcd]);
    assert_eq!(elf.python_init.as_deref(), Some("PyInit_fast"));
    assert_eq!(elf.kind, Kind::SharedObject);
    let old = ["-shared", "-Wl,-rpath,/opt/y", "-Wl,--disable-new-dtags"];
    let path = compile(dir.path(), "old.so", "int PyInit;", &old).unwrap();
    let elf = read(&*std::fs::read(path).unwrap()).unwrap();
    assert_eq!((elf.rpath, elf.runpath), (vec!["/opt/y".into()], vec![]));
    assert_eq!((elf.soname, elf.python_init), (None, None));
}

#[test]
fn only_an_exported_entry_point_makes_an_extension_module() {
    let dir = tempfile::tempdir().unwrap();
    for (source, name) in [
        ("void PyModExport_new(void) {}", Some("PyModExport_new")),
        ("static void PyInit_x(void) {} void *p = PyInit_x;", None),
        ("__attribute__((visibility(\"hidden\"))) void PyInit_x(void) {}", None),
        ("extern void PyInit_x(void); void *p = PyInit_x;", None),
        ("void PyInit(void) {} void MyPyInit_x(void) {}", None),
    ] {
        let path = compile(dir.path(), "x.so", source, &["-shared"]).unwrap();
        let elf = read_file(&File::open(path).unwrap()).unwrap();
        assert_eq!(elf.python_init.as_deref(), name, "{source}");
    }
}

#[test]
fn every_way_of_linking_is_accepted() {
    let ways: [&[&'static str]; 9] = [
        &[],
        &["-Wl,--hash-style=sysv"],
        &["-Wl,--hash-style=both", "-Wl,-z,pack-relative-relocs"],
        &["-Wl,-z,now", "-Wl,-z,relro", "-fno-plt"],
        &["-Wl,-z,lazy", "-Wl,-z,norelro"],
        &["-Wl,-z,noseparate-code"],
        &["-mtls-dialect=gnu2"],
        &["-Wl,-s", "-Wl,--build-id=none"],
        &["-Wl,-z,max-page-size=65536"],
    ];
    for way in ways {
        let elf = read(&*sample(way)).unwrap_or_else(|error| panic!("{way:?}: {error}"));
        assert_eq!(elf.soname.as_deref(), Some("libsample.so.1".as_ref()));
    }
    let dir = tempfile::tempdir().unwrap();
    for linker in ["gold", "lld", "mold", "bfd"] {
        for source in [SOURCE.to_string(), format!("{SOURCE}{CONSTRUCTOR}"), String::new()] {
            let flag = format!("-fuse-ld={linker}");
            if let Some(path) = compile(dir.path(), "x.so", &source, &["-shared", &flag]) {
                read_file(&File::open(path).unwrap()).unwrap_or_else(|error| panic!("{linker}: {error}"));
            }
        }
    }
}

/// Files of this machine that look like libraries and are ELF files of 64 bits.
fn system_libraries() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib/python3"]
            .map(PathBuf::from)
            .to_vec();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(kind) if kind.is_file() && path.to_string_lossy().contains(".so") => found.push(path),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn every_library_of_the_system_is_accepted() {
    let mut accepted = 0;
    for path in system_libraries() {
        match read_file(&File::open(&path).unwrap()) {
            Ok(_) => accepted += 1,
            Err(
                ElfError::LinkerScript { .. }
                | ElfError::Text { .. }
                | ElfError::Machine { .. }
                | ElfError::NotElf { .. },
            ) => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    assert!(accepted > 10, "{accepted}");
}

#[test]
fn bytes_and_file_give_the_same() {
    for path in system_libraries().into_iter().step_by(20) {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(read(&*bytes), read_file(&File::open(&path).unwrap()), "{}", path.display());
    }
}

#[test]
fn a_big_library_costs_little() {
    let Some(path) = system_libraries().into_iter().max_by_key(|p| p.metadata().unwrap().len()) else {
        return;
    };
    let start = Instant::now();
    read_file(&File::open(&path).unwrap()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{}: {:?}", path.display(), start.elapsed());
}

#[test]
fn an_executable_is_refused_and_can_still_be_read() {
    let dir = tempfile::tempdir().unwrap();
    for flag in ["-pie", "-no-pie"] {
        let path = compile(dir.path(), "prog", "int main(void) { return 0; }", &[flag]).unwrap();
        let data = std::fs::read(path).unwrap();
        assert_eq!(read(&*data), Err(ElfError::Executable), "{flag}");
        let elf = read_any(&*data).unwrap();
        assert_eq!(elf.kind, Kind::Executable);
        assert_eq!(elf.needed, ["libc.so.6"]);
    }
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let object = compile(dir.path(), "x.o", "int x;", &["-c"]).unwrap();
    let object = std::fs::read(object).unwrap();
    for (data, message) in [
        (&b""[..], "the file is empty"),
        (
            b"INPUT(libmpi.so.12)\n",
            "a linker script (`INPUT(libmpi.so.12)`), not a library; give the library that it names",
        ),
        (
            b"/* GNU ld script */\nGROUP ( libc.so.6 )",
            "a linker script (`/* GNU ld script */`), not a library; give the library that it names",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a text file (`version https://git-lfs.github.com/spec/`), not a library",
        ),
        (b"\x00\x01\x02\x03", "not an ELF file: it begins with 00 01 02 03"),
        (b"\x7fELF\x02\x01\x01", "truncated: 7 bytes are too few for an ELF header; copy the file again"),
        (&object, "an object file, not a shared library; link it with -shared"),
    ] {
        assert_eq!(refused(data), message);
    }
    assert_eq!(read_file(&File::open(dir.path()).unwrap()), Err(ElfError::NotAFile));
}

#[test]
fn another_machine_is_named_beside_this_one() {
    let good = sample(&[]);
    let mut data = good.clone();
    let (other, name) = if cfg!(target_arch = "aarch64") { (62, "x86-64") } else { (183, "aarch64") };
    data[18] = other;
    assert_eq!(refused(&data), format!("made for {name}; this machine is {}", machine::HERE));
    data[18] = 3;
    data[4] = 1;
    assert_eq!(refused(&data), format!("made for i386; this machine is {}", machine::HERE));
    let mut data = good;
    data[5] = 2;
    data.swap(18, 19);
    assert_eq!(refused(&data), format!("made for {}, big-endian; this machine is {}", machine::HERE, machine::HERE));
}

#[test]
fn a_debug_file_is_told_from_a_library() {
    let dir = tempfile::tempdir().unwrap();
    let path = compile(dir.path(), "x.so", SOURCE, &["-shared", "-g"]).unwrap();
    let debug = dir.path().join("x.debug");
    let status = Command::new("objcopy").arg("--only-keep-debug").args([&path, &debug]).status();
    if status.is_ok_and(|status| status.success()) {
        assert_eq!(read_file(&File::open(debug).unwrap()), Err(ElfError::DebugOnly));
    }
}
