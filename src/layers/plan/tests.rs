//! Claims about plans, on layers with libraries that are compiled here.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

/// The layers `app` over `framework` over `runtime`, and stubs to link against.
struct Bench {
    dir: tempfile::TempDir,
}

const PACKAGES: &str = "lib/python3.11/site-packages";

impl Bench {
    fn new() -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        let mut text = String::new();
        for (name, uses) in [("app", "'framework'"), ("framework", "'runtime'"), ("runtime", "")] {
            std::fs::create_dir_all(bench.path(&format!("{name}/{PACKAGES}"))).unwrap();
            std::fs::create_dir(bench.path(&format!("{name}/bin"))).unwrap();
            symlink("/usr/bin/env", bench.path(&format!("{name}/bin/python"))).unwrap();
            text.push_str(&format!("[[layer]]\nname = '{name}'\npath = '{name}'\nuses = [{uses}]\n"));
        }
        std::fs::write(bench.path("stack.toml"), text).unwrap();
        std::fs::write(bench.path("empty.c"), "int dlcast_nothing;\n").unwrap();
        std::fs::create_dir(bench.path("stubs")).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// A library at `name`, with a SONAME or none, that needs these names.
    fn library(&self, name: &str, soname: Option<&str>, needs: &[&str], flags: &[&str]) {
        for need in needs {
            self.cc(&format!("stubs/{need}"), &[format!("-Wl,-soname,{need}")]);
        }
        let mut all: Vec<String> = soname.iter().map(|soname| format!("-Wl,-soname,{soname}")).collect();
        all.extend(["-Wl,--no-as-needed".into(), format!("-L{}", self.path("stubs").display())]);
        all.extend(needs.iter().map(|need| format!("-l:{need}")));
        all.extend(flags.iter().map(ToString::to_string));
        self.cc(name, &all);
    }

    fn cc(&self, name: &str, flags: &[String]) {
        let out = self.path(name);
        std::fs::create_dir_all(out.parent().unwrap()).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-nostdlib", "-fPIC", "-o"]).arg(out).arg(self.path("empty.c")).args(flags);
        assert!(cc.status().unwrap().success());
    }

    fn plan(&self, target: &Target) -> Plan {
        let stack = Stack::read(self.dir.path(), None).unwrap();
        Plan::make(&stack, target, &crate::host::search::system()).unwrap()
    }

    /// What is opened before an object, as paths in the stack.
    fn first(&self, plan: &Plan, object: &str) -> Vec<String> {
        let first = plan.objects.get(&self.path(object)).cloned().unwrap_or_default();
        first.into_iter().map(|index| self.within(&plan.libraries[index].file)).collect()
    }

    fn within(&self, file: &Path) -> String {
        file.strip_prefix(self.path("")).unwrap().display().to_string()
    }

    fn means(&self, plan: &Plan, name: &str) -> Option<String> {
        plan.names.get(name).map(|index| self.within(&plan.libraries[*index].file))
    }
}

#[test]
fn what_an_object_needs_is_opened_in_the_order_of_needs() {
    let bench = Bench::new();
    bench.library("runtime/lib/libc_.so.1", Some("libc_.so.1"), &[], &[]);
    bench.library("framework/lib/libb.so.1", Some("libb.so.1"), &["libc_.so.1"], &[]);
    bench.library("runtime/lib/libd.so.1", Some("libd.so.1"), &["libc_.so.1"], &[]);
    bench.library(&format!("app/{PACKAGES}/m.so"), None, &["libb.so.1", "libd.so.1"], &[]);
    let plan = bench.plan(&Target::default());
    let expected = ["runtime/lib/libc_.so.1", "framework/lib/libb.so.1", "runtime/lib/libd.so.1"];
    assert_eq!(bench.first(&plan, &format!("app/{PACKAGES}/m.so")), expected);
    assert_eq!(bench.first(&plan, "framework/lib/libb.so.1"), ["runtime/lib/libc_.so.1"]);
    assert_eq!(plan, Plan::from_json(&plan.to_json().unwrap()).unwrap());
}

#[test]
fn what_comes_along_by_an_rpath_gets_what_it_needs_too() {
    let bench = Bench::new();
    bench.library("runtime/lib/libc_.so.1", Some("libc_.so.1"), &[], &[]);
    bench.library(&format!("app/{PACKAGES}/own/libb.so"), None, &["libc_.so.1"], &[]);
    bench.library(&format!("app/{PACKAGES}/m.so"), None, &["libb.so"], &["-Wl,-rpath,$ORIGIN/own"]);
    let plan = bench.plan(&Target::default());
    assert_eq!(bench.first(&plan, &format!("app/{PACKAGES}/m.so")), ["runtime/lib/libc_.so.1"]);
}

#[test]
fn what_is_found_without_the_layers_is_left_alone() {
    let bench = Bench::new();
    let module = format!("app/{PACKAGES}/m.so");
    bench.library("runtime/lib/libb.so", Some("libb.so"), &[], &[]);
    bench.library("elsewhere/libb.so", Some("libb.so"), &[], &[]);
    bench.library(&module, None, &["libb.so"], &[]);
    let library_path = bench.path("elsewhere").into_os_string();
    let with = Target { library_path, ..Target::default() };
    assert_eq!(bench.first(&bench.plan(&Target::default()), &module), ["runtime/lib/libb.so"]);
    assert_eq!(bench.plan(&with).objects, BTreeMap::new());
    assert_eq!(bench.means(&bench.plan(&with), "libb.so"), None);
    bench.library(&module, None, &["libb.so"], &["-Wl,-rpath,$ORIGIN/../../../../elsewhere"]);
    assert_eq!(bench.plan(&Target::default()).objects, BTreeMap::new());
}

