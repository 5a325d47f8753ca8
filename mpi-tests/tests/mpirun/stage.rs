//! A folder in which programs that know nothing of dlcast are compiled, and run under `dlcast run` and without it.
//!
//! dlcast is laid out there as users get it: command, library and shim in one folder. It claims nothing itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::launch::{self, Launcher};
use crate::run::{self, Outcome};

/// What runs under a name: the libraries that the programs of this folder open, `libtr<name>.so`.
const LIBRARIES: [&str; 4] = ["a", "b", "c", "d"];
/// Longer than anything here takes on a machine with other things to do.
const LIMIT: Duration = Duration::from_secs(50);
/// Bare names are found in the program's own folder for them.
const RUNPATH: &str = "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib/travel";

/// The folder; it goes away with the value.
pub struct Stage {
    folder: TempDir,
    launcher: Launcher,
}

impl Stage {
    /// With the program `steps` in it, and the libraries a to d.
    pub fn new(launcher: &Launcher) -> Stage {
        let stage = Stage { folder: launch::scratch_folder().unwrap(), launcher: launcher.clone() };
        fs::create_dir_all(stage.path("lib/travel")).unwrap();
        stage.mpi("mpicc", "steps.c", "steps", &[RUNPATH, "-pthread"]);
        for name in LIBRARIES {
            stage.library(name, &[]);
        }
        stage
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What a file of the folder holds.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Compiles with the MPI's own compiler for a language; `MPICC` and the like name another.
    pub fn mpi(&self, compiler: &str, source: &str, to: &str, options: &[&str]) {
        let named = std::env::var(compiler.to_uppercase());
        self.compile(named.as_deref().unwrap_or(compiler), source, to, options);
    }

    /// Compiles a source of fixtures/unmodified.
    pub fn compile(&self, compiler: &str, source: &str, to: &str, options: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/unmodified").join(source);
        let mut command = self.command(&[compiler, "-O1", "-g", "-Wall", "-Werror", "-o"]);
        command.arg(self.path(to)).arg(source).args(options).arg("-ldl");
        let done = command.output().unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(done.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&done.stderr));
    }

    /// The library `libtr<name>.so`, whose constructor and destructor count themselves.
    pub fn library(&self, name: &str, options: &[&str]) {
        let (define, soname) = (format!("-DNAME={name}"), format!("-Wl,-soname,libtr{name}.so"));
        let shared = ["-shared", "-fPIC", "-Wl,--build-id", define.as_str(), soname.as_str()];
        self.compile("cc", "traveller.c", &format!("lib/travel/libtr{name}.so"), &[&shared, options].concat());
    }

    /// A command in the folder, with what the launcher needs in its environment.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.folder.path()).envs(self.launcher.environment());
        // What the tests have in their own environment is not the programs'.
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH"] {
            command.env_remove(name);
        }
        // Constructors are counted here, and may run again where the program closes and opens.
        command.env("DLCAST_FIXTURE_QUIET", "1").env("TMPDIR", self.folder.path()).env("LC_ALL", "C");
        command
    }

    /// Runs a command in the folder.
    pub fn run(&self, words: &[&str]) -> Outcome {
        let mut outcome = run::run(&mut self.command(words), LIMIT, self.folder.path()).unwrap();
        outcome.stderr = self.launcher.without_its_own(&outcome.stderr);
        assert!(outcome.status.is_some(), "{words:?}: still running after {LIMIT:?}\n{}", outcome.stderr);
        outcome
    }

    /// The launcher.
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Asserts that a job failed under `dlcast run` as it did without it, as far as the launcher tells.
    #[track_caller]
    pub fn failed_alike(&self, with: Option<i32>, without: Option<i32>, what: &str) {
        let (with, without) = (with.unwrap(), without.unwrap());
        assert_ne!(without, 0, "{what}");
        let is_alike = self.launcher.may_report(with, without) || with != 0 && self.launcher.may_report(without, with);
        assert!(is_alike, "{what}: {with} under dlcast run, {without} without");
    }

    /// Runs a program on some ranks; `before` stands between mpirun and it.
    pub fn mpirun(&self, ranks: u32, before: &[&str], program: &[&str]) -> Outcome {
        let ranks = ranks.to_string();
        self.run(&[&[self.launcher.program(), "-n", &ranks], before, program].concat())
    }

    /// Runs the program `steps` on some ranks, without dlcast.
    pub fn without(&self, ranks: u32, steps: &[&str]) -> Said {
        Said::of(self.mpirun(ranks, &[], &[&["./steps"], steps].concat()))
    }

    /// The same under `dlcast run` with some options.
    pub fn with(&self, ranks: u32, options: &[&str], steps: &[&str]) -> Said {
        Said::of(self.mpirun(ranks, &[&[dlcast(), "run"], options, &["--"]].concat(), &[&["./steps"], steps].concat()))
    }

    /// Runs it in both ways: what rank 0 says is the same, and so are exit code and errors; what was said under `dlcast run`.
    #[track_caller]
    pub fn same_on_rank_0(&self, ranks: u32, options: &[&str], steps: &[&str]) -> Said {
        let (without, with) = (self.without(ranks, steps), self.with(ranks, options, steps));
        assert_eq!(with.of_rank(0), without.of_rank(0), "left: under dlcast run, right: without\n{}", with.stderr);
        assert_eq!((with.code, with.stderr.as_str()), (without.code, without.stderr.as_str()));
        with
    }
}

