//! MPI comes up and goes down under the shim: the fake one, and the real one of this machine.

use crate::stage::Stage;

#[test]
fn mpi_init_is_called_once_with_all_threads_and_starts_the_engine() {
    let stage = Stage::new();
    stage.driver(&[]);
    let (output, log) = stage.run_preloaded(&["./driver", "init", "inits", "fini"]);
    assert_eq!(output.stdout, "init: 0\ninits: 1, level 3\nfini: 0\n");
    assert_eq!(log, ["start", "stop"]);
}

#[test]
fn the_program_is_told_what_mpi_provides() {
    let stage = Stage::new();
    stage.driver(&[]);
    let (output, log) = stage.run_preloaded(&["./driver", "thread", "1", "inits", "fini"]);
    assert_eq!(output.stdout, "thread: 0, provided 3\ninits: 1, level 3\nfini: 0\n");
    assert_eq!(log, ["start", "stop"]);
    let (output, _) = stage.run_preloaded(&["FAKE_PROVIDES=2", "./driver", "thread", "1", "inits", "fini"]);
    assert_eq!(output.stdout, "thread: 0, provided 2\ninits: 1, level 3\nfini: 0\n");
}

#[test]
fn a_tool_that_wraps_mpi_init_is_called_once_linked_or_preloaded() {
    let stage = Stage::new();
    stage.cc("tool.c", "libtool.so", &["-shared", "-fPIC", "-Wl,-soname,@/libtool.so"]);
    stage.cc("tool.c", "libboth.so", &["-shared", "-fPIC", "-DTHREAD"]);
    stage.cc("driver.c", "linked", &["@/libtool.so", "@/libfakempi.so"]);
    stage.driver(&[]);
    let expected = "tool: MPI_Init\ninit: 0\ninits: 1, level 3\nOMPI_MPI_THREAD_LEVEL=(not set)\nfini: 0\n";
    let words = ["init", "inits", "print", "OMPI_MPI_THREAD_LEVEL", "fini"];
    let (output, log) = stage.run_preloaded(&[&["./linked"][..], &words].concat());
    assert_eq!((&*output.stdout, log.len()), (expected, 2));
    // Whether it stands before the shim or after it.
    for list in [format!("@/libtool.so:{}", stage.shim()), format!("{} @/libtool.so", stage.shim())] {
        let list = format!("LD_PRELOAD={list}");
        let (output, log) = stage.run_preloaded(&[&[&list, "./driver"][..], &words].concat());
        assert_eq!((&*output.stdout, log.len()), (expected, 2), "{list}");
    }
    // One that wraps both is called as the one that can be told the level.
    let list = format!("LD_PRELOAD={}:@/libboth.so", stage.shim());
    let (output, _) = stage.run_preloaded(&[&[&list, "./driver"][..], &words].concat());
    assert_eq!(output.stdout, expected.replace("tool: MPI_Init\n", "tool: MPI_Init_thread\n"));
}

#[test]
fn a_library_that_brings_mpi_along_is_seen() {
    let stage = Stage::new();
    stage.cc("user.c", "libuser.so", &["-shared", "-fPIC", "@/libfakempi.so"]);
    stage.cc("driver.c", "driver", &["-DWITHOUT_MPI"]);
    let (output, log) = stage.both("./driver open n @/libuser.so call use_mpi");
    assert!(output.contains("use_mpi() = 0\n"), "{output}");
    assert_eq!(log, ["early @/libuser.so local", "start", "stop"]);
}