#[test]
fn a_layer_goes_before_the_host() {
    let bench = Bench::new();
    let module = format!("app/{PACKAGES}/m.so");
    bench.library("runtime/lib/libresolv.so.2", Some("libresolv.so.2"), &[], &[]);
    bench.library(&module, None, &["libresolv.so.2"], &[]);
    assert!(std::fs::exists("/etc/ld.so.cache").unwrap());
    let plan = bench.plan(&Target::default());
    assert_eq!(bench.first(&plan, &module), ["runtime/lib/libresolv.so.2"]);
    assert_eq!(bench.means(&plan, "libresolv.so.2").unwrap(), "runtime/lib/libresolv.so.2");
    // What is loaded already, ld.so takes, whatever anybody would like better.
    bench.library("runtime/lib/libc.so.6", Some("libc.so.6"), &[], &[]);
    bench.library(&module, None, &["libc.so.6"], &[]);
    let program = Target { program: Some("/bin/sh".into()), ..Target::default() };
    assert_eq!(bench.first(&bench.plan(&program), &module), Vec::<String>::new());
}

#[test]
fn a_library_is_known_by_its_soname_alone() {
    let bench = Bench::new();
    let module = format!("app/{PACKAGES}/m.so");
    bench.library("runtime/lib/libb.so", None, &[], &[]);
    bench.library("runtime/lib/libd.so", Some("libd.so.1"), &[], &[]);
    bench.library(&module, None, &["libb.so", "libd.so"], &[]);
    let plan = bench.plan(&Target::default());
    // To open them first would be no help.
    assert_eq!(bench.first(&plan, &module), Vec::<String>::new());
    for (name, file) in [("libb.so", "libb.so"), ("libd.so", "libd.so"), ("libd.so.1", "libd.so")] {
        assert_eq!(bench.means(&plan, name).unwrap(), format!("runtime/lib/{file}"));
    }
}

#[test]
fn libraries_that_need_each_other_cannot_go_first() {
    let bench = Bench::new();
    let module = format!("app/{PACKAGES}/m.so");
    bench.library("runtime/lib/libb.so", Some("libb.so"), &["libd.so"], &[]);
    bench.library("framework/lib/libd.so", Some("libd.so"), &["libb.so"], &[]);
    bench.library(&module, None, &["libb.so"], &[]);
    let plan = bench.plan(&Target::default());
    // Which is one of the things that `dlcast layers check` tells of.
    assert_eq!(bench.first(&plan, &module), Vec::<String>::new());
}

#[test]
fn the_path_tells_whose_process_it_is() {
    let bench = Bench::new();
    let module = format!("runtime/{PACKAGES}/m.so");
    bench.library("framework/lib/libb.so", Some("libb.so"), &[], &[]);
    bench.library(&module, None, &["libb.so"], &[]);
    let of = |layer: &str| {
        bench.plan(&Target { path: vec![bench.path(&format!("{layer}/{PACKAGES}"))], ..Target::default() })
    };
    assert_eq!(bench.first(&of("app"), &module), ["framework/lib/libb.so"]);
    assert_eq!(of("runtime").objects, BTreeMap::new());
    let outside = Target { path: vec!["/usr/lib".into()], ..Target::default() };
    assert_eq!(bench.first(&bench.plan(&outside), &module), ["framework/lib/libb.so"]);
}

#[test]
fn a_text_in_place_of_a_library_means_the_one_that_it_names() {
    let bench = Bench::new();
    bench.library("runtime/lib/libb.so.1", Some("libb.so.1"), &[], &[]);
    std::fs::write(bench.path("runtime/lib/libb.so"), "INPUT(libb.so.1)\n").unwrap();
    std::fs::write(bench.path("runtime/lib/libx.so"), "INPUT(libx.so.1)\n").unwrap();
    let plan = bench.plan(&Target::default());
    assert_eq!(bench.means(&plan, "libb.so").unwrap(), "runtime/lib/libb.so.1");
    assert_eq!(bench.means(&plan, "libx.so"), None);
}

#[test]
fn what_lies_in_a_layer_was_looked_at_whether_it_needs_anything_or_not() {
    let bench = Bench::new();
    bench.library("runtime/lib/libb.so.1", Some("libb.so.1"), &[], &[]);
    bench.library("elsewhere/libx.so", Some("libx.so"), &["libb.so.1"], &[]);
    symlink(bench.path("runtime"), bench.path("alias")).unwrap();
    let plan = bench.plan(&Target::default());
    assert!(plan.has(&bench.path("runtime/lib/libb.so.1")) && plan.has(&bench.path("alias/lib/libb.so.1")));
    assert!(!plan.has(&bench.path("elsewhere/libx.so")));
    // Of the layers that do not count for a process, nothing was.
    let plan = bench.plan(&Target { path: vec![bench.path("runtime/bin")], ..Target::default() });
    assert!(plan.has(&bench.path("runtime/lib/libb.so.1")) && !plan.has(&bench.path("app/bin/python")));
}

#[test]
fn a_plan_from_elsewhere_is_checked() {
    let plan = |version: u32, index: usize| {
        format!(r#"{{"version":{version},"stack":"/s","libraries":[],"objects":{{"/a":[{index}]}},"names":{{}}}}"#)
    };
    let of = |text: &str| Plan::from_json(text).unwrap_err().to_string();
    assert!(of(&plan(VERSION, 0)).contains("names a library that it does not have"));
    assert!(of(&plan(1, 0)).contains("is of version 1"));
    assert!(of("{").contains("cannot be read"));
}