/// What the ranks have said, and how the job has ended.
pub struct Said {
    /// All of it.
    pub stdout: String,
    /// All complaints.
    pub stderr: String,
    /// The exit code; minus a signal.
    pub code: Option<i32>,
    pub took: Duration,
}

impl Said {
    fn of(Outcome { status, stdout, stderr, took }: Outcome) -> Said {
        Said { stdout, stderr, code: status, took }
    }

    /// What one rank said, in its order, without its name.
    pub fn of_rank(&self, rank: u32) -> Vec<&str> {
        self.stdout.lines().filter_map(|line| line.strip_prefix(&format!("rank {rank}: "))).collect()
    }

    /// What each rank has answered to a step, in the order of ranks.
    pub fn answers(&self, step: &str) -> Vec<&str> {
        let lines = self.stdout.lines().filter_map(|line| {
            let (rank, rest) = line.strip_prefix("rank ")?.split_once(": ")?;
            Some((rank.parse::<u32>().ok()?, rest.strip_prefix(step)?.strip_prefix(": ")?))
        });
        let mut answers: Vec<(u32, &str)> = lines.collect();
        answers.sort_by_key(|(rank, _)| *rank);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Asserts that each of some ranks has given this answer to a step.
    #[track_caller]
    pub fn all(&self, ranks: u32, step: &str, answer: &str) {
        let told = self.answers(step);
        assert_eq!(told, vec![answer; ranks as usize], "{step}\n{}\n{}", self.stdout, self.stderr);
    }

    /// Asserts that the job has ended well, and that nobody has complained.
    #[track_caller]
    pub fn well(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
    }

    /// Asserts that a text is in the complaints so many times.
    #[track_caller]
    pub fn complained(&self, text: &str, times: usize) {
        assert_eq!(self.stderr.matches(text).count(), times, "`{text}` in\n{}\n{}", self.stderr, self.stdout);
    }
}

/// The command, with library and shim beside it; laid out once.
pub fn dlcast() -> &'static str {
    static COMMAND: OnceLock<String> = OnceLock::new();
    COMMAND.get_or_init(|| {
        let profile = launch::profile_folder().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unmodified");
        fs::create_dir_all(&folder).unwrap();
        let shim = shim();
        for (from, name) in [
            (profile.join("dlcast"), "dlcast"),
            (profile.join("libdlcast.so"), "libdlcast.so.0"),
            (shim, "libdlcast_preload.so"),
        ] {
            // Copies: the command follows links to where it looks for the others.
            fs::copy(&from, folder.join(name)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        folder.join("dlcast").to_str().unwrap().to_owned()
    })
}

/// As users get it.
fn shim() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--locked", "--profile=preload", "--package=dlcast-preload", "--target-dir"]);
    command.arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
    // What is set for the test is not meant for this build.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "LD_LIBRARY_PATH") {
            command.env_remove(name);
        }
    }
    assert!(command.status().unwrap().success(), "the shim does not build");
    target.join("preload/libdlcast_preload.so")
}
