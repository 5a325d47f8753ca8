//! Starts the wrapper for real, with programs in place of Python that tell what they were given.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::*;

/// Layers of this name, the first on top, each with a wrapper.
struct Made {
    folder: tempfile::TempDir,
    names: Vec<OsString>,
}

impl Made {
    fn new(names: &[&str]) -> Made {
        let names: Vec<&OsStr> = names.iter().map(OsStr::new).collect();
        Made::of(&names)
    }

    fn of(names: &[&OsStr]) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let made = Made { folder, names: names.iter().map(OsString::from).collect() };
        for (at, name) in names.iter().enumerate() {
            let root = made.root().join(name);
            let below: Vec<PathBuf> = names[at + 1..].iter().map(|name| made.root().join(name)).collect();
            fs::create_dir_all(root.join("bin")).unwrap();
            let below: Vec<&Path> = below.iter().map(PathBuf::as_path).collect();
            fs::write(root.join("bin/python"), text(Platform::Posix, &root, &below).unwrap()).unwrap();
            fs::set_permissions(root.join("bin/python"), fs::Permissions::from_mode(0o755)).unwrap();
            symlink("/usr/bin/env", root.join("bin/python_")).unwrap();
            symlink("python", root.join("bin/python3")).unwrap();
        }
        made
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn bin(&self, layer: usize) -> PathBuf {
        self.root().join(&self.names[layer]).join("bin")
    }

    /// What `env` is called by a start of the wrapper of the first layer.
    fn becomes(&self, program: &str) {
        fs::remove_file(self.bin(0).join("python_")).unwrap();
        symlink(program, self.bin(0).join("python_")).unwrap();
    }

    /// The folders of links from this layer down, in `root`.
    fn folders(&self, root: &Path, layer: usize) -> Vec<u8> {
        let folders = self.names[layer..].iter().map(|name| root.join(name).join(DYNLIB).into_os_string().into_vec());
        folders.collect::<Vec<_>>().join(&b':')
    }
}

/// A start in an empty environment.
fn start(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg("60").arg("env").arg("-i").arg(program);
    command
}

fn with(program: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new("timeout");
    command.arg("60").arg("env").arg("-i").args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(program);
    command
}

/// Starts it. A child that another test has just forked may hold the script open for writing, for a moment (ETXTBSY).
pub(super) fn ended(command: &mut Command) -> Output {
    loop {
        let output = command.output().unwrap();
        if !shown(&output.stderr).contains("Text file busy") {
            return output;
        }
    }
}

fn out(command: &mut Command) -> Vec<u8> {
    let output = ended(command);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    output.stdout
}

/// The variables that `env -0` tells.
fn told(command: &mut Command) -> Vec<(OsString, Vec<u8>)> {
    let told = out(command.arg("-0"));
    let entries = told.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    let split = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=').unwrap();
        (OsString::from_vec(entry[..at].into()), entry[at + 1..].to_vec())
    };
    entries.map(split).collect()
}

fn path_of(command: &mut Command) -> Vec<u8> {
    value_of(command, "LD_LIBRARY_PATH").unwrap()
}

fn value_of(command: &mut Command, variable: &str) -> Option<Vec<u8>> {
    told(command).into_iter().find(|(name, _)| name == variable).map(|(_, value)| value)
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a failed start says; the name of the wrapper comes first.
fn refused(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(126), 0), "{output:?}");
    shown(&output.stderr)
}

