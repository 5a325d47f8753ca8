//! Claims about the command as a program: `dlcast run` becomes another program, which notices nothing; `dlcast doctor` finds what
//! is in the way. The shim and the MPIs are stand-ins, compiled here: what the real ones do is shown under mpirun.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Past this a test fails instead of hanging.
const LIMIT: &str = "60";

/// An installation of its own: the command in `bin`, a shim in `lib`.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Installed {
        let installed = Installed::without_shim();
        // It tells that it was loaded, if asked to.
        let source = r#"
            #include <fcntl.h>
            #include <stdlib.h>
            #include <unistd.h>
            __attribute__((constructor)) static void told(void) {
                const char *path = getenv("TEST_TOLD");
                int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
                if (file >= 0 && write(file, "loaded\n", 7) == 7) close(file);
            }"#;
        installed.compile("lib/libdlcast_preload.so", source, &["-shared", "-fPIC"]);
        installed
    }

    fn without_shim() -> Installed {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        let command = Path::new(env!("CARGO_BIN_EXE_dlcast"));
        let here = folder.path().join("bin/dlcast");
        // A symbolic link would be followed to the build's own folder.
        if fs::hard_link(command, &here).is_err() {
            fs::copy(command, &here).unwrap();
        }
        Installed { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn compile(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = path.with_extension("c");
        fs::write(&text, source).unwrap();
        let output = Command::new("cc").arg("-o").arg(&path).arg(&text).args(flags).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(text).unwrap();
        path
    }

    fn script(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// `dlcast ARGUMENTS`, with a time limit. `--foreground`: `timeout` changes nothing else for what it starts.
    fn dlcast<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = plain(&[self.path("bin/dlcast").as_os_str()]);
        command.args(arguments);
        command
    }

    /// `dlcast run -- PROGRAM`.
    fn run<S: AsRef<OsStr>>(&self, program: &[S]) -> Command {
        let mut command = self.dlcast(&["run", "--"]);
        command.args(program);
        command
    }

    fn doctor(&self, program: &Path) -> (i32, serde_json::Value) {
        let output = self.dlcast(&["doctor", "--json", "--"]).arg(program).output().unwrap();
        let json = serde_json::from_slice(&output.stdout);
        (code(&output), json.unwrap_or_else(|error| panic!("{error}: {}", told(&output))))
    }
}

/// The same without dlcast.
fn plain<S: AsRef<OsStr>>(program: &[S]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", LIMIT]).args(program);
    for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DLCAST_")) {
        command.env_remove(name);
    }
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| -output.status.signal().unwrap())
}

/// What it wrote to standard error.
fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_end_of_the_program_is_the_end_of_the_command() {
    let installed = Installed::new();
    for (script, expected) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)] {
        let output = installed.run(&["sh", "-c", script]).output().unwrap();
        assert_eq!((code(&output), told(&output)), (expected, String::new()), "{script}");
    }
    // Without `timeout` between, which would turn a signal into a number.
    for (script, signal) in [("kill -TERM $$", 15), ("kill -KILL $$", 9)] {
        let mut command = Command::new(installed.path("bin/dlcast"));
        let status = command.args(["run", "--", "sh", "-c", script]).status().unwrap();
        assert_eq!(status.signal(), Some(signal));
    }
}

#[test]
fn arguments_and_the_programs_own_file_are_as_without() {
    let installed = Installed::new();
    let odd = OsStr::from_bytes(b"\xff\xfe");
    let program = ["cat", "/proc/self/cmdline", "--", "/dev/null", "", "a b", "--help", "--", "line\nbreak"];
    let program: Vec<&OsStr> = program.iter().map(OsStr::new).chain([odd]).collect();
    let (with, without) = (installed.run(&program).output().unwrap(), plain(&program).output().unwrap());
    assert!(with.stdout.starts_with(b"cat\0/proc/self/cmdline\0") && with.stdout.ends_with(b"\xff\xfe\0"));
    assert_eq!((with.stdout, code(&without)), (without.stdout, 1), "the odd names are no files");

    let own = ["readlink", "/proc/self/exe"];
    let (with, without) = (installed.run(&own).output().unwrap(), plain(&own).output().unwrap());
    assert!(with.status.success() && out(&with).ends_with('\n'));
    assert_eq!(out(&with), out(&without));
}