#[test]
fn a_program_without_mpi_is_as_without_the_shim() {
    let stage = Stage::new();
    stage.cc("weak.c", "weak", &[]);
    let words = ["./weak", "and", "more"];
    let without = stage.run(&words);
    let (with, log) = stage.run_preloaded(&words);
    assert_eq!(with, without);
    assert_eq!((&*with.stdout, with.code), ("cos 0 = 1\nclosed 0\n0 0 0\n", Some(43)));
    assert_eq!(log.len(), 0);
    let (shell, _) = stage.run_preloaded(&["bash", "-c", "kill -TERM $$"]);
    assert_eq!(shell, stage.run(&["bash", "-c", "kill -TERM $$"]));
    // The statically linked has no loader that could preload anything.
    stage.cc("driver.c", "lonely", &["-static", "-DWITHOUT_MPI"]);
    let (lonely, _) = stage.run_preloaded(&["./lonely", "print", "HOME"]);
    assert_eq!(lonely, stage.run(&["./lonely", "print", "HOME"]));
}

#[test]
fn a_function_that_nobody_defines_ends_the_program_as_it_would() {
    let stage = Stage::new();
    stage.cc("undefined.c", "undefined", &["-Wl,-z,lazy", "@/libfakempi.so"]);
    stage.cc("nothing.c", "libfakempi.so", &["-shared", "-fPIC"]);
    let without = stage.run(&["./undefined"]);
    let (with, _) = stage.run_preloaded(&["./undefined"]);
    assert_eq!((without.code, with.code), (Some(127), Some(127)));
    assert_eq!(with.stderr, "./undefined: symbol lookup error: undefined symbol: MPI_Init\n");
}

#[test]
fn without_its_engine_the_shim_does_nothing_and_says_why() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("libx.so", 7, &[]);
    let words = ["./driver", "init", "open", "n", "@/libx.so", "objects", "fini"];
    let without = stage.run(&words);
    let (with, log) = stage.run_preloaded(&[&["FAKE_VERSION=1"][..], &words].concat());
    assert_eq!((&with.stdout, with.code, log.len()), (&without.stdout, Some(0), 0));
    let expected = "dlcast: the program runs without dlcast: libdlcast.so and @/dlcast/libdlcast_preload.so are not of one version\n";
    assert_eq!(with.stderr, expected);
    // The engine has said why itself.
    let (with, log) = stage.run_preloaded(&[&["FAKE_START=1"][..], &words].concat());
    assert_eq!((&with.stdout, &*with.stderr, log), (&without.stdout, "", vec!["start".to_owned()]));
    std::fs::remove_file(stage.path("dlcast/libdlcast.so.0")).unwrap();
    let (with, _) = stage.run_preloaded(&words);
    assert_eq!((&with.stdout, with.code), (&without.stdout, Some(0)));
    let expected = "dlcast: the program runs without dlcast: @/dlcast/libdlcast.so: cannot open shared object file: No such file or directory\n";
    assert_eq!(with.stderr, expected);
}

#[test]
fn children_are_without_the_shim_once_mpi_is_up() {
    let stage = Stage::new();
    stage.driver(&[]);
    let words = [
        "./driver",
        "print",
        "LD_PRELOAD",
        "init",
        "print",
        "LD_PRELOAD",
        "sh",
        "env | grep -E '^(LD_PRELOAD|KEPT)='",
        "fini",
    ];
    let (output, _) = stage.run_preloaded(&[&["KEPT=1"][..], &words].concat());
    let expected = "LD_PRELOAD=@/dlcast/libdlcast_preload.so\ninit: 0\nLD_PRELOAD=(not set)\nKEPT=1\nfini: 0\n";
    assert_eq!(output.stdout, expected);
    // What else was there stays, and what is told by DLCAST_PRELOAD goes: here, another spelling.
    stage.library("libother.so", 5, &[]);
    let list = "LD_PRELOAD=@/libother.so:@/./dlcast/libdlcast_preload.so";
    let told = "DLCAST_PRELOAD=@/./dlcast/libdlcast_preload.so";
    let (output, _) =
        stage.run_preloaded(&[&[list, told][..], &["./driver", "init", "print", "LD_PRELOAD", "fini"]].concat());
    assert_eq!(output.stdout, "up 5\ninit: 0\nLD_PRELOAD=@/libother.so\nfini: 0\ndown 5\n");
}