#[test]
fn folders_are_in_the_order_of_the_layers_and_below_the_users_own() {
    let made = Made::new(&["app", "fw", "rt"]);
    let python = made.bin(0).join("python");
    let ours = shown(&made.folders(&made.root(), 0));
    fs::create_dir_all(made.root().join("fw").join(DYNLIB)).unwrap();
    for (before, expected) in [
        ("", ours.clone()),
        (":", ours.clone()),
        ("/x", format!("/x:{ours}")),
        (":/x::/y/:", format!("/x:/y/:{ours}")),
        ("/x;/y", format!("/x:/y:{ours}")),
        ("* :~:$HOME:\\", format!("* :~:$HOME:\\:{ours}")),
        ("/y:/x:/y", format!("/y:/x:{ours}")),
        (&format!("{}:/x", shown(&made.folders(&made.root(), 1))), format!("/x:{ours}")),
        // What other wrappers have put there comes last, however it is spelled.
        ("/o/share/venv/dynlib:/x", format!("/x:{ours}:/o/share/venv/dynlib")),
        (
            "/o//share/./venv/dynlib/.//:/p/share/venv/dynlib:/o/share/venv/dynlib",
            format!("{ours}:/o/share/venv/dynlib:/p/share/venv/dynlib"),
        ),
        ("/o/share/venv/dynlib2:/o/hare/venv/dynlib", format!("/o/share/venv/dynlib2:/o/hare/venv/dynlib:{ours}")),
        // As venvstacks' wrapper names those of its own layers.
        ("/o/bin/../share/venv/dynlib", format!("{ours}:/o/bin/../share/venv/dynlib")),
        (&format!("{}/../share/venv/dynlib:/x", made.bin(1).display()), format!("/x:{ours}")),
    ] {
        assert_eq!(shown(&path_of(&mut with(&python, &[("LD_LIBRARY_PATH", before)]))), expected, "{before}");
    }
    assert_eq!(shown(&path_of(&mut start(&python))), ours);
    assert_eq!(path_of(&mut start(&made.bin(1).join("python"))), made.folders(&made.root(), 1));
}

#[test]
fn names_mean_themselves() {
    let odd: [&[u8]; 9] = [
        b"with space ",
        b"quote'quote\"",
        b"$HOME`id`$(id)",
        b"*?[a-z]{x,y}",
        b"new\nline\n",
        b"back\\slash\\",
        b"-n ~ ! # & | > %s",
        b"\xff\xfe not text",
        "Größe".as_bytes(),
    ];
    for name in odd {
        let name = OsStr::from_bytes(name);
        let made = Made::of(&[name, OsStr::new("plain"), &OsString::from_vec([b"2 ", name.as_bytes()].concat())]);
        for (python, layer) in [(made.bin(0).join("python"), 0), (made.bin(1).join("python3"), 1)] {
            let expected = made.folders(&made.root(), layer);
            assert_eq!(shown(&path_of(&mut start(&python))), shown(&expected), "{name:?}");
        }
        // By a link from elsewhere, too.
        let link = made.root().join(OsString::from_vec([b"link ", name.as_bytes()].concat()));
        symlink(made.bin(0).join("python"), &link).unwrap();
        assert_eq!(path_of(&mut start(&link)), made.folders(&made.root(), 0), "{name:?}");
    }
}

#[test]
fn every_way_to_the_wrapper_leads_to_the_same_folders() {
    let made = Made::new(&["app", "fw"]);
    let root = made.root();
    symlink("app/bin/python3", root.join("one")).unwrap();
    symlink(root.join("one"), root.join("two")).unwrap();
    symlink("app", root.join("linked")).unwrap();
    symlink(&root, root.join("fw/whole")).unwrap();
    let expected = made.folders(&root, 0);
    let ways = [
        "app/bin/python",
        "./app/bin/python3",
        "app//bin/./python",
        "fw/../app/bin/python",
        "./one",
        "./two",
        "linked/bin/python",
    ];
    for way in
        ways.iter().copied().chain(["fw/whole/app/bin/python3", "fw/whole/linked/../app/bin/python", "fw/whole/two"])
    {
        let mut command = start(Path::new(way));
        assert_eq!(shown(&path_of(command.current_dir(&root))), shown(&expected), "{way}");
        assert_eq!(shown(&path_of(&mut start(&root.join(way)))), shown(&expected), "{way}");
    }
}