#[test]
fn the_environment_differs_by_the_documented_variables_only() {
    let installed = Installed::new();
    let shim = installed.path("lib/libdlcast_preload.so");
    let shim = shim.to_str().unwrap();
    let entries = |command: &mut Command| -> Vec<String> {
        command.env("ODD", "a=b\nc").env("A_FIRST", "");
        let text = out(&command.output().unwrap());
        text.split('\0').filter(|entry| !entry.is_empty()).map(String::from).collect()
    };
    let without = entries(&mut plain(&["env", "-0"]));
    assert!(without.contains(&"ODD=a=b\nc".into()) && without.contains(&"A_FIRST=".into()));
    let with = entries(&mut installed.run(&["env", "-0"]));
    // In the same order, too.
    let added = [format!("LD_PRELOAD={shim}"), format!("DLCAST_PRELOAD={shim}")];
    assert_eq!(with, [without.clone(), added.to_vec()].concat());

    let mut command =
        installed.dlcast(&["run", "--policy", "eager", "--strict", "--load", "sub/x.so", "--load", "liby.so"]);
    command.args([
        "--import",
        "a.b",
        "--timeout",
        "9",
        "--report",
        "r.json",
        "--stack",
        ".",
        "--exclude",
        "x*",
        "--include",
        "y",
        "env",
        "-0",
    ]);
    let here = installed.path("");
    let with = entries(command.current_dir(&here));
    let here = here.to_str().unwrap().trim_end_matches('/');
    let mut added: Vec<String> = with.iter().filter(|entry| !without.contains(entry)).cloned().collect();
    added.sort();
    assert_eq!(
        added,
        [
            "DLCAST_EXCLUDE=x*".to_string(),
            "DLCAST_IMPORT=a.b".into(),
            "DLCAST_INCLUDE=y".into(),
            format!("DLCAST_LOAD={here}/sub/x.so\nliby.so"),
            "DLCAST_POLICY=eager".into(),
            format!("DLCAST_PRELOAD={shim}"),
            format!("DLCAST_REPORT={here}/r.json"),
            format!("DLCAST_STACK={here}"),
            "DLCAST_STRICT=1".into(),
            "DLCAST_TIMEOUT=9".into(),
            format!("LD_PRELOAD={shim}"),
        ]
    );
}

#[test]
fn the_shim_is_loaded_behind_what_is_preloaded_already() {
    let installed = Installed::new();
    let other = installed.compile("other.so", "int other;", &["-shared", "-fPIC"]);
    let log = installed.path("told");
    let mut command = installed.run(&["env"]);
    let output = command.env("LD_PRELOAD", &other).env("TEST_TOLD", &log).output().unwrap();
    let shim = installed.path("lib/libdlcast_preload.so");
    let expected = format!("LD_PRELOAD={}:{}\n", other.display(), shim.display());
    assert!(out(&output).contains(&expected), "{}", out(&output));
    assert_eq!(fs::read_to_string(log).unwrap(), "loaded\n");
    // Under itself it is not preloaded twice.
    let output = installed.run(&[installed.path("bin/dlcast").as_os_str(), "run".as_ref(), "env".as_ref()]).output();
    assert!(out(&output.unwrap()).contains(&format!("LD_PRELOAD={}\n", shim.display())));
}

#[test]
fn globs_of_options_and_of_the_environment_both_count() {
    let installed = Installed::new();
    let mut command = installed.dlcast(&["run", "--exclude", "b*", "--exclude", "c", "env"]);
    let output = command.env("DLCAST_EXCLUDE", "a*").env("DLCAST_POLICY", "deferred").output().unwrap();
    assert!(out(&output).contains("DLCAST_EXCLUDE=a*:b*:c\n") && out(&output).contains("DLCAST_POLICY=deferred\n"));
}

#[test]
fn standard_input_reaches_the_program() {
    let installed = Installed::new();
    let mut child = installed.run(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"through\n").unwrap();
    drop(input);
    assert_eq!(out(&child.wait_with_output().unwrap()), "through\n");
}

