//! Claims about checks, on stacks of objects made on the fly. `layers::search` is held against the real ld.so; here the real one is
//! asked once more, for what a whole check says.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::wants::{Left, Why, wants};
use super::*;
use crate::layers::check::needs::{How, Met};
use crate::layers::explain::State;
use crate::layers::scan;
use crate::layers::search::tests::fixture::{self, Bench};
use crate::layers::stack::Exclude;

const SITE: &str = "lib/python3.11/site-packages";
const NEW: &str = "-Wl,--enable-new-dtags";

/// `app` over `fw` over `rt`, and `other`, which nobody uses.
struct Made {
    bench: Bench,
    stack: Stack,
    variable: OsString,
}

fn site(layer: &str, path: &str) -> String {
    format!("{layer}/{SITE}/{path}")
}

impl Made {
    fn new(names: &[&str]) -> Made {
        let bench = Bench::new(names);
        let uses = [("app", r#"["fw", "rt"]"#), ("fw", r#"["rt"]"#), ("rt", "[]"), ("other", r#"["rt"]"#)];
        let mut text = String::new();
        for (layer, uses) in uses {
            std::fs::create_dir_all(bench.path(&site(layer, ""))).unwrap();
            bench.program(&format!("{layer}/bin/python3.11"), &[], &[]);
            symlink("python3.11", bench.path(&format!("{layer}/bin/python"))).unwrap();
            text += &format!("[[layer]]\nname = \"{layer}\"\npath = \"{layer}\"\nuses = {uses}\n");
        }
        std::fs::write(bench.path("stack.toml"), text).unwrap();
        let stack = Stack::read(&bench.path("stack.toml"), None).unwrap();
        Made { bench, stack, variable: OsString::new() }
    }

    fn check(&self) -> Report {
        self.with_programs(Vec::new())
    }

    fn with_programs(&self, programs: Vec<PathBuf>) -> Report {
        let scanned = scan::scan(&self.stack).unwrap();
        let host = Host { system: self.system(), variable: self.variable.clone(), programs };
        check(&self.stack, &scanned, &host).unwrap()
    }

    /// The host has a folder of its own here.
    fn system(&self) -> System {
        let mut system = fixture::system();
        system.folders.insert(0, self.bench.path("host"));
        system
    }

    fn link(&self) {
        let scanned = scan::scan(&self.stack).unwrap();
        let roots = crate::layers::link::roots(&self.stack).unwrap();
        let plan = crate::layers::link::plan(&self.stack, &roots, &scanned, &mut crate::layers::link::same).unwrap();
        Changes::find(&self.stack, &roots, &plan).unwrap().apply().unwrap();
    }

    fn wants(&self, layer: usize, object: &Path) -> wants::Wants {
        let scanned = scan::scan(&self.stack).unwrap();
        let roots = crate::layers::link::roots(&self.stack).unwrap();
        let host = Host { system: self.system(), ..Host::default() };
        let index = Index::new(&self.stack, &roots, &scanned, None);
        let scenes = Scenes::new(&index, &host, &scanned);
        let mut python = scenes.python(layer, scene::Way::Plain);
        wants(&mut python, &index, layer, object)
    }
}

fn finding<'a>(report: &'a Report, name: &str) -> &'a Finding {
    let mut named = report.findings.iter().filter(|finding| finding.key.name == name);
    let finding = named.next().unwrap();
    assert!(named.next().is_none(), "{:?}", report.findings);
    finding
}

