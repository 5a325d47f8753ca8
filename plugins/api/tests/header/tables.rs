//! What plugins say about themselves, however they are built.

use std::fmt::Write as _;

use dlcast_plugin::abi;
use libloading::os::unix::{RTLD_GLOBAL, RTLD_NOW};

use crate::compiler::{Build, CLANG, FAMILIES, Family, GNU, source};
use crate::plugin::{Plugin, payload, run, symbols, text, typed};
use crate::{ONLY, several};

/// The ways to build that a plugin may choose; clang's own LTO would want a linker that Debian's clang does not bring.
fn ways(family: Family) -> Vec<Build> {
    let mut ways = Vec::new();
    for standard in ["c++17", "c++20"] {
        let build = Build::new(family, standard);
        ways.push(build.clone().flags(["-O0", "-fvisibility=default"]));
        ways.push(build.clone().flags(["-O1", "-fvisibility=hidden"]));
        ways.push(build.clone().flags(["-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]));
        ways.push(build.clone().flags(["-O3", "-fno-rtti"]));
        if family.c == GNU.c {
            ways.push(build.clone().flags(["-O2", "-flto"]));
        }
    }
    ways
}

fn each_way(test: impl Fn(&str, &Build, &std::path::Path)) {
    for family in FAMILIES {
        for (number, build) in ways(family).iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            test(&format!("{}{number}", family.c), build, folder.path());
        }
    }
}

#[test]
fn a_plugin_in_c_says_all_it_has() {
    each_way(|_, build, folder| {
        let path = build.library(folder, "whole", &[source("whole.c")]);
        assert_eq!(symbols(&path), ONLY, "{build:?}");
        let plugin = Plugin::open(&path);
        assert_eq!((plugin.table.abi, plugin.table.size), (1, 48));
        assert_eq!((text(plugin.table.name), text(plugin.table.version)), ("whole", "1.2"));
        let mut names: Vec<_> = plugin.tasks().iter().map(|task| task.name).collect();
        if !build.has("-flto") {
            assert_eq!(names, ["half", "twice", "more half", "more twice", "last"], "{build:?}");
        }
        // Link-time optimisation may run the constructors of C in another order.
        names.sort_unstable();
        assert_eq!(names, ["half", "last", "more half", "more twice", "twice"], "{build:?}");
        assert_eq!(plugin.task("twice").signature, "c:int(int)");
        let twice: unsafe extern "C" fn(i32) -> i32 =
            // SAFETY: this is the type of `twice` in whole.c.
            unsafe { std::mem::transmute::<abi::Function, _>(plugin.task("more twice").function) };
        // SAFETY: any number will do.
        assert_eq!(unsafe { twice(4) }, 8);
        let mut callbacks = plugin.callbacks();
        callbacks.sort_unstable_by_key(|callback| callback.tag);
        assert_eq!((payload(&callbacks[0]), callbacks[0].tag), (&b"payload"[..], 3));
        assert_eq!(run(callbacks[0].function.unwrap(), b"text", 3).unwrap_err(), "text 3");
        let mut requests = plugin.requests();
        requests.sort_unstable();
        assert_eq!(
            requests,
            [("$ORIGIN/libother.so", abi::REQUEST_LIBRARY, 2), ("package.module", abi::REQUEST_MODULE, 0)]
        );
    });
}

#[test]
fn several_translation_units_of_both_languages_fill_one_table() {
    each_way(|name, build, folder| {
        let path = build.library(folder, name, &several());
        assert_eq!(symbols(&path), ONLY, "{build:?}");
        let plugin = Plugin::open(&path);
        assert_eq!(
            plugin.names(),
            [
                ("by two", "(i32)->i32"),
                ("half", "(f64)->f64"),
                ("increment", "(i32)->i32"),
                ("nothing", "()"),
                ("scale<f32>", "(*mut f32,u64,f32)"),
                ("scale<f64>", "(*mut f64,u64,f64)"),
                ("scale<i8>", "(*mut i8,u64,i8)"),
                ("second", "(u64)->u64"),
                ("third", "c:int(int)"),
                ("thrown", "(i32)->bool"),
            ],
            "{build:?}"
        );
        assert_eq!(typed::<(f64,), f64>(&plugin, "half").call((3.0,)), Ok(1.5));
        assert_eq!(typed::<(i32,), i32>(&plugin, "increment").call((3,)), Ok(4));
        assert_eq!(typed::<(i32,), i32>(&plugin, "by two").call((3,)), Ok(5));
        assert_eq!(typed::<(), ()>(&plugin, "nothing").call(()), Ok(()));
        let mut values = [1.0, 2.0];
        typed::<(*mut f64, u64, f64), ()>(&plugin, "scale<f64>").call((values.as_mut_ptr(), 2, 4.0)).unwrap();
        assert_eq!(values, [4.0, 8.0]);
        assert_eq!(
            plugin.callbacks().iter().map(|callback| (payload(callback), callback.tag)).collect::<Vec<_>>(),
            [(&b"viewed"[..], 1), (b"raw\0payload", 2), (b"", 0), (b"", 4), (b"", 4)]
        );
        let [count, count_again] = [3, 4].map(|at| plugin.callbacks()[at].function.unwrap() as usize);
        assert_ne!(count, count_again, "{build:?}");
        assert_eq!(run(plugin.callbacks()[2].function.unwrap(), b"", 1).unwrap_err(), "as in C");
        assert_eq!(plugin.requests(), [("$ORIGIN/libbeside.so", 0, 0), ("package.module", 1, 0)]);
    });
}

#[test]
fn two_plugins_share_nothing_even_when_global() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let plugins = ["one", "two"].map(|name| {
            let define = format!("-DNAME=\"{name}\"");
            let build = Build::new(family, "c++17").flags(["-O0", "-fvisibility=default", &define]);
            let path = build.library(folder.path(), &format!("{}{name}", family.c), &several());
            (name, Plugin::open_with(&path, RTLD_NOW | RTLD_GLOBAL))
        });
        for (name, plugin) in &plugins {
            assert_eq!(text(plugin.table.name), *name);
            assert_eq!(plugin.names().len(), 10);
            assert_eq!(typed::<(f64,), f64>(plugin, "half").call((3.0,)), Ok(1.5));
        }
        assert_ne!(
            plugins[0].1.task("scale<f64>").function as usize,
            plugins[1].1.task("scale<f64>").function as usize
        );
    }
}