#[test]
fn the_interpreter_is_told_the_name_of_the_wrapper() {
    let made = Made::new(&["app", "fw"]);
    let root = made.root();
    made.becomes("/bin/cat");
    symlink("app/bin/python3", root.join("one")).unwrap();
    symlink("app", root.join("linked")).unwrap();
    for (way, expected) in [
        ("app/bin/python", "app/bin/python"),
        ("app/bin/python3", "app/bin/python"),
        ("./one", "app/bin/python"),
        ("./app/../app/bin/python3", "app/bin/python"),
        // As with Python itself, a link to the folder stays in its name.
        ("linked/bin/python3", "linked/bin/python"),
    ] {
        let said = out(start(Path::new(way)).arg("/proc/self/cmdline").current_dir(&root));
        let expected = format!("{}\0/proc/self/cmdline\0", root.join(expected).display());
        assert_eq!(shown(&said), expected, "{way}");
    }
}

/// As `python -m venv` makes one of an installation whose `python` is a wrapper.
#[test]
fn an_environment_with_links_to_the_wrapper_stays_an_environment() {
    let made = Made::new(&["app", "fw"]);
    let root = made.root();
    made.becomes("/bin/cat");
    fs::create_dir_all(root.join("other/bin")).unwrap();
    symlink(made.bin(0).join("python"), root.join("other/bin/python")).unwrap();
    symlink("python", root.join("other/bin/python3")).unwrap();
    symlink("other/bin/python3", root.join("link")).unwrap();
    let told = |way: &str| shown(&out(start(&root.join(way)).arg("/proc/self/cmdline")));
    let first = |way: &str| told(way).split('\0').next().unwrap().to_string();
    assert_eq!(first("other/bin/python3"), made.bin(0).join("python").display().to_string());
    fs::write(root.join("other/pyvenv.cfg"), "").unwrap();
    assert_eq!(first("other/bin/python3"), root.join("other/bin/python3").display().to_string());
    assert_eq!(first("other/bin/python"), root.join("other/bin/python").display().to_string());
    assert_eq!(first("link"), root.join("other/bin/python3").display().to_string());
    // Started by venvstacks' wrapper as python_, it is told what that one is called.
    symlink(made.bin(0).join("python"), root.join("other/bin/python_")).unwrap();
    assert_eq!(first("other/bin/python_"), root.join("other/bin/python").display().to_string());
}

#[test]
fn arguments_arrive_as_they_are() {
    let made = Made::new(&["app"]);
    made.becomes("/usr/bin/printf");
    let arguments = ["%s|", "", "a b", "*", "-c", "$x", "new\nline", "\\", "--", "-p"];
    let said = out(start(&made.bin(0).join("python")).args(arguments));
    assert_eq!(shown(&said), "|a b|*|-c|$x|new\nline|\\|--|-p|");
}

#[test]
fn a_hundred_nested_starts_leave_the_variable_as_one_does() {
    let made = Made::new(&["app", "fw", "rt"]);
    let wrapper = |layer: usize| made.bin(layer).join("python");
    let once = path_of(&mut with(&wrapper(0), &[("LD_LIBRARY_PATH", "/x")]));
    for order in [[0, 0, 0], [0, 1, 2], [2, 1, 0]] {
        let mut command = with(&wrapper(0), &[("LD_LIBRARY_PATH", "/x")]);
        for at in 0..99 {
            command.arg(wrapper(order[at % 3]));
        }
        // The last one decides on the order.
        command.arg(wrapper(0));
        assert_eq!(shown(&path_of(&mut command)), shown(&once), "{order:?}");
    }
}

#[test]
fn the_layer_of_the_last_start_comes_first() {
    let made = Made::new(&["app", "fw"]);
    let mut command = with(&made.bin(1).join("python"), &[("LD_LIBRARY_PATH", "/x")]);
    let path = path_of(command.arg(made.bin(0).join("python")));
    assert_eq!(shown(&path), format!("/x:{}", shown(&made.folders(&made.root(), 0))));
}