#[test]
fn a_forked_child_is_inert() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("libx.so", 7, &[]);
    let (_, log) = stage.both("./driver init fork open n @/libx.so barrier fini");
    assert_eq!(log, ["start"]);
}

#[test]
fn a_child_that_brings_mpi_up_itself_is_seen() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("libx.so", 7, &[]);
    let (_, log) = stage.both("./driver fork init open n @/libx.so fini");
    assert_eq!(log, ["start", "opened @/libx.so local waits", "stop"]);
}

#[test]
fn a_worker_must_not_use_a_communicator_and_others_may() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.cc("job.c", "job.so", &["-shared", "-fPIC", "@/libfakempi.so"]);
    let (output, log) =
        stage.run_preloaded(&["FAKE_JOB=@/job.so", "./driver", "barrier", "init", "barrier", "alltoallw", "fini"]);
    let expected = "barrier: 0\njob: MPI_Barrier gives 42\ninit: 0\nbarrier: 0\nalltoallw: 912345678\nfini: 0\n";
    assert_eq!(output.stdout, expected);
    assert_eq!(log, ["start", "forbidden MPI_Barrier", "stop"]);
}

#[test]
fn a_first_mpi_call_gets_all_its_arguments() {
    let stage = Stage::new();
    stage.driver(&[]);
    let (output, _) = stage.both("./driver alltoallw alltoallw");
    assert_eq!(output, "alltoallw: 912345678\nalltoallw: 912345678\n");
}

/// Two ranks of the real MPI; their lines in order.
fn ranks(stage: &Stage, program: &[&str], is_preloaded: bool) -> (Vec<String>, Vec<String>) {
    let env = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/env");
    let script = r#". "$0"; exec mpirun -n 2 "$@""#;
    let preload = format!("LD_PRELOAD={}", stage.shim());
    let mut words = vec!["FAKE_LOG=@/log", "bash", "-c", script, env, "env"];
    words.extend(is_preloaded.then_some(&*preload));
    words.extend(program);
    let output = stage.run(&words);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let mut lines = output.stdout.lines().map(str::to_owned).collect::<Vec<_>>();
    lines.sort();
    let log = std::fs::read_to_string(stage.path("log")).unwrap_or_default();
    let mut log = log.lines().filter(|line| !line.starts_with("early ")).map(str::to_owned).collect::<Vec<_>>();
    log.sort();
    (lines, log)
}

#[test]
fn a_program_of_a_real_mpi_has_all_threads() {
    let stage = Stage::new();
    stage.library("libx.so", 7, &[]);
    stage.compile("mpicc", "real.c", "real", &[]);
    for (words, provided) in [(&["./real"][..], "not asked"), (&["./real", "thread"], "enough")] {
        _ = std::fs::remove_file(stage.path("log"));
        let (lines, _) = ranks(&stage, words, false);
        assert!(lines.contains(&format!("rank 1: 7, level less, provided {provided}")), "{lines:?}");
        let (lines, log) = ranks(&stage, words, true);
        let expected = [0, 1].map(|rank| format!("rank {rank}: 7, level multiple, provided {provided}"));
        assert!(expected.iter().all(|line| lines.contains(line)), "{lines:?}");
        assert_eq!(log, ["opened ./libx.so local waits", "start", "start", "stop", "stop"]);
    }
}

#[test]
fn fortran_programs_have_all_threads() {
    let stage = Stage::new();
    for source in ["classic.f90", "modern.f90"] {
        stage.compile("mpif90", source, "program", &[]);
        _ = std::fs::remove_file(stage.path("log"));
        assert_eq!(ranks(&stage, &["./program"], false).0, ["rank 0 less", "rank 1 less"], "{source}");
        let (lines, log) = ranks(&stage, &["./program"], true);
        assert_eq!(lines, ["rank 0 multiple", "rank 1 multiple"], "{source}");
        assert_eq!(log, ["start", "start", "stop", "stop"], "{source}");
    }
}