/// Rust's runtime would ignore SIGPIPE, and open closed standard streams; its `Command` would reset SIGPIPE.
#[test]
fn signals_and_closed_streams_are_as_without() {
    let installed = Installed::new();
    let dlcast = installed.path("bin/dlcast");
    let dlcast = format!("{} run --", dlcast.display());
    let look = "sh -c 'grep -E \"Sig(Ign|Blk)\" /proc/self/status; readlink /proc/$$/fd/0'";
    let mut seen = Vec::new();
    for before in ["", "trap '' PIPE;", "trap '' PIPE USR1 INT;", "exec <&-;"] {
        let (with, without) = (format!("{before} exec {dlcast} {look}"), format!("{before} exec {look}"));
        let run = |script: &str| {
            let mut command = Command::new("sh");
            out(&command.args(["-c", script]).stdin(Stdio::null()).output().unwrap())
        };
        assert_eq!(run(&with), run(&without), "{before}");
        seen.push(run(&without));
    }
    seen.dedup();
    assert_eq!(seen.len(), 4, "each of them changes something: {seen:?}");
}

#[test]
fn a_program_that_cannot_be_started_is_told_as_a_shell_would() {
    let installed = Installed::new();
    let text = installed.script("text", "not a program\n", 0o644);
    for (program, expected, says) in [
        ("dlcast-no-such-program", 127, "no such program in PATH"),
        ("./dlcast-no-such-program", 127, "no such program"),
        (text.to_str().unwrap(), 126, "not executable; chmod +x"),
        ("/tmp", 126, "it is a folder"),
        ("/dev/null", 126, "no regular file"),
    ] {
        let output = installed.run(&[program]).output().unwrap();
        assert_eq!(code(&output), expected, "{program}");
        assert!(told(&output).starts_with("dlcast: ") && told(&output).contains(says), "{}", told(&output));
        assert!(told(&output).contains(program.trim_start_matches("./")) && output.stdout.is_empty());
    }
    // The interpreter of a script is missing: the file is there, and execve says that something is not.
    let lost = installed.script("lost", "#!/no/such/interpreter\n", 0o755);
    let output = installed.run(&[&lost]).output().unwrap();
    assert_eq!(code(&output), 127, "{}", told(&output));
    assert!(told(&output).contains("lost: cannot be started"), "{}", told(&output));
}

#[test]
fn a_script_runs_with_and_without_its_first_line() {
    let installed = Installed::new();
    for (name, text) in [("with", "#!/bin/sh\necho \"$0 $1\"\n"), ("without", "echo \"$0 $1\"\n")] {
        let script = installed.script(name, text, 0o755);
        let output = installed.run(&[script.as_os_str(), "one".as_ref()]).output().unwrap();
        assert_eq!(out(&output), format!("{} one\n", script.display()), "{}", told(&output));
    }
}

#[test]
fn what_keeps_dlcast_itself_from_going_ahead_is_125() {
    let installed = Installed::new();
    for (arguments, says) in [
        (&["run", "--report", "/no/such/folder/r.json", "true"][..], "no folder /no/such/folder"),
        (&["run", "--load", "", "true"], "--load"),
    ] {
        let output = installed.dlcast(arguments).output().unwrap();
        assert_eq!(code(&output), 125, "{}", told(&output));
        assert!(told(&output).contains(says), "{}", told(&output));
    }
    for (name, value) in [("DLCAST_TIMEOUT", "soon"), ("DLCAST_STRICT", "yes"), ("DLCAST_EXCLUDE", "[")] {
        let output = installed.run(&["true"]).env(name, value).output().unwrap();
        assert_eq!(code(&output), 125, "{}", told(&output));
        assert!(told(&output).contains(name) && told(&output).contains(value), "{}", told(&output));
    }
    for arguments in [&["run", "--timeout", "0", "true"][..], &["run", "--no-such-option", "true"], &["run"]] {
        let output = installed.dlcast(arguments).output().unwrap();
        assert_eq!(code(&output), 2, "{}", told(&output));
    }
}