/// Two stacks, or two applications of one: the Python of one starts the other's.
#[test]
fn a_python_started_by_another_one_takes_its_own_layers_libraries() {
    let (one, other) = (Made::new(&["app", "fw"]), Made::new(&["app", "fw"]));
    let folders = |made: &Made| shown(&made.folders(&made.root(), 0));
    let wrappers = [one.bin(0).join("python"), other.bin(0).join("python")];
    let nested = |starts: usize| {
        let mut command = with(&wrappers[0], &[("LD_LIBRARY_PATH", "/mine")]);
        command.args((1..starts).map(|at| &wrappers[at % 2]));
        shown(&path_of(&mut command))
    };
    assert_eq!(nested(2), format!("/mine:{}:{}", folders(&other), folders(&one)));
    assert_eq!(nested(3), format!("/mine:{}:{}", folders(&one), folders(&other)));
    // Nothing is added by more of them.
    assert_eq!((nested(100), nested(101)), (nested(2), nested(3)));
}

#[test]
fn nothing_else_of_the_environment_changes() {
    let made = Made::new(&["app", "fw"]);
    let evil = made.root().join("evil");
    fs::write(&evil, "LD_LIBRARY_PATH=/evil; exit 3\n").unwrap();
    let evil = evil.to_str().unwrap();
    let path = made.bin(0);
    let mut variables = vec![
        ("PATH", "/nowhere"),
        ("BASH_ENV", evil),
        ("ENV", evil),
        ("BASH_FUNC_export%%", "() { echo taken; }"),
        ("BASH_FUNC_exec%%", "() { echo taken; }"),
        ("CDPATH", "/:/tmp"),
        ("GLOBIGNORE", "*"),
        ("self", "1"),
        ("path", "2"),
        ("text", "one\ntwo "),
        ("a.b-c", "odd name"),
        ("empty", ""),
        ("SHLVL", "7"),
        ("PWD", path.to_str().unwrap()),
    ];
    for posix in [None, Some(("POSIXLY_CORRECT", "1"))] {
        variables.extend(posix);
        let mut plain = told(with(Path::new("/usr/bin/env"), &variables).current_dir(&path));
        // By the ways that need more of bash, too.
        symlink(made.bin(0).join("python"), made.root().join(format!("link{}", variables.len()))).unwrap();
        for way in
            [made.bin(0).join("python"), made.root().join(format!("link{}", variables.len())), "../bin/python".into()]
        {
            let mut wrapped = told(with(&way, &variables).current_dir(&path));
            wrapped.retain(|(name, _)| name != "LD_LIBRARY_PATH");
            plain.sort();
            wrapped.sort();
            assert_eq!(wrapped, plain, "{way:?}");
        }
    }
    // What bash takes for its own changes nothing in what it does.
    for odd in [
        ("SHELLOPTS", "nounset:noexec:errexit"),
        ("BASHOPTS", "extglob:nullglob"),
        ("IFS", "/"),
        ("BASH_COMPAT", "3.2"),
    ] {
        let path = path_of(&mut with(&made.bin(0).join("python"), &[odd, ("LD_LIBRARY_PATH", "/x y:*")]));
        assert_eq!(shown(&path), format!("/x y:*:{}", shown(&made.folders(&made.root(), 0))), "{odd:?}");
    }
    // What it would hand on of its own is what it was. (Options that would have bash do something else here are left out.)
    let options = "braceexpand:hashall:interactive-comments";
    for (name, given, expected) in [
        ("SHELLOPTS", "", options),
        ("SHELLOPTS", "pipefail:noexec:allexport:monitor:zz", "braceexpand:hashall:interactive-comments:pipefail"),
        (
            "SHELLOPTS",
            "xtrace:errexit:nounset:noglob",
            "braceexpand:errexit:hashall:interactive-comments:noglob:nounset:xtrace",
        ),
        ("SHELLOPTS", "privileged", "braceexpand:hashall:interactive-comments:privileged"),
        ("IFS", "/x\n", "/x\n"),
        ("IFS", "", ""),
        ("PS4", "$x ", "$x "),
        ("LINENO", "17", "17"),
        ("OPTIND", "3", "3"),
        ("OPTERR", "0", "0"),
    ] {
        let value = value_of(&mut with(&made.bin(0).join("python"), &[(name, given)]), name).unwrap();
        assert_eq!(shown(&value), expected, "{name}={given}");
    }
    let mut command = with(&made.bin(0).join("python"), &[("BASHOPTS", "extglob:extdebug")]);
    let value = shown(&value_of(&mut command, "BASHOPTS").unwrap());
    assert!(value.contains(":extglob:") && !value.contains("extdebug"), "{value}");
    // What bash adds to an empty one is harmless.
    let mut names: Vec<OsString> = told(&mut start(&path.join("python"))).into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["LD_LIBRARY_PATH", "PWD", "SHLVL"]);
}