#[test]
fn what_a_layer_below_has_is_found_by_links_and_missing_without() {
    let made = Made::new(&["libdlcastb.so.1"]);
    made.bench.extension(&site("app", "a.so"), &["libdlcastb.so.1"], &[]);
    let b = made.bench.library(&site("fw", "b/libdlcastb.so.1"), &[], &["-Wl,-soname,libdlcastb.so.1"]);
    let report = made.check();
    let one = finding(&report, "libdlcastb.so.1");
    assert_eq!(one.key.object, Path::new(&format!("{SITE}/a.so")));
    assert_eq!((one.problem.clone(), one.without.clone()), (Some(Problem::Unlinked), Some(Without::Missing)));
    assert_eq!(one.linked, Met::File { layer: Some(1), real: b, how: How::Variable });
    assert_eq!(report.unlinked, [0, 1, 2, 3]);
    made.link();
    let report = made.check();
    let one = finding(&report, "libdlcastb.so.1");
    assert_eq!((one.problem.clone(), one.without.clone()), (None, Some(Without::Missing)));
    assert!(report.unlinked.is_empty() && report.problems().next().is_none());
    // And so it is in earnest.
    for (python, is_well) in [("python", true), ("python_", false)] {
        let mut python = Command::new(made.bench.path(&format!("app/bin/{python}")));
        let output = python.arg(made.bench.path(&site("app", "a.so"))).output().unwrap();
        assert_eq!(output.status.success(), is_well, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_hosts_library_is_a_trap_without_links() {
    let made = Made::new(&["libdlcastmpi.so.40"]);
    made.bench.extension(&site("app", "a.so"), &["libdlcastmpi.so.40"], &[]);
    let own = made.bench.library(&site("fw", "mpi/libdlcastmpi.so.40"), &[], &["-Wl,-soname,libdlcastmpi.so.40"]);
    let host = made.bench.library("host/libdlcastmpi.so.40", &[], &["-Wl,-soname,libdlcastmpi.so.40,-z,nodelete"]);
    let report = made.check();
    let one = finding(&report, "libdlcastmpi.so.40");
    assert_eq!(one.problem, Some(Problem::Unlinked));
    assert_eq!(one.without, Some(Without::Trapped { host: host.clone() }));
    made.link();
    let report = made.check();
    let one = finding(&report, "libdlcastmpi.so.40");
    assert!(one.problem.is_none() && one.is_trapped());
    assert_eq!(one.linked, Met::File { layer: Some(1), real: own.clone(), how: How::Variable });
    // The same content is the same library.
    std::fs::copy(&own, &host).unwrap();
    assert!(!finding(&made.check(), "libdlcastmpi.so.40").is_trapped());
}

#[test]
fn the_users_variable_goes_before_the_links() {
    let mut made = Made::new(&["libdlcastb.so.1"]);
    made.bench.extension(&site("app", "a.so"), &["libdlcastb.so.1"], &[]);
    let own = made.bench.library(&site("fw", "libdlcastb.so.1"), &[], &[]);
    made.bench.library("mine/libdlcastb.so.1", &[], &["-Wl,-z,nodelete"]);
    made.link();
    made.variable = made.bench.text("mine").into();
    let report = made.check();
    assert_eq!(finding(&report, "libdlcastb.so.1").problem, Some(Problem::Replaced { by: own }));
    // What a wrapper has added is no user's.
    made.variable = made.bench.text("app/share/venv/dynlib").into();
    assert_eq!(finding(&made.check(), "libdlcastb.so.1").without, Some(Without::Missing));
    // What another stack's has added goes after the layers, and comes in without a wrapper.
    made.bench.library("else/share/venv/dynlib/libdlcastb.so.1", &[], &["-Wl,-z,nodelete"]);
    made.variable = made.bench.text("else/share/venv/dynlib/").into();
    let report = made.check();
    let one = finding(&report, "libdlcastb.so.1");
    assert_eq!(one.problem, None);
    assert!(matches!(one.without, Some(Without::Trapped { .. })));
}

#[test]
fn what_is_nowhere_is_missing_and_the_layer_that_has_it_is_named() {
    let mut made = Made::new(&["libdlcastb.so", "libdlcastc.so", "libdlcastd.so"]);
    made.bench.extension(&site("app", "a.so"), &["libdlcastb.so", "libdlcastc.so", "libdlcastd.so"], &[]);
    made.bench.library(&site("other", "libdlcastb.so"), &[], &[]);
    made.bench.library(&site("fw", "libdlcastc.so"), &[], &[]);
    made.stack.layers[1].exclude = Exclude::new(&["*".into()]).unwrap();
    let report = made.check();
    for (name, state) in
        [("libdlcastb.so", Some(State::NotUsed)), ("libdlcastc.so", Some(State::Excluded)), ("libdlcastd.so", None)]
    {
        let one = finding(&report, name);
        assert_eq!(one.problem, Some(Problem::Missing));
        assert!(matches!(&one.linked, Met::Missing(trail) if trail.tried.len() > 3));
        assert_eq!(one.places.first().map(|place| place.state.clone()), state, "{name}");
    }
}

/// A private copy lies beside what needs it, and is brought along by an RPATH; alone it would find nothing.
#[test]
fn a_library_is_judged_as_it_is_brought_along() {
    let made = Made::new(&["libdlcastb.so", "libdlcastc.so", "libdlcastnowhere.so"]);
    made.bench.extension(&site("app", "a.so"), &["libdlcastb.so"], &["-Wl,--disable-new-dtags,-rpath,$ORIGIN/a.libs"]);
    made.bench.library(&site("app", "a.libs/libdlcastb.so"), &["libdlcastc.so"], &[]);
    made.bench.library(&site("app", "a.libs/libdlcastc.so"), &[], &[]);
    let report = made.check();
    assert!(report.problems().next().is_none(), "{:?}", report.findings);
    // One that nobody brings along is opened by itself, and what it brings along with it.
    made.bench.library(&site("app", "alone/libdlcastd.so"), &["libdlcastnowhere.so"], &[]);
    let report = made.check();
    let missing: Vec<&str> = report.problems().map(|one| one.key.name.to_str().unwrap()).collect();
    assert_eq!(missing, ["libdlcastnowhere.so"]);
}

#[test]
fn a_link_is_no_origin_and_check_knows_it() {
    let made = Made::new(&["libdlcastb.so.1", "libdlcastp.so"]);
    made.bench.extension(&site("app", "a.so"), &["libdlcastb.so.1"], &[]);
    let b = site("fw", "b/libdlcastb.so.1");
    made.bench.library(&b, &["libdlcastp.so"], &["-Wl,-soname,libdlcastb.so.1", NEW, "-Wl,-rpath,$ORIGIN/private"]);
    made.bench.library(&site("fw", "b/private/libdlcastp.so"), &[], &[]);
    // The private one has a link, too.
    made.link();
    assert!(made.check().problems().next().is_none());
    let mut excluding = made;
    excluding.stack.layers[1].exclude = Exclude::new(&["private/*".into()]).unwrap();
    excluding.link();
    let report = excluding.check();
    let one: Vec<&Finding> = report.problems().collect();
    assert_eq!(one.len(), 1, "{:?}", report.findings);
    assert_eq!((one[0].key.name.to_str().unwrap(), &one[0].problem), ("libdlcastp.so", &Some(Problem::Missing)));
    let python = excluding.bench.path("app/bin/python");
    let output = Command::new(python).arg(excluding.bench.path(&site("app", "a.so"))).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("libdlcastp.so: cannot open"), "{output:?}");
}

#[test]
fn a_layer_above_can_shadow_what_a_layer_needs() {
    let made = Made::new(&["libdlcastb.so.1"]);
    made.bench.extension(&site("fw", "f.so"), &["libdlcastb.so.1"], &[]);
    made.bench.library(&site("fw", "libdlcastb.so.1"), &[], &[]);
    let above = made.bench.library(&site("app", "libdlcastb.so.1"), &[], &["-Wl,-z,nodelete"]);
    made.link();
    let report = made.check();
    assert_eq!(report.shadows.len(), 1);
    let named = report.findings.iter().filter(|one| one.key.name == "libdlcastb.so.1");
    let seen: Vec<(&[usize], &Met)> = named.map(|one| (&one.viewers[..], &one.linked)).collect();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.contains(&(&[0], &Met::File { layer: Some(0), real: above, how: How::Variable })), "{seen:?}");
}

#[test]
fn a_link_that_hides_a_library_of_the_host_is_told_with_the_programs_that_notice() {
    let made = Made::new(&["libdlcastz.so.1", "libdlcasty.so.1"]);
    made.bench.library("host/libdlcastz.so.1", &[], &["-Wl,-soname,libdlcastz.so.1"]);
    made.bench.library("host/libdlcasty.so.1", &["libdlcastz.so.1"], &["-Wl,-soname,libdlcasty.so.1"]);
    // One needs it by way of another library of the host; one brings its own along.
    let git = made.bench.program("host/bin/git", &["libdlcasty.so.1"], &[]);
    made.bench.library("host/own/libdlcastz.so.1", &[], &[]);
    made.bench.program("host/bin/own", &["libdlcastz.so.1"], &["-Wl,--disable-new-dtags,-rpath,$ORIGIN/../own"]);
    std::fs::write(made.bench.path("host/bin/script"), "#!/bin/sh\n").unwrap();
    let z = made.bench.library(&site("fw", "libdlcastz.so.1"), &[], &["-Wl,-soname,libdlcastz.so.1,-z,nodelete"]);
    // A private copy hides nothing.
    made.bench.library(&site("fw", "libdlcasty.e05c5b49.so.1"), &[], &["-Wl,-soname,libdlcasty.so.1"]);
    let report = made.with_programs(vec![made.bench.path("host/bin"), made.bench.path("app/bin"), "/nowhere".into()]);
    let [hidden] = &report.hidden[..] else { panic!("{:?}", report.hidden) };
    let host = made.bench.path("host/libdlcastz.so.1");
    assert_eq!(*hidden, Hidden { name: "libdlcastz.so.1".into(), host, layer: 1, file: z, programs: vec![git] });
}

#[test]
fn a_link_that_hides_what_the_layers_own_python_needs_is_told() {
    let made = Made::new(&["libdlcastz.so.1", "libdlcasty.so.1"]);
    let named = "-Wl,-soname,libdlcastz.so.1";
    let host = made.bench.library("host/libdlcastz.so.1", &[], &[named, "-Wl,-z,nodelete"]);
    // By way of another library of the host; the Pythons of `fw` and `other` lie in their layers.
    made.bench.library("host/libdlcasty.so.1", &["libdlcastz.so.1"], &["-Wl,-soname,libdlcasty.so.1"]);
    let python = made.bench.program("host/bin/python3.11", &["libdlcasty.so.1"], &[]);
    for layer in ["app", "rt"] {
        let own = made.bench.path(&format!("{layer}/bin/python3.11"));
        std::fs::remove_file(&own).unwrap();
        symlink(&python, own).unwrap();
    }
    made.bench.program("fw/bin/python3.11", &["libdlcasty.so.1"], &[]);
    assert_eq!(made.check().misled, []);
    let file = made.bench.library("rt/lib/libdlcastz.so.1", &[], &[named]);
    let one = |program: PathBuf, viewers: &[usize]| {
        let (name, host, file) = ("libdlcastz.so.1".into(), host.clone(), file.clone());
        Misled { program, name, host, layer: 2, file, viewers: viewers.to_vec() }
    };
    assert_eq!(made.check().misled, [one(python.clone(), &[0, 2])]);
    // A copy of the host's, as its environment says, is the host's.
    std::fs::write(made.bench.path("fw/pyvenv.cfg"), format!("home = {}\n", made.bench.path("host/bin").display()))
        .unwrap();
    let copy = made.bench.path("fw/bin/python3.11");
    assert_eq!(made.check().misled, [one(python, &[0, 2]), one(copy, &[1])]);
    std::fs::write(made.bench.path("fw/pyvenv.cfg"), format!("home = {}\n", made.bench.path("other/bin").display()))
        .unwrap();
    assert_eq!(made.check().misled.len(), 1);
    // The same library hides nothing.
    std::fs::copy(host, file).unwrap();
    assert_eq!(made.check().misled, []);
}

#[test]
fn a_damaged_library_is_refused_and_no_panic() {
    let made = Made::new(&["libdlcastb.so"]);
    made.bench.extension(&site("app", "a.so"), &["libdlcastb.so"], &[]);
    let b = made.bench.library(&site("host", "b.so"), &[], &[]);
    let data = std::fs::read(b).unwrap();
    std::fs::create_dir_all(made.bench.path("host")).unwrap();
    std::fs::write(made.bench.path("host/libdlcastb.so"), &data[..data.len() / 2]).unwrap();
    let report = made.check();
    let one = finding(&report, "libdlcastb.so");
    assert_eq!(one.problem, Some(Problem::Refused));
    assert!(matches!(&one.linked, Met::Refused { why, .. } if why.contains("truncated")), "{one:?}");
}

/// Any damage to any object: a report, and no panic.
#[test]
fn hostile_objects_are_checked_without_a_panic() {
    let made = Made::new(&["libdlcastb.so", "libdlcastc.so"]);
    let path = ["-Wl,--enable-new-dtags,-rpath,$ORIGIN:$LIB:/nowhere", "-Wl,-soname,libdlcastb.so"];
    let a = made.bench.extension(&site("app", "a.so"), &["libdlcastb.so"], &path);
    let b = made.bench.library(&site("fw", "libdlcastb.so"), &["libdlcastc.so"], &path);
    let good = [&a, &b].map(|path| std::fs::read(path).unwrap());
    let mut random = fastrand::Rng::with_seed(9);
    for _ in 0..100 {
        for (path, good) in [&a, &b].into_iter().zip(&good) {
            let mut data = good.clone();
            for _ in 0..random.usize(..4) {
                // Where headers, names and the dynamic section are.
                let at = random.usize(..data.len().min(0x400)) + if random.bool() { 0 } else { data.len() / 2 };
                let at = at.min(data.len() - 1);
                data[at] = random.u8(..);
            }
            std::fs::write(path, data).unwrap();
        }
        let scanned = scan::scan(&made.stack).unwrap();
        let host = Host { system: made.system(), ..Host::default() };
        // Two that have come to bear one name are an error.
        if let Ok(report) = check(&made.stack, &scanned, &host) {
            assert!(report.objects >= 4);
        }
    }
}

fn opens(wants: &wants::Wants) -> Vec<(&str, &Why)> {
    wants.first.iter().map(|want| (want.name.to_str().unwrap(), &want.why)).collect()
}

/// Opened in this order, each by its path, in a process without wrapper and links: then the object opens, too.
#[test]
fn what_is_wanted_first_makes_the_object_open() {
    let made = Made::new(&["libdlcastb.so.1", "libdlcastc.so.1", "libdlcastd.so.1"]);
    let library = |at: &str, name: &str, needs: &[&str]| {
        made.bench.library(&site(at, &format!("{name}/{name}")), needs, &[&format!("-Wl,-soname,{name}")])
    };
    let a = made.bench.extension(&site("app", "a.so"), &["libdlcastb.so.1", "libdlcastd.so.1"], &[]);
    library("fw", "libdlcastb.so.1", &["libdlcastc.so.1"]);
    library("rt", "libdlcastc.so.1", &["libdlcastd.so.1"]);
    library("rt", "libdlcastd.so.1", &[]);
    let open = |files: &[&Path]| {
        let output = Command::new(made.bench.path("app/bin/python3.11")).args(files).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(!open(&[&a]).0);
    let wants = made.wants(0, &a);
    let names: Vec<&str> = opens(&wants).into_iter().map(|(name, _)| name).collect();
    assert_eq!((names, &wants.left[..]), (vec!["libdlcastd.so.1", "libdlcastc.so.1", "libdlcastb.so.1"], &[][..]));
    let files: Vec<&Path> = wants.first.iter().map(|want| want.file.as_path()).chain([a.as_path()]).collect();
    assert_eq!(open(&files), (true, String::new()));
    // Each of them is needed, and in this order.
    for left_out in 0..files.len() - 1 {
        let rest: Vec<&Path> = (0..files.len()).filter(|at| *at != left_out).map(|at| files[at]).collect();
        assert!(!open(&rest).0, "{left_out}");
    }
}

#[test]
fn libraries_that_need_each_other_are_told_and_not_opened() {
    let made = Made::new(&["libdlcastb.so.1", "libdlcastc.so.1"]);
    let a = made.bench.extension(&site("app", "a.so"), &["libdlcastb.so.1"], &[]);
    made.bench.library(&site("fw", "libdlcastb.so.1"), &["libdlcastc.so.1"], &["-Wl,-soname,libdlcastb.so.1"]);
    made.bench.library(&site("rt", "libdlcastc.so.1"), &["libdlcastb.so.1"], &["-Wl,-soname,libdlcastc.so.1"]);
    let wants = made.wants(0, &a);
    assert!(wants.first.is_empty());
    assert!(wants.left.iter().any(|(_, _, left)| matches!(left, Left::Circle { .. })), "{wants:?}");
    assert!(
        wants
            .left
            .iter()
            .any(|(name, by, left)| { name == "libdlcastb.so.1" && *by == a && matches!(left, Left::Fails { .. }) })
    );
    // Links do it, for those who have both within reach.
    made.link();
    let report = made.check();
    let viewers: Vec<&[usize]> = report.problems().map(|one| &one.viewers[..]).collect();
    assert_eq!(viewers, [[2, 3]]);
}

#[test]
fn what_opening_first_does_not_cure_is_told() {
    let made = Made::new(&["libdlcastb.so", "libdlcastc.so", "libdlcastd.so"]);
    let a = made.bench.extension(&site("app", "a.so"), &["libdlcastb.so", "libdlcastc.so"], &[]);
    let b = made.bench.library(&site("fw", "libdlcastb.so"), &[], &[]);
    let wants = made.wants(0, &a);
    assert!(wants.first.is_empty());
    let left: Vec<(&str, &Left)> = wants.left.iter().map(|(name, _, left)| (name.to_str().unwrap(), left)).collect();
    assert_eq!(left, [("libdlcastb.so", &Left::OtherName { file: b }), ("libdlcastc.so", &Left::Nowhere)]);
}

#[test]
fn the_layers_library_is_wanted_in_place_of_the_hosts_unless_that_is_loaded() {
    let made = Made::new(&["libdlcastmpi.so.40", "libdlcasthost.so"]);
    let named = "-Wl,-soname,libdlcastmpi.so.40";
    let a = made.bench.extension(&site("app", "a.so"), &["libdlcastmpi.so.40"], &[]);
    let own = made.bench.library(&site("fw", "libdlcastmpi.so.40"), &[], &[named]);
    let host = made.bench.library("host/libdlcastmpi.so.40", &[], &[named, "-Wl,-z,nodelete"]);
    let wants = made.wants(0, &a);
    assert_eq!(opens(&wants), [("libdlcastmpi.so.40", &Why::Trapped { host: host.clone() })]);
    assert_eq!((wants.first[0].layer, &wants.first[0].file), (1, &own));
    // What the host's own libraries need is theirs.
    made.bench.library("host/libdlcasthost.so", &["libdlcastmpi.so.40"], &[]);
    let c = made.bench.extension(&site("app", "c.so"), &["libdlcasthost.so"], &[]);
    assert_eq!(made.wants(0, &c), wants::Wants::default());
    let d = made.bench.extension(&site("app", "d.so"), &["libdlcasthost.so", "libdlcastmpi.so.40"], &[]);
    assert_eq!(opens(&made.wants(0, &d)).len(), 1);
    // A RUNPATH that leads to the host's is the object's own will.
    let b = made.bench.extension(
        &site("app", "b.so"),
        &["libdlcastmpi.so.40"],
        &[NEW, "-Wl,-rpath,$ORIGIN/../../../../host"],
    );
    assert!(made.wants(0, &b).first.is_empty());
    // Python itself has it.
    made.bench.program("app/bin/python3.11", &["libdlcastmpi.so.40"], &[]);
    let wants = made.wants(0, &a);
    assert!(wants.first.is_empty());
    assert!(matches!(&wants.left[..], [(_, _, Left::Loaded { host: theirs, .. })] if *theirs == host), "{wants:?}");
}

/// What a package or a program in C opens is judged as an extension module is.
#[test]
fn a_library_that_no_extension_module_needs_is_judged_in_the_process() {
    let own = ["libdlcastmore.so", "libdlcastext.so", "libdlcastrun.so"];
    let made = Made::new(&[&["libdlcastb.so.1", "libdlcastc.so.1", "libdlcastz.so.1"][..], &own].concat());
    let named = |name: &str| format!("-Wl,-soname,{name}");
    let library = |path: &str, needs: &[&str]| {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        made.bench.library(path, needs, &[&named(name)])
    };
    // Two that need each other, and one that has the host's loaded by Python.
    let user = made.bench.library("app/lib/libuser.so", &["libdlcastb.so.1"], &[]);
    let b = library(&site("fw", "b/libdlcastb.so.1"), &["libdlcastc.so.1"]);
    let c = library(&site("fw", "c/libdlcastc.so.1"), &["libdlcastb.so.1"]);
    let needs_z = made.bench.library("app/lib/libneedz.so", &["libdlcastz.so.1"], &[]);
    let z = made.bench.library("rt/lib/libdlcastz.so.1", &[], &[&named("libdlcastz.so.1")]);
    let host = made.bench.library("host/libdlcastz.so.1", &[], &[&named("libdlcastz.so.1"), "-Wl,-z,nodelete"]);
    made.bench.program("app/bin/python3.11", &["libdlcastz.so.1"], &[]);
    // What a module or a program brings along is found by its RPATH, and is not judged without that.
    let at = "-Wl,--disable-new-dtags,-rpath,$ORIGIN/own:$ORIGIN/own/more";
    library("app/lib/own/more/libdlcastmore.so", &[]);
    library("app/lib/own/libdlcastext.so", &["libdlcastmore.so"]);
    library("app/lib/own/libdlcastrun.so", &["libdlcastmore.so"]);
    made.bench.extension("app/lib/ext.so", &["libdlcastext.so"], &[at]);
    made.bench.program("app/lib/run.so", &["libdlcastrun.so"], &[at]);

    let report = made.check();
    let of = |name: &str, by: &Path, left: Left, viewers: &[usize]| Remains {
        name: name.into(),
        by: by.into(),
        left,
        viewers: viewers.to_vec(),
    };
    let mut wanted = vec![
        of("libdlcastb.so.1", &c, Left::Circle { file: b.clone() }, &[0, 1]),
        of("libdlcastc.so.1", &b, Left::Fails { file: c }, &[0, 1]),
        of("libdlcastb.so.1", &user, Left::Fails { file: b }, &[0]),
        of("libdlcastz.so.1", &needs_z, Left::Loaded { host, file: z }, &[0]),
    ];
    for remains in &report.remains {
        let at = wanted.iter().position(|wanted| wanted == remains);
        wanted.remove(at.unwrap_or_else(|| panic!("{remains:?}")));
    }
    assert_eq!(wanted, []);
    // And so it is in earnest.
    let output = Command::new(made.bench.path("rt/bin/python3.11")).arg(user).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("libdlcastb.so.1: cannot open"), "{output:?}");
}

/// Two levels down, too: the file that is to blame is named, and what is wrong with it.
#[test]
fn a_broken_file_of_a_wanted_name_is_named_with_what_it_is() {
    let made = Made::new(&["libdlcastm.so.1", "libdlcastb.so.1"]);
    made.bench.extension(&site("app", "a.so"), &["libdlcastm.so.1"], &[]);
    made.bench.library("fw/lib/libdlcastm.so.1", &["libdlcastb.so.1"], &["-Wl,-soname,libdlcastm.so.1"]);
    let base = made.bench.library("rt/lib/libdlcastb.so.1", &[], &["-Wl,-soname,libdlcastb.so.1"]);
    let good = std::fs::read(&base).unwrap();
    let mut foreign = good.clone();
    // Another machine's number.
    foreign[18..20].copy_from_slice(&if cfg!(target_arch = "aarch64") { 62_u16 } else { 183 }.to_ne_bytes());
    let machine = if cfg!(target_arch = "aarch64") { "made for x86_64" } else { "made for aarch64" };
    for (content, what) in [(&good[..good.len() / 2], "damaged (truncated"), (&foreign, machine), (&[], "empty")] {
        std::fs::write(&base, content).unwrap();
        let report = made.check();
        let of_app = |one: &&Finding| one.key.name == "libdlcastb.so.1" && one.viewers.contains(&0);
        let one = report.findings.iter().find(of_app).unwrap();
        assert_eq!(one.problem, Some(Problem::Missing));
        let [place] = &one.places[..] else { panic!("{one:?}") };
        assert_eq!((place.layer.as_deref(), &place.path), (Some("rt"), &base));
        assert!(matches!(&place.state, State::Broken(is) if is.starts_with(what)), "{what}: {place:?}");
    }
    std::fs::write(&base, good).unwrap();
    assert!(made.check().findings.iter().flat_map(|one| &one.places).all(|one| one.state == State::Offered));
}
