//! The command that starts a case: the launcher with its quirks, which are data in `ci/mpi/`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Failed;

use crate::case::Case;

/// How jobs are started with one MPI.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: String,
    environment: BTreeMap<String, String>,
    here: PathBuf,
}

impl Launcher {
    /// `DLCAST_MPIRUN` and the file that `DLCAST_MPI_ENV` names, by default Debian's Open MPI.
    pub fn from_environment(here: &Path) -> Launcher {
        let file = std::env::var_os("DLCAST_MPI_ENV")
            .map_or_else(|| here.join("../ci/mpi/openmpi4-debian.env"), PathBuf::from);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        let (own, mut environment): (BTreeMap<String, String>, BTreeMap<String, String>) = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_once('=').unwrap_or_else(|| panic!("{}: `{line}` has no `=`", file.display())))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .partition(|(key, _)| key.starts_with("CI_"));
        environment.retain(|key, _| std::env::var_os(key).is_none());
        let program = std::env::var("DLCAST_MPIRUN").ok().or_else(|| own.get("CI_LAUNCHER").cloned());
        Launcher { program: program.unwrap_or_else(|| "mpirun".to_owned()), environment, here: here.to_owned() }
    }

    /// The launcher's program.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What the launcher needs in its environment.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// What the data file says about the MPI, `DLCAST_TEST_*`.
    pub fn quirk(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().or_else(|| self.environment.get(name).cloned())
    }

    /// Whether a job that should end with `wanted` may be told to have ended with `status`: some launchers report now and then how
    /// the ranks ended that they ended themselves, instead of the one that began.
    pub fn may_report(&self, status: i32, wanted: i32) -> bool {
        let of_others = self.quirk("DLCAST_TEST_STATUS_OF_OTHERS").unwrap_or_default();
        status == wanted || wanted != 0 && of_others.split(',').any(|other| other == status.to_string())
    }

    /// What is left of the complaints of a job without lines that are known to be the launcher's own.
    pub fn without_its_own(&self, stderr: &str) -> String {
        let Some(own) = self.quirk("DLCAST_TEST_LAUNCHER_SAYS") else { return stderr.to_owned() };
        stderr.split_inclusive('\n').filter(|line| !(line.starts_with('[') && line.contains(&own))).collect()
    }

    /// The command line of a case; `folder` is its own and goes away with everything in it.
    pub fn command(&self, case: &Case, ranks: u32, folder: &Path) -> Result<Command, Failed> {
        let program = match case.program.split_once('.') {
            Some(_) => self.compiled(&case.program, folder)?,
            None => built_program(&case.program)?,
        };
        let mut command = if ranks == 0 {
            Command::new(&program)
        } else {
            let mut command = Command::new(&self.program);
            command.args(["-n", &ranks.to_string()]).arg(&program);
            command
        };
        let scratch = folder.join("scratch");
        fs::create_dir(&scratch)?;
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755))?;
        let include = self.here.join("../include");
        let include = include.to_str().ok_or("a folder with a strange name")?;
        command.args(case.args.iter().map(|argument| argument.replace("{include}", include))).envs(&self.environment);
        // What the launcher leaves behind when it is killed goes away with the folder.
        command.env("TMPDIR", folder);
        for (key, value) in &case.env {
            command.env(key, value.replace("{scratch}", scratch.to_str().ok_or("a folder with a strange name")?));
        }
        command.env("DLCAST_TEST_SCRATCH", &scratch);
        Ok(command)
    }

    /// Compiles a C or C++ program as its users do: `mpicc` or `mpicxx`, with what pkg-config says about an installed dlcast.
    fn compiled(&self, source: &str, prefix: &Path) -> Result<PathBuf, Failed> {
        self.install(prefix)?;
        let mut pkg_config = Command::new("pkg-config");
        pkg_config.args(["--cflags", "--libs", "dlcast"]).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        let flags = succeed(&mut pkg_config)?;
        let program = prefix.join(source.split('.').next().unwrap_or(source));
        let (variable, compiler, standard) = match source.ends_with(".cpp") {
            true => ("MPICXX", "mpicxx", "-std=c++17"),
            false => ("MPICC", "mpicc", "-std=c11"),
        };
        let mut command = Command::new(std::env::var(variable).unwrap_or_else(|_| compiler.to_owned()));
        command
            .args([standard, "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&program)
            .arg(self.here.join("fixtures").join(source))
            .args(flags.split_whitespace())
            .arg(format!("-Wl,-rpath,{}", prefix.join("lib").display()))
            .arg("-ldl")
            .envs(&self.environment);
        succeed(&mut command)?;
        Ok(program)
    }

    /// The C face as `scripts/install` lays it out, of the profile that is tested.
    fn install(&self, prefix: &Path) -> Result<(), Failed> {
        let root = self.here.join("..");
        fs::create_dir_all(prefix.join("lib/pkgconfig"))?;
        symlink(built_library()?, prefix.join("lib/libdlcast.so.0"))?;
        symlink("libdlcast.so.0", prefix.join("lib/libdlcast.so"))?;
        symlink(fs::canonicalize(root.join("include"))?, prefix.join("include"))?;
        let template = fs::read_to_string(root.join("dlcast.pc.in"))?;
        let prefix_text = prefix.to_str().ok_or("a folder with a strange name")?;
        let filled = template.replace("@PREFIX@", prefix_text).replace("@VERSION@", env!("CARGO_PKG_VERSION"));
        fs::write(prefix.join("lib/pkgconfig/dlcast.pc"), filled)?;
        Ok(())
    }
}

/// Runs a tool; its output, or its complaint.
fn succeed(command: &mut Command) -> Result<String, Failed> {
    let output = command.output().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// A folder with a short name: Open MPI puts sockets in it. Other users may enter it.
pub fn scratch_folder() -> Result<tempfile::TempDir, Failed> {
    let folder = tempfile::Builder::new().prefix("dlc-").tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// The profile's folder, of which this test runs in `deps`.
pub fn profile_folder() -> Result<PathBuf, Failed> {
    let this = std::env::current_exe()?;
    Ok(this.parent().and_then(Path::parent).ok_or("a test runs in target/<profile>/deps")?.to_owned())
}

fn built_program(name: &str) -> Result<PathBuf, Failed> {
    let path = profile_folder()?.join(name);
    if path.exists() { Ok(path) } else { Err(format!("no program {name}: cargo test builds src/bin/{name}.rs").into()) }
}

fn built_library() -> Result<PathBuf, Failed> {
    let path = profile_folder()?.join("libdlcast.so");
    if path.exists() { Ok(path) } else { Err("no libdlcast.so: run `cargo build --package dlcast` first".into()) }
}