#[test]
fn a_start_calls_no_program_but_the_interpreter() {
    let made = Made::new(&["app", "fw", "rt"]);
    for way in ["./python", "./python3", "../bin/python"] {
        let mut command = Command::new("timeout");
        command.args(["60", "strace", "-f", "-qq", "-e", "trace=execve", "env", "-i", way]).current_dir(made.bin(0));
        let said = ended(&mut command);
        let started = shown(&said.stderr);
        let started: Vec<&str> = started.lines().filter(|line| line.ends_with("= 0")).collect();
        // env, the wrapper, the interpreter.
        assert_eq!(started.len(), 3, "{started:?}");
    }
}

#[test]
fn what_is_no_interpreter_is_not_started_for_ever() {
    let made = Made::new(&["app", "fw"]);
    let python = made.bin(0).join("python");
    let other = made.bin(1).join("python");
    for target in ["python", "python3", other.to_str().unwrap()] {
        made.becomes(target);
        let said = refused(&ended(&mut start(&python)));
        assert!(said.contains("leads to a script") && said.contains("dlcast layers link"), "{said}");
    }
    let pipe = made.root().join("pipe");
    assert!(Command::new("mkfifo").arg("-m").arg("777").arg(&pipe).status().unwrap().success());
    for target in ["nowhere", "python_", pipe.to_str().unwrap(), "/"] {
        made.becomes(target);
        let said = refused(&ended(&mut start(&python)));
        assert!(said.contains("is no interpreter") && said.contains("dlcast layers link"), "{said}");
    }
}

/// `venv --copies` copies what it takes for the interpreter.
#[test]
fn a_copy_of_the_wrapper_starts_the_interpreter_of_its_home_without_layers() {
    let made = Made::new(&["app", "fw"]);
    let (root, home) = (made.root(), made.bin(0));
    let copy = root.join("made: anew/bin/python3");
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::copy(home.join("python"), &copy).unwrap();
    // Without a home it is a layer's that has lost its interpreter.
    assert!(refused(&ended(&mut start(&copy))).contains("python3 -m venv --symlinks"));
    let config = root.join("made: anew/pyvenv.cfg");
    fs::write(&config, format!("home = {}\n", home.display())).unwrap();
    assert_eq!(value_of(&mut start(&copy), "LD_LIBRARY_PATH"), None);
    assert_eq!(value_of(&mut with(&copy, &[("LD_LIBRARY_PATH", "/x::")]), "LD_LIBRARY_PATH").unwrap(), b"/x::");
    made.becomes("/bin/cat");
    let said = shown(&out(start(&copy).arg("/proc/self/cmdline")));
    assert!(said.starts_with(&format!("{}\0", copy.display())), "{said}");
    // Where the home has its interpreter back, it is that; where it has another wrapper and nothing behind it, it is none.
    fs::remove_file(home.join("python_")).unwrap();
    assert!(refused(&ended(&mut start(&copy))).contains("leads to a script"));
    fs::remove_file(home.join("python")).unwrap();
    assert!(refused(&ended(&mut start(&copy))).contains("is no interpreter"));
    symlink("/usr/bin/env", home.join("python")).unwrap();
    assert_eq!(value_of(&mut start(&copy), "LD_LIBRARY_PATH"), None);
    // A layer's own wrapper does not go past the layer.
    fs::create_dir_all(root.join("made: anew/share/venv")).unwrap();
    fs::rename(root.join("made: anew"), root.join("made")).unwrap();
    assert!(refused(&ended(&mut start(&root.join("made/bin/python3")))).contains("run dlcast layers link"));
}