#[test]
fn a_missing_shim_is_told_with_where_it_was_looked_for() {
    let installed = Installed::without_shim();
    let packaged = installed.path("lib/python3.99/site-packages/dlcast/_lib");
    fs::create_dir_all(&packaged).unwrap();
    let output = installed.run(&["true"]).output().unwrap();
    assert_eq!(code(&output), 125);
    for place in
        ["bin/libdlcast_preload.so", "lib/libdlcast_preload.so", "site-packages/dlcast/_lib/libdlcast_preload.so"]
    {
        assert!(told(&output).contains(place), "{}", told(&output));
    }
    // Each of these places does.
    for place in [packaged, installed.path("lib"), installed.path("bin")] {
        let shim = place.join("libdlcast_preload.so");
        installed.compile(shim.to_str().unwrap(), "int shim;", &["-shared", "-fPIC"]);
        let output = installed.run(&["env"]).output().unwrap();
        assert!(out(&output).contains(&format!("LD_PRELOAD={}\n", shim.display())), "{}", told(&output));
    }
}

const PRINTS: &str = r#"
    #include <stdio.h>
    #include <stdlib.h>
    int main(void) { const char *is = getenv("LD_PRELOAD"); puts(is ? is : "nothing"); return 3; }"#;

#[test]
fn a_static_program_runs_as_it_is() {
    let installed = Installed::new();
    let program = installed.compile("static", PRINTS, &["-static"]);
    let output = installed.run(&[&program]).output().unwrap();
    // What it starts may be an MPI program: the variable is handed on.
    assert!(out(&output).contains("libdlcast_preload.so"));
    assert_eq!((code(&output), told(&output)), (3, String::new()));
}

#[test]
fn a_program_of_another_c_library_is_not_given_the_shim() {
    let installed = Installed::new();
    // A loader of another name, which is the same loader.
    let loader = installed.path("ld-musl-test.so.1");
    let own = installed.compile("own", PRINTS, &[]);
    let interpreter = out(&Command::new("readelf").args(["-lW"]).arg(&own).output().unwrap());
    let interpreter = interpreter.split("interpreter: ").nth(1).unwrap().split(']').next().unwrap();
    symlink(interpreter, &loader).unwrap();
    let other = installed.compile("other", PRINTS, &[&format!("-Wl,--dynamic-linker={}", loader.display())]);
    let output = installed.run(&[&own]).output().unwrap();
    assert!(out(&output).contains("libdlcast_preload.so") && code(&output) == 3);
    let output = installed.run(&[&other]).output().unwrap();
    assert_eq!((code(&output), out(&output), told(&output)), (3, "nothing\n".into(), String::new()));
}

/// An MPI as far as a doctor asks it.
const MPI: &str = r#"
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    int MPI_Get_library_version(char *text, int *length) {
        strcpy(text, VERSION);
        *length = strlen(VERSION);
        return 0;
    }
    int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
        (void)argc, (void)argv;
        if (LEVEL < 0) abort();
        *provided = required < LEVEL ? required : LEVEL;
        return 0;
    }
    int MPI_Finalize(void) {
        if (getenv("TEST_CRASH_LATE")) abort();
        return 0;
    }"#;

/// A program, its MPI, and an engine that was built with that one.
fn with_mpi(version: &str, level: i32) -> (Installed, PathBuf) {
    let installed = Installed::new();
    let (version, level) = (format!("-DVERSION=\"{version}\""), format!("-DLEVEL={level}"));
    let flags = ["-shared", "-fPIC", "-Wl,-soname,libmpi.so.40", version.as_str(), level.as_str()];
    let mpi = installed.compile("mpi/libmpi.so.40", MPI, &flags);
    let linked = ["-Wl,--no-as-needed", mpi.to_str().unwrap(), "-Wl,-rpath,$ORIGIN/mpi:$ORIGIN/../mpi"];
    let engine = "unsigned dlcast_preload_version(void) { return 2; }";
    installed.compile("lib/libdlcast.so", engine, &[&linked[..], &["-shared", "-fPIC"]].concat());
    let program = installed.compile("program", "int main(void) { return 0; }", &linked);
    (installed, program)
}

fn finding<'a>(told: &'a serde_json::Value, about: &str) -> Vec<&'a serde_json::Value> {
    told["findings"].as_array().unwrap().iter().filter(|finding| finding["about"] == about).collect()
}

