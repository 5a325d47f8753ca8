//! Objects made on the fly, with the needs and paths that a claim asks for, and the real ld.so on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::*;

/// This system, as `host` tells it.
pub fn system() -> System {
    crate::host::search::system()
}

/// Any library.
pub fn copy(path: &Path) {
    let cache = std::fs::read("/etc/ld.so.cache").unwrap();
    let libc = cache::lookup(&cache, b"libc.so.6", cache::THIS_MACHINE.unwrap(), &[]).unwrap();
    std::fs::copy(libc, path).unwrap();
}

/// The beginning of a library of 32 bits.
pub fn foreign() -> Vec<u8> {
    let mut foreign = vec![0; 64];
    foreign[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    foreign
}

/// A folder for objects, with stubs to link against.
pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub fn new(names: &[&str]) -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(bench.path("stubs")).unwrap();
        std::fs::write(bench.path("empty.c"), "int dlcast_nothing;\n").unwrap();
        const MAIN: &str = "#include <dlfcn.h>\n#include <stdio.h>\nint main(int n, char **v) {\n\
            for (int i = 1; i < n; i++) if (!dlopen(v[i], RTLD_NOW)) return fprintf(stderr, \"%s\\n\", dlerror()), 3;\n\
            return 0;\n}\n";
        std::fs::write(bench.path("main.c"), MAIN).unwrap();
        bench.cc(&["-fPIC", "-c", "-o", &bench.text("empty.o"), &bench.text("empty.c")]);
        bench.cc(&["-fPIC", "-c", "-o", &bench.text("main.o"), &bench.text("main.c")]);
        std::fs::write(bench.path("module.c"), "void *PyInit_dlcast(void) { return 0; }\n").unwrap();
        bench.cc(&["-fPIC", "-c", "-o", &bench.text("module.o"), &bench.text("module.c")]);
        for name in names {
            bench.library(&format!("stubs/{name}"), &[], &[&format!("-Wl,-soname,{name}")]);
        }
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        // Real, because a program's $ORIGIN is.
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn cc(&self, arguments: &[&str]) {
        let output = Command::new("cc").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A library at `name` that needs these names.
    pub fn library(&self, name: &str, needs: &[&str], flags: &[&str]) -> PathBuf {
        self.link(name, "empty.o", &[&["-shared", "-nostdlib"], flags].concat(), needs)
    }

    /// An extension module of Python that needs these names.
    pub fn extension(&self, name: &str, needs: &[&str], flags: &[&str]) -> PathBuf {
        self.link(name, "module.o", &[&["-shared", "-nostdlib"], flags].concat(), needs)
    }

    /// A program that needs these names, and opens what it is given.
    pub fn program(&self, name: &str, needs: &[&str], flags: &[&str]) -> PathBuf {
        self.link(name, "main.o", flags, needs)
    }

    fn link(&self, name: &str, object: &str, flags: &[&str], needs: &[&str]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (out, object, stubs) = (self.text(name), self.text(object), format!("-L{}", self.text("stubs")));
        let mut all = vec!["-o", &out, &object, "-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", &stubs];
        let needs: Vec<String> = needs.iter().map(|need| format!("-l:{need}")).collect();
        all.extend(needs.iter().map(String::as_str));
        all.extend(flags);
        self.cc(&all);
        path
    }
}

/// What the real ld.so looked at for each name that it searched for.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub name: String,
    pub looked_at: Vec<PathBuf>,
}

/// Runs a program under the real ld.so, and tells its searches. `trace`: nothing is run, and missing libraries are passed over.
pub fn ask(program: &Path, arguments: &[&str], library_path: Option<&str>, trace: bool) -> (Vec<Seen>, String) {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD").env("LD_DEBUG", "libs");
    command.envs(library_path.map(|path| ("LD_LIBRARY_PATH", path)));
    command.envs(trace.then_some(("LD_TRACE_LOADED_OBJECTS", "1")));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut searches: Vec<Seen> = Vec::new();
    for line in told.lines() {
        let Some((_, line)) = line.split_once(":\t") else { continue };
        if let Some(rest) = line.strip_prefix("find library=") {
            let name = rest.split(" [").next().unwrap().into();
            searches.push(Seen { name, looked_at: Vec::new() });
        } else if let Some(path) = line.trim().strip_prefix("trying file=") {
            let path = PathBuf::from(path);
            let folder = path.parent().unwrap();
            // It tries each folder once to find out whether it is there.
            if folder.as_os_str().is_empty() || folder.is_dir() {
                let looked_at = &mut searches.last_mut().unwrap().looked_at;
                looked_at.push(path);
                // Of the older kind of subfolder it tries some twice.
                looked_at.dedup();
            }
        }
    }
    (searches, told)
}

/// The same of ours: only what was searched for, and up to where ld.so would have given up.
pub fn seen(trails: &[&Trail], goes_on: bool) -> Vec<Seen> {
    let mut searches = Vec::new();
    for trail in trails {
        let is_searched = trail.found.as_ref().is_none_or(|found| !matches!(found.rule, Rule::Loaded | Rule::Path));
        if is_searched && !trail.name.to_string_lossy().contains('/') {
            let looked =
                trail.tried.iter().filter(|tried| !matches!(tried.reason, Reason::NoFolder | Reason::NotCached));
            let looked =
                looked.map(|tried| tried.path.clone()).chain(trail.found.iter().map(|found| found.path.clone()));
            let mut looked_at: Vec<PathBuf> = looked.collect();
            looked_at.dedup();
            searches.push(Seen { name: trail.name.to_string_lossy().into_owned(), looked_at });
        }
        if trail.stopped() || (trail.found.is_none() && !goes_on) {
            break;
        }
    }
    searches
}