#[test]
fn from_a_folder_that_is_gone_it_says_so() {
    let made = Made::new(&["app"]);
    let gone = made.root().join("gone");
    fs::create_dir(&gone).unwrap();
    let mut command = Command::new("timeout");
    command.args([
        "60",
        "env",
        "-i",
        "/bin/sh",
        "-c",
        "cd gone && rmdir ../gone && unset PWD && exec ../app/bin/python",
    ]);
    let said = refused(&ended(command.current_dir(made.root())));
    assert!(said.contains("the current folder is gone"), "{said}");
}

#[test]
fn an_environment_without_a_home_is_not_started() {
    let made = Made::new(&["app", "fw"]);
    let (python, config) = (made.bin(0).join("python"), made.root().join("app/pyvenv.cfg"));
    // As Python reads it: the first line counts, and spaces around it do not.
    for (text, gone) in [
        ("x = y\n home\t=\t/gone/bin \r\nhome = /usr/bin\n", Some("/gone/bin")),
        ("home = /gone/$HOME/*", Some("/gone/$HOME/*")),
        ("home = /usr/bin\nhome = /gone\n", None),
        ("Home=/gone", Some("/gone")),
        ("home=/usr/bin", None),
        ("homely = /gone\nhome\n", None),
        ("", None),
    ] {
        fs::write(&config, text).unwrap();
        let output = ended(start(&python).env("IFS", "/"));
        match gone {
            None => assert!(output.status.success() && output.stderr.is_empty(), "{text:?}: {output:?}"),
            Some(gone) => {
                let said = refused(&output);
                let expected = format!("home in {} is {gone}, which is not there: ", config.display());
                assert!(said.contains(&expected) && said.contains("dlcast layers link"), "{said}");
            }
        }
    }
}

#[test]
fn a_moved_stack_has_its_new_folders() {
    let made = Made::new(&["app", "fw"]);
    for (place, is_good) in
        [("moved", true), ("moved again/deeper", true), ("with:colon", false), ("with;semicolon", false)]
    {
        let to = made.root().join(place);
        fs::create_dir_all(&to).unwrap();
        for name in &made.names {
            fs::rename(made.root().join(name), to.join(name)).unwrap();
        }
        let python = to.join("app/bin/python");
        match is_good {
            true => assert_eq!(shown(&path_of(&mut start(&python))), shown(&made.folders(&to, 0))),
            false => {
                let said = refused(&ended(&mut start(&python)));
                assert!(said.contains("LD_LIBRARY_PATH cannot hold"), "{said}");
            }
        }
        for name in &made.names {
            fs::rename(to.join(name), made.root().join(name)).unwrap();
        }
    }
}

#[test]
fn layers_are_named_from_the_folder_that_they_share() {
    let line = |layer: &str, below: &[&str]| -> Vec<String> {
        let below: Vec<&Path> = below.iter().map(Path::new).collect();
        let text = shown(&text(Platform::Posix, Path::new(layer), &below).unwrap());
        let wanted = |line: &&str| {
            line.starts_with("dlcast_stack=") || line.starts_with("  \"$dlcast_stack") || line.starts_with("  '/")
        };
        text.lines().filter(wanted).map(|line| line.trim().replace(DYNLIB, "D")).collect()
    };
    assert_eq!(line("/s/app", &["/s/fw"]), ["dlcast_stack=${dlcast_layer%/*}", "\"$dlcast_stack\"/'fw/D'"]);
    assert_eq!(
        line("/s/apps/a", &["/s/apps/b", "/s/rt"]),
        ["dlcast_stack=${dlcast_layer%/*/*}", "\"$dlcast_stack\"/'apps/b/D'", "\"$dlcast_stack\"/'rt/D'"]
    );
    // What shares nothing with it does not move along.
    assert_eq!(
        line("/s/a", &["/s/b", "/opt/rt"]),
        ["dlcast_stack=${dlcast_layer%/*}", "\"$dlcast_stack\"/'b/D'", "'/opt/rt/D'"]
    );
    assert_eq!(line("/s/a", &["/s/a/inner"]), ["dlcast_stack=${dlcast_layer}", "\"$dlcast_stack\"/'inner/D'"]);
    assert_eq!(line("/s/a", &[]), ["dlcast_stack=${dlcast_layer}"]);
}

