//! Mistakes that are found before a plugin is loaded.

use libloading::os::unix::RTLD_NOW;

use crate::compiler::{Build, FAMILIES, source};
use crate::plugin::Plugin;

#[test]
fn what_has_no_portable_type_does_not_compile() {
    let functions = [
        "void f(const double &) {}",
        "struct s { int x; }; void f(s) {}",
        "enum class e { a }; void f(e) {}",
        "long double f() { return 0; }",
        "void f(void (*)()) {}",
        "int *const &f() { static int *p; return p; }",
    ];
    let callbacks = ["int f(const void *, std::size_t, std::uint64_t) { return 0; }", "void f(int) {}"];
    let folder = tempfile::tempdir().unwrap();
    let lines = functions.map(|line| (line, "task<&f> t{\"f\"}")).into_iter();
    for (line, use_it) in lines.chain(callbacks.map(|line| (line, "callback<&f> c"))) {
        let source = folder.path().join("bad.cpp");
        let text =
            format!("#include <dlcast_plugin.h>\nDLCAST_PLUGIN(\"bad\", \"1\");\n{line}\nstatic dlcast::{use_it};\n");
        std::fs::write(&source, text).unwrap();
        for family in FAMILIES {
            let output = Build::new(family, "c++17").try_library(folder.path(), "bad", std::slice::from_ref(&source));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("dlcast: "), "{family:?}: {line}:\n{said}");
        }
    }
}

#[test]
fn a_plugin_without_its_name_does_not_link() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let output = Build::new(family, "c++17").try_library(folder.path(), "missing", &[source("missing.c")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("DLCAST_PLUGIN"), "{said}");
    }
}

#[test]
fn a_plugin_without_memory_has_no_table() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let path = Build::new(family, "c++17").library(folder.path(), "no_memory", &[source("no_memory.c")]);
        assert!(Plugin::asked(&path, RTLD_NOW).is_null());
    }
}
