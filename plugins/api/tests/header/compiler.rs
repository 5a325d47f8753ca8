//! The four compilers, and what they make of `tests/sources`.
//!
//! A compiler that is missing is an error: no test is left out in silence.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// A compiler for C and the one for C++ that belongs to it, and the package that has them.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub c: &'static str,
    pub cpp: &'static str,
    package: &'static str,
}

pub const GNU: Family = Family { c: "gcc", cpp: "g++", package: "gcc g++" };
pub const CLANG: Family = Family { c: "clang", cpp: "clang++", package: "clang" };
pub const FAMILIES: [Family; 2] = [GNU, CLANG];

/// A file of `tests/sources`.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources").join(name)
}

/// One library, made of sources of both languages.
#[derive(Clone, Debug)]
pub struct Build {
    family: Family,
    standard: &'static str,
    flags: Vec<String>,
}

impl Build {
    /// `standard` is that of the C++ sources; those in C are C11.
    pub fn new(family: Family, standard: &'static str) -> Self {
        Build { family, standard, flags: Vec::new() }
    }

    /// Adds arguments for compiling and linking.
    pub fn flags<'a>(mut self, flags: impl IntoIterator<Item = &'a str>) -> Self {
        self.flags.extend(flags.into_iter().map(str::to_owned));
        self
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }

    /// Makes `folder/lib<name>.so` of `sources`.
    pub fn library(&self, folder: &Path, name: &str, sources: &[PathBuf]) -> PathBuf {
        let output = self.try_library(folder, name, sources);
        assert!(output.status.success(), "{self:?}: {sources:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        folder.join(format!("lib{name}.so"))
    }

    /// As [`Build::library`], for what may not compile or link: the output of the step that failed, or of the last one.
    pub fn try_library(&self, folder: &Path, name: &str, sources: &[PathBuf]) -> Output {
        let mut objects = Vec::new();
        for (number, source) in sources.iter().enumerate() {
            let object = folder.join(format!("{name}-{number}.o"));
            let cpp = source.extension() == Some(OsStr::new("cpp"));
            let mut command = Command::new(if cpp { self.family.cpp } else { self.family.c });
            command
                .arg(if cpp { format!("-std={}", self.standard) } else { "-std=c11".to_owned() })
                .args(WARNINGS)
                .args(["-fPIC", "-c", "-I"])
                .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include"))
                .args(self.flags.iter().filter(|flag| !flag.starts_with("-Wl,") && (cpp || *flag != "-fno-rtti")))
                .arg(source)
                .arg("-o")
                .arg(&object);
            let output = self.run(command);
            if !output.status.success() {
                return output;
            }
            objects.push(object);
        }
        let mut command = Command::new(self.family.cpp);
        command.args(["-shared", "-fPIC"]).args(&self.flags).args(objects);
        command.arg("-o").arg(folder.join(format!("lib{name}.so")));
        self.run(command)
    }

    fn run(&self, mut command: Command) -> Output {
        command.output().unwrap_or_else(|error| {
            panic!("cannot run {:?}: {error}; apt-get install {}", command.get_program(), self.family.package)
        })
    }
}
