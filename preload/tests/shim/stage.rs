//! A folder in which programs are compiled and run, with the shim and without it.
//!
//! The shim is the one that users get (profile `preload`); the engine beside it only writes down what it is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// Longer than anything here takes on a machine with other things to do.
const LIMIT: &str = "60";

/// What a program printed, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

/// The folder; it goes away with the value.
pub struct Stage {
    folder: TempDir,
}

impl Stage {
    /// With the shim, the fake engine and the fake MPI in it.
    pub fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(stage.path("dlcast")).unwrap();
        std::fs::copy(shim(), stage.shim()).unwrap();
        stage.cc("engine.c", "dlcast/libdlcast.so.0", &["-shared", "-fPIC", "-pthread"]);
        // Found by its path: the search path is what the tests are about.
        stage.cc("mpi.c", "libfakempi.so", &["-shared", "-fPIC", "-Wl,-soname,@/libfakempi.so"]);
        stage
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn shim(&self) -> String {
        self.path("dlcast/libdlcast_preload.so")
    }

    /// Compiles a source of tests/c; paths in options are of the folder where they begin with `@/`.
    pub fn cc(&self, source: &str, to: &str, options: &[&str]) {
        self.compile("cc", source, to, options);
    }

    /// The same with another compiler.
    pub fn compile(&self, compiler: &str, source: &str, to: &str, options: &[&str]) {
        let to = PathBuf::from(self.path(to));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(source);
        let options = options.iter().map(|option| self.expand(option));
        let mut command = Command::new(compiler);
        command.args(["-O1", "-g", "-o"]).arg(to).arg(source).args(options).arg("-ldl");
        let done = command.output().unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A library whose `value()` is `value`.
    pub fn library(&self, to: &str, value: i32, options: &[&str]) {
        let value = format!("-DVALUE={value}");
        self.cc("library.c", to, &[&["-shared", "-fPIC", &value], options].concat());
    }

    /// The driver, linked with the fake MPI.
    pub fn driver(&self, options: &[&str]) {
        let mpi = self.path("libfakempi.so");
        self.cc("driver.c", "driver", &[&[mpi.as_str()], options].concat());
    }

    /// `@/` is the folder.
    fn expand(&self, text: &str) -> String {
        text.replace("@/", &self.path(""))
    }

    /// Runs `words` in the folder, with `KEY=VALUE` in front as environment.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=2", LIMIT, "env"]).args(words.iter().map(|word| self.expand(word)));
        command.current_dir(self.folder.path()).env_remove("LD_PRELOAD").env("LC_ALL", "C");
        let done = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(self.folder.path().to_str().unwrap(), "@");
        Output { stdout: text(&done.stdout), stderr: text(&done.stderr), code: done.status.code() }
    }

    /// Runs `words` with the shim; what the engine was told comes along, a line each.
    pub fn run_preloaded(&self, words: &[&str]) -> (Output, Vec<String>) {
        let log = self.path("log");
        _ = std::fs::remove_file(&log);
        let settings = [format!("LD_PRELOAD={}", self.shim()), format!("FAKE_LOG={log}")];
        let settings = settings.iter().map(String::as_str).collect::<Vec<_>>();
        let output = self.run(&[&settings, words].concat());
        let log = std::fs::read_to_string(log).unwrap_or_default();
        (output, self.fold(&log).lines().map(str::to_owned).collect())
    }

    fn fold(&self, text: &str) -> String {
        text.replace(self.folder.path().to_str().unwrap(), "@")
    }

    /// Runs `words`, with a space between each two, without the shim and with it, which must make no difference; what was printed, and what the engine was told.
    #[track_caller]
    pub fn both(&self, words: &str) -> (String, Vec<String>) {
        let words: Vec<&str> = words.split(' ').collect();
        let without = self.run(&words);
        let (with, log) = self.run_preloaded(&words);
        assert_eq!(with, without, "left: with the shim, right: without");
        assert_eq!(without.code, Some(0), "{}", without.stderr);
        (without.stdout, log)
    }
}

/// Built once, as users get it.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--quiet", "--locked", "--profile=preload", "--package=dlcast-preload"]);
        // What is set for the test is not meant for this build.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "LD_LIBRARY_PATH") {
                command.env_remove(name);
            }
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        command.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(command.status().unwrap().success(), "the shim does not build");
        target.join("preload/libdlcast_preload.so")
    })
}