#[test]
fn entries_stay_where_they_are_while_a_callback_adds_more() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let path = Build::new(family, "c++17").flags(["-O2"]).library(folder.path(), "grow", &[source("whole.c")]);
        let plugin = Plugin::open(&path);
        let before: Vec<_> = plugin.tasks().iter().map(|task| (task.entry, task.name)).collect();
        let grow = plugin.callbacks()[1];
        run(grow.function.unwrap(), b"", grow.tag).unwrap();
        let after: Vec<_> = plugin.tasks().iter().map(|task| (task.entry, task.name)).collect();
        assert_eq!(after[..before.len()], before);
        assert_eq!(after.len(), before.len() + 1000);
        assert!(after[before.len()..].iter().enumerate().all(|(at, &(_, name))| name == format!("grown {at}")));
    }
}

#[test]
fn a_static_array_of_300_000_tasks_is_one_segment() {
    const COUNT: usize = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let mut many = "#include <dlcast_plugin.h>\nDLCAST_PLUGIN(\"many\", \"1\");\n\
                    static int work(int x) { return x; }\nstatic const dlcast_task_v1 all[] = {\n"
        .to_owned();
    for number in 0..COUNT {
        writeln!(many, "{{\"task {number}\", \"c:int(int)\", DLCAST_CAST(dlcast_function, work)}},").unwrap();
    }
    many.push_str("};\nDLCAST_TASKS(all);\nDLCAST_TASK(work, \"behind\", \"c:int(int)\");\n");
    for (family, suffix) in [(GNU, "c"), (CLANG, "c"), (GNU, "cpp"), (CLANG, "cpp")] {
        let source = folder.path().join(format!("many.{suffix}"));
        std::fs::write(&source, &many).unwrap();
        let name = format!("many-{}-{suffix}", family.c);
        let path = Build::new(family, "c++17").library(folder.path(), &name, &[source]);
        let plugin = Plugin::open(&path);
        let tasks = plugin.tasks();
        assert_eq!(tasks.len(), COUNT + 1);
        assert!(tasks[..COUNT].iter().enumerate().all(|(at, task)| task.entry == tasks[0].entry.wrapping_add(at)));
        assert_eq!((tasks[0].name, tasks[COUNT - 1].name, tasks[COUNT].name), ("task 0", "task 299999", "behind"));
        assert_eq!(symbols(&path), ONLY);
    }
}
