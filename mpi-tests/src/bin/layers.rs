//! A library needs another of a lower layer, and that one yet another, which ld.so would not find: one rank looks at the layers, every
//! rank opens them first, once, in the order of needs. What is wrong with a stack is the same error on every rank.
//!
//! Argument: `collective`, or `service`, where one rank asks for all.

use std::fs;
use std::os::unix::fs::symlink;

use dlcast::{CallError, OpenFlags};
use mpi_tests::{Fixture, Job, NOW, assert_answers, text};

fn main() {
    let serves = std::env::args().nth(1).as_deref() == Some("service");
    let job = Job::start_with(if serves { mpi::Threading::Multiple } else { mpi::Threading::Single });
    let session = if serves { job.serve() } else { job.attach() };
    let asks = !serves || job.rank == job.last();
    let stack = job.scratch.join("stack.toml");

    // Nothing is there yet.
    if asks {
        let error = session.activate_layers(&stack).expect_err("there is no stack");
        assert!(error.to_string().contains(text(&stack)), "{error}");
        match error {
            CallError::Undone(undone) => assert!(!serves && undone.failures[0].ranks.len() == job.size as usize),
            CallError::Invalid(_) => assert!(serves),
            other => panic!("{other}"),
        }
    }
    job.barrier();

    let lib = |layer: &str| job.scratch.join(layer).join("lib");
    job.once(|| {
        for layer in ["app", "runtime"] {
            fs::create_dir_all(lib(layer).join("python3.11/site-packages")).expect("a folder of its own");
            fs::create_dir(job.scratch.join(layer).join("bin")).expect("a folder of its own");
            symlink("/usr/bin/env", job.scratch.join(layer).join("bin/python")).expect("a folder of its own");
        }
        let layers = "[[layer]]\nname = 'app'\npath = 'app'\nuses = ['runtime']\n[[layer]]\nname = 'runtime'\npath = 'runtime'\n";
        fs::write(&stack, layers).expect("a folder of its own");
        let needs = |path: &std::path::Path, provider: &str, name: &str| {
            let fixture = Fixture::new("consumer.c", name).flag(format!("-DPROVIDER={provider}"));
            fixture.flag("-Wl,--no-as-needed").flag(text(path)).flag("-Wl,--allow-shlib-undefined")
        };
        let inner = Fixture::new("counted.c", "inner").build(&lib("runtime"));
        let outer = needs(&inner, "inner", "outer").build(&lib("runtime"));
        needs(&outer, "outer", "user").build(&lib("app"));
        // The same name, elsewhere: nobody opens it.
        Fixture::new("counted.c", "unneeded").build(&lib("runtime"));
    });
    let user = lib("app").join("libuser.so");

    if asks {
        session.activate_layers(&stack).expect("the stack is there now");
        session.activate_layers(&stack).expect("once more is no harm");
    }
    job.barrier();
    if asks {
        let library = session.load_global(text(&user), NOW).expect("its needs are opened first");
        // SAFETY: the type of the fixture's function.
        let answer = unsafe { library.get::<unsafe extern "C" fn() -> i32>("user_answer") }.expect("it has one");
        // SAFETY: it takes nothing and gives a number.
        assert_eq!(unsafe { answer() }, 42);
        // By the name alone, which ld.so does not find.
        let inner = session.load_global("libinner.so", NOW | OpenFlags::GLOBAL).expect("a name that a layer has");
        assert_eq!(inner.path(), fs::canonicalize(lib("runtime").join("libinner.so")).expect("it was built"));
        assert_answers(&inner, "inner");
    }
    job.barrier();
    job.assert_loaded_once(&["inner", "outer", "user"]);
    job.done();
}