#[test]
fn a_doctor_tells_the_mpi_that_a_program_would_have_and_its_level() {
    let (installed, program) = with_mpi(env!("DLCAST_BUILT_MPI"), 3);
    let (code, told) = installed.doctor(&program);
    let says = finding(&told, "program")[0]["says"].as_str().unwrap();
    let mpi = installed.path("mpi/libmpi.so.40");
    assert!(says.contains(mpi.to_str().unwrap()), "{told}");
    assert!(finding(&told, "mpi")[0]["says"].as_str().unwrap().contains(env!("DLCAST_BUILT_MPI")), "{told}");
    assert!(finding(&told, "threads")[0]["says"].as_str().unwrap().contains("MPI_THREAD_MULTIPLE"), "{told}");
    // The launcher in PATH belongs to another MPI, perhaps; nothing else is wrong.
    let wrong = told["findings"].as_array().unwrap().iter().filter(|finding| finding["state"] == "problem");
    assert!(wrong.clone().all(|finding| finding["about"] == "launcher"), "{told}");
    assert_eq!(code, i32::from(wrong.count() > 0));
}

#[test]
fn a_doctor_tells_what_is_wrong_with_an_mpi() {
    for (version, level, about, says) in [
        (env!("DLCAST_BUILT_MPI"), 1, "threads", "MPI_THREAD_FUNNELED is all"),
        (env!("DLCAST_BUILT_MPI"), -1, "threads", "killed by signal 6"),
        ("Open MPI v99.0.1, package: none", 3, "mpi", "but dlcast was built with"),
    ] {
        let (installed, program) = with_mpi(version, level);
        let (code, told) = installed.doctor(&program);
        let found = finding(&told, about).into_iter().find(|finding| finding["state"] == "problem");
        assert!(found.is_some_and(|found| found["says"].as_str().unwrap().contains(says)), "{told}");
        assert!(found.unwrap()["way_out"].is_string());
        assert_eq!(code, 1);
    }
    let (installed, program) = with_mpi(env!("DLCAST_BUILT_MPI"), 3);
    let mut command = installed.dlcast(&["doctor", "--"]);
    let text = out(&command.arg(&program).env("TEST_CRASH_LATE", "1").output().unwrap());
    assert!(text.contains("warning  threads") && text.contains("killed by signal 6"), "{text}");
}

#[test]
fn a_doctor_tells_settings_that_lead_nowhere() {
    let (installed, program) = with_mpi(env!("DLCAST_BUILT_MPI"), 3);
    for (name, value, says) in [
        ("DLCAST_TIMEOUTS", "5", "warning  settings    DLCAST_TIMEOUTS: dlcast has no such setting"),
        ("DLCAST_TIMEOUT", "soon", "problem  settings    DLCAST_TIMEOUT is `soon`; expected seconds"),
        (
            "DLCAST_LOAD",
            "libz.so.1\n/none/libx.so",
            "problem  settings    DLCAST_LOAD names /none/libx.so, which is not",
        ),
        ("DLCAST_REPORT", "/none/report.json", "problem  settings    DLCAST_REPORT lies in /none, which is no folder"),
        ("DLCAST_STACK", "/none/stack.toml", "problem  settings    DLCAST_STACK: /none/stack.toml"),
        ("DLCAST_STACK", "stack.toml", "problem  settings    DLCAST_STACK is `stack.toml`; expected an absolute path"),
    ] {
        let mut command = installed.dlcast(&["doctor", "--"]);
        let text = out(&command.arg(&program).env(name, value).output().unwrap());
        assert!(text.contains(says), "{text}");
        assert!(!text.contains("every DLCAST_* variable"), "{text}");
    }
}

#[test]
fn a_doctor_tells_an_engine_that_does_not_go_with_the_shim() {
    for (engine, says) in [
        ("unsigned dlcast_preload_version(void) { return 1; }", "speaks version 1"),
        ("int other;", "offers the shim nothing"),
        ("extern int nowhere(void); int (*used)(void) = nowhere;", "undefined symbol: nowhere"),
    ] {
        let (installed, program) = with_mpi(env!("DLCAST_BUILT_MPI"), 3);
        installed.compile("lib/libdlcast.so", engine, &["-shared", "-fPIC"]);
        let (code, told) = installed.doctor(&program);
        let problems = finding(&told, "engine").into_iter().filter(|finding| finding["state"] == "problem");
        let told: Vec<&str> = problems.map(|finding| finding["says"].as_str().unwrap()).collect();
        assert!(told.len() == 1 && told[0].contains(says), "{told:?}");
        assert_eq!(code, 1);
    }
}