#[test]
fn paths_that_the_loader_takes_apart_are_refused() {
    let refusal =
        |platform, path: &str| text(platform, Path::new("/a"), &[Path::new(path)]).err().map(|error| error.to_string());
    for path in ["/a:b", "/a;b", "/$ORIGIN", "/x/${LIB}/y", "/$LIB-1", "/x$PLATFORM"] {
        let said = refusal(Platform::Posix, path).unwrap();
        assert!(said.contains(path) && said.contains("LD_LIBRARY_PATH; rename the folder"), "{said}");
    }
    for path in ["/$LIBRARY", "/$LIB_1", "/ORIGIN", "/${LIB", "/$", "/$x"] {
        assert_eq!(refusal(Platform::Posix, path), None);
    }
    assert!(refusal(Platform::MacOs, "/a:b").unwrap().contains("DYLD_LIBRARY_PATH"));
    assert_eq!(refusal(Platform::MacOs, "/a;$LIB"), None);
}

/// What ld.so itself makes of the paths that are taken and refused.
#[test]
fn ld_so_takes_apart_what_is_refused_and_nothing_else() {
    for (path, is_kept) in
        [("/a;b", false), ("/x/$LIB/y", false), ("/x/${ORIGIN}", false), ("/$LIBRARY", true), ("/a b'*\n", true)]
    {
        let mut command = Command::new("timeout");
        command.args(["60", "/bin/true"]).env("LD_DEBUG", "libs").env("LD_LIBRARY_PATH", path);
        let said = shown(&command.output().unwrap().stderr);
        assert!(said.contains("search path="), "{said}");
        let is_seen = said.contains(&format!("{path}/")) || said.contains(&format!("search path={path}\t"));
        assert_eq!(is_seen || said.contains(&format!(":{path}")), is_kept, "{path}: {said}");
    }
}

#[test]
fn on_macos_it_is_dylds_variable() {
    let (layer, below) = (Path::new("/s/app"), Path::new("/s/fw"));
    let text = shown(&text(Platform::MacOs, layer, &[below]).unwrap());
    assert!(text.contains("export DYLD_LIBRARY_PATH=") && text.contains("=$DYLD_LIBRARY_PATH\n"));
    assert!(text.contains("%%[:]*}") && text.contains("*[:]*"));
    assert!(!text.replace("DYLD_LIBRARY_PATH", "").contains("LD_LIBRARY_PATH"));
    // What bash 3.2, which macOS has, does not know.
    for newer in ["local -n", "mapfile", "declare -A", "${dlcast_self@", "read -N", "|&", "&>>"] {
        assert!(!text.contains(newer), "{newer}");
    }
}

#[test]
fn it_is_good_bash() {
    let made = Made::new(&["app", "it's"]);
    let python = made.bin(0).join("python");
    let text = fs::read_to_string(&python).unwrap();
    assert!(text.contains(OURS) && !text.contains("@F") && !text.contains("@S") && !text.contains("@V"), "{text}");
    let check = |command: &mut Command| {
        command.arg(&python).output().map(|output| (output.status.success(), shown(&output.stdout)))
    };
    assert!(check(Command::new("bash").arg("-n")).unwrap().0);
    // SC2206, SC2086: words are split here on purpose.
    match check(Command::new("shellcheck").arg("--exclude=SC2086")) {
        Ok((good, said)) => assert!(good, "{said}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
    assert_ne!(fs::metadata(&python).unwrap().mode() & 0o111, 0);
}
