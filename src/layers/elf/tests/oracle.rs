//! The real judge: damaged libraries that are accepted go through dlopen in a child process, which must not die of a signal.
//!
//! Damage to code and data is left out: what a constructor or the library's own functions do with it is not ld.so's parsing.
//! `DLCAST_ELF_ORACLE` sets the number of damaged libraries a sample; a few hundred thousand were run by hand.

use super::*;

/// Opens each file in a process of its own, looks symbols up and closes it; prints the signal of those that die.
const JUDGE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
static int look(struct dl_phdr_info *i, size_t s, void *sum) {
    for (int k = 0; k < i->dlpi_phnum; k++) *(unsigned *)sum += i->dlpi_phdr[k].p_type;
    return 0;
}
int main(int argc, char **argv) {
    int mode = argv[1][0] == 'l' ? RTLD_LAZY : RTLD_NOW, opened = 0;
    for (int a = 2; a < argc; a++) {
        pid_t child = fork();
        if (!child) {
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            alarm(20);
            void *h = dlopen(argv[a], mode);
            if (!h) _exit(1);
            dlsym(h, "no_such_symbol"); dlsym(h, "v1"); dlvsym(h, "v1", "V_1"); dlvsym(h, "v2", "NO");
            unsigned sum = 0;
            dl_iterate_phdr(look, &sum);
            dlclose(h);
            exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status)) printf("signal %d: %s\n", WTERMSIG(status), argv[a]);
        opened += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    fprintf(stderr, "%d", opened);
    return 0;
}
"#;

/// Parts of a library that ld.so parses.
const PARSED: [&str; 9] = [
    ".dynamic",
    ".rela.dyn",
    ".rela.plt",
    ".relr.dyn",
    ".dynsym",
    ".gnu.hash",
    ".hash",
    ".gnu.version_r",
    ".gnu.version",
];

fn parsed(data: &[u8]) -> Vec<(usize, usize)> {
    let header = elf::FileHeader64::<LE>::parse(data).unwrap();
    let sections = header.sections(LE, data).unwrap();
    let mut parts = vec![(4, 60), (64, 56 * usize::from(header.e_phnum.get(LE)))];
    for section in sections.iter() {
        let name = sections.section_name(LE, section).unwrap();
        if PARSED.iter().any(|part| part.as_bytes() == name) {
            parts.push((section.sh_offset(LE) as usize, section.sh_size(LE) as usize));
        }
    }
    parts
}

/// One to three changes: a bit, a byte, a word of interest, a word from elsewhere in the part.
fn damage(good: &[u8], parts: &[(usize, usize)], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut data = good.to_vec();
    for _ in 0..random.usize(1..4) {
        let (from, size) = parts[random.usize(..parts.len())];
        let at = from + random.usize(..size);
        let word = at & !7;
        match random.u8(..4) {
            0 => data[at] ^= 1 << random.u8(..8),
            1 => data[at] = random.u8(..),
            2 => {
                let values = [0, 1, 8, 0x1000, 0x7fff_ffff, 0xffff_ffff, u64::MAX, u64::MAX - 7, 1 << 40];
                put(&mut data, word, values[random.usize(..values.len())].to_le_bytes());
            }
            _ => {
                let other = (from + random.usize(..size)) & !7;
                let copy: [u8; 8] = data[other..other + 8].try_into().unwrap();
                put(&mut data, word, copy);
            }
        }
    }
    data
}

/// Symbols that ld.so calls are code, whatever else is at their address: damage that makes one is left out.
fn calls_symbols(data: &[u8], good: &[u8]) -> bool {
    let (from, size) = section(good, ".dynsym");
    let mut symbols = data[from..from + size].chunks_exact(24);
    symbols.any(|symbol| symbol[4] & 15 == elf::STT_GNU_IFUNC.0)
}

#[test]
fn dlopen_survives_what_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let Some(judge) = compile(dir.path(), "judge", JUDGE, &["-ldl"]) else {
        panic!("cc works");
    };
    // SAFETY of the count: small, so that the test takes seconds.
    let count: usize = option_env!("DLCAST_ELF_ORACLE").and_then(|n| n.parse().ok()).unwrap_or(1500);
    let ways: [&[&'static str]; 3] = [
        &[],
        &["-Wl,--hash-style=sysv", "-Wl,-z,pack-relative-relocs"],
        &["-Wl,-z,now", "-fno-plt", "-Wl,-z,noseparate-code"],
    ];
    for (way, mode) in ways.iter().zip(["now", "lazy", "now"]) {
        let good = sample(way);
        let parts = parsed(&good);
        let mut random = fastrand::Rng::with_seed(4);
        let mut paths = Vec::new();
        for number in 0..count {
            let data = damage(&good, &parts, &mut random);
            if read(&*data).is_ok() && !calls_symbols(&data, &good) {
                let path = dir.path().join(format!("{number}.so"));
                std::fs::write(&path, data).unwrap();
                paths.push(path);
            }
        }
        assert!(paths.len() > count / 20, "too few are accepted to tell anything");
        let mut opened = 0;
        for paths in paths.chunks(500) {
            let output = Command::new(&judge).arg(mode).args(paths).output().unwrap();
            let died = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(died, "", "{way:?}");
            opened += String::from_utf8_lossy(&output.stderr).lines().last().unwrap().parse::<usize>().unwrap();
        }
        assert!(opened > count / 40, "dlopen refused nearly all: {opened} of {}", paths.len());
        for path in paths {
            std::fs::remove_file(path).unwrap();
        }
    }
}