#[test]
fn a_doctor_tells_a_second_mpi_by_its_name() {
    let (installed, _) = with_mpi(env!("DLCAST_BUILT_MPI"), 3);
    let version = format!("-DVERSION=\"{}\"", env!("DLCAST_BUILT_MPI"));
    let flags = ["-shared", "-fPIC", "-Wl,-soname,libmpi.so.12", "-DLEVEL=3", version.as_str()];
    let second = installed.compile("second/libmpi.so.12", MPI, &flags);
    let flags = ["-Wl,--no-as-needed", second.to_str().unwrap(), "-Wl,-rpath,$ORIGIN/second"];
    let program = installed.compile("other", "int main(void) { return 0; }", &flags);
    let (code, told) = installed.doctor(&program);
    let problems = finding(&told, "mpi").into_iter().filter(|finding| finding["state"] == "problem");
    let says: Vec<&str> = problems.map(|finding| finding["says"].as_str().unwrap()).collect();
    assert!(says.len() == 1 && says[0].contains("libmpi.so.12") && says[0].contains("libmpi.so.40"), "{told}");
    assert_eq!(code, 1);
}

#[test]
fn a_doctor_tells_programs_that_nothing_can_be_preloaded_into() {
    let installed = Installed::new();
    let own = installed.compile("own", PRINTS, &[]);
    let with_bit = installed.path("setuid");
    fs::copy(&own, &with_bit).unwrap();
    fs::set_permissions(&with_bit, fs::Permissions::from_mode(0o4755)).unwrap();
    let mut foreign = fs::read(&own).unwrap();
    foreign[4] = 1;
    let foreign = {
        let path = installed.path("foreign");
        fs::write(&path, foreign).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    // Of one's own it changes nothing, and only root can give a file away.
    let is_given = std::os::unix::fs::chown(&with_bit, Some(65534), Some(65534)).is_ok();
    fs::set_permissions(&with_bit, fs::Permissions::from_mode(0o4755)).unwrap();
    let library = installed.compile("libown.so", PRINTS, &["-shared", "-fPIC"]);
    let fixed = installed.compile("static", PRINTS, &["-static"]);
    let script = installed.script("script", &format!("#!{}\n", fixed.display()), 0o755);
    for (program, says) in [
        (&fixed, "is static"),
        (&script, "is static"),
        (if is_given { &with_bit } else { &fixed }, if is_given { "setuid or setgid" } else { "is static" }),
        (&library, "is a shared library"),
        (&foreign, "made for"),
        (&installed.path("missing"), "no such program"),
    ] {
        let (code, told) = installed.doctor(program);
        let found = finding(&told, "program")[0];
        assert!(found["says"].as_str().unwrap().contains(says) && found["state"] == "problem", "{told}");
        assert!(found["says"].as_str().unwrap().contains(program.to_str().unwrap()), "{told}");
        assert_eq!(code, 1);
    }
    let (_, told) = installed.doctor(&own);
    assert_eq!(finding(&told, "program")[0]["state"], "warning", "{told}");
}

#[test]
fn a_doctor_under_a_launcher_starts_no_mpi() {
    let (installed, program) = with_mpi(env!("DLCAST_BUILT_MPI"), -1);
    let mut command = installed.dlcast(&["doctor", "--"]);
    let text = out(&command.arg(&program).env("PMI_RANK", "0").output().unwrap());
    assert!(text.contains("PMI_RANK is set") && !text.contains("killed"), "{text}");
}

#[test]
fn a_doctor_prints_the_policy() {
    let installed = Installed::new();
    let mut command = installed.dlcast(&["doctor", "--policy"]);
    let text = out(&command.env("DLCAST_EXCLUDE", "liba*:libb*").output().unwrap());
    for line in ["exclude  liba*", "exclude  libb*"] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    let rule: Vec<&str> = text.lines().find(|line| line.contains("libmpi.so*")).unwrap().split_whitespace().collect();
    assert_eq!(rule, ["file", "libmpi.so*", "MPI"]);
    let output = installed.dlcast(&["doctor", "--policy", "--json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["table"].as_array().unwrap().len() + 3, text.lines().count());
}
