//! Programs that know nothing of dlcast, under `dlcast run`: what one rank opens reaches all, and nothing else changes.
//!
//! Most are one C program, whose arguments are the steps that its ranks take (`fixtures/unmodified/steps.c`); it is run in both
//! ways where the two are compared.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::Trial;
use serde::Deserialize;

use crate::launch::Launcher;
use crate::stage::{Stage, dlcast};

/// Every claim, one at a time, on one stage.
pub fn trials(launcher: &Launcher) -> Vec<Trial> {
    let stage = Arc::new(OnceLock::new());
    let trial = |(name, claim): &(&str, fn(&Stage))| {
        let (stage, launcher, claim) = (stage.clone(), launcher.clone(), *claim);
        Trial::test(format!("unmodified_{name}"), move || {
            claim(stage.get_or_init(|| Stage::new(&launcher)));
            Ok(())
        })
    };
    CLAIMS.iter().map(trial).collect()
}

macro_rules! claims {
    ($($claim:ident)*) => {
        const CLAIMS: &[(&str, fn(&Stage))] = &[$((stringify!($claim), $claim)),*];
    };
}

claims! {
    a_dlopen_means_the_same_and_returns_when_every_rank_has_the_library
    a_global_library_serves_its_dependant_on_every_rank
    a_dlclose_means_what_it_meant_and_the_others_keep_the_library
    threads_open_at_once
    every_rank_has_another_order
    every_rank_has_another_half
    what_cannot_be_opened_fails_with_the_loaders_words
    deferred_libraries_are_everywhere_within_a_second
    what_is_opened_past_the_shim_is_found
    what_was_opened_before_mpi_travels_in_mpi_init
    a_library_that_is_asked_for_is_everywhere_after_mpi_init
    libraries_find_what_they_need_in_the_layers_of_a_stack
    a_stack_that_is_wrong_is_said_once_and_ends_a_strict_job
    tasks_of_a_plugin_are_found_on_every_rank
    programs_in_cpp_and_fortran_are_served
    a_library_that_one_rank_lacks_is_a_warning
    a_library_that_one_rank_lacks_fails_a_strict_dlopen
    what_failed_once_may_do_another_time
    a_relative_name_means_what_the_program_has_open
    what_is_excluded_is_so_by_its_whole_path
    a_missing_library_that_is_asked_for_ends_a_strict_job_only
    a_job_that_is_not_all_under_dlcast_run_says_so
    a_wrong_variable_is_named
    a_constructor_on_a_worker_must_not_use_the_programs_communicators
    other_tools_see_the_calls_that_they_wrap
    children_are_without_the_shim
    programs_without_mpi_are_as_they_were
    privileged_programs_are_left_alone
    exit_codes_and_signals_are_the_programs_own
    an_exception_that_nobody_catches_ends_the_program_as_it_would
    the_report_says_what_was_seen_where_and_agreed_when
    a_report_that_cannot_be_written_is_one_message
    a_stopped_rank_holds_nobody_up_beyond_the_deadline
    a_killed_rank_holds_nobody_up_and_the_report_is_written
    one_of_64_ranks_opens_a_library
}

/// After a message, every rank has what rank 0 has opened.
const TOLD: [&str; 2] = ["* tell 0", "* all"];

fn a_dlopen_means_the_same_and_returns_when_every_rank_has_the_library(stage: &Stage) {
    let absolute = format!("0 open c {} now", stage.path("lib/travel/libtrc.so"));
    let steps = [
        "0 open a libtra.so now",
        "0 call a a_answer",
        "0 origin a",
        "* tell 0",
        "* mapped libtra.so",
        "* count a",
        "0 open b $ORIGIN/lib/travel/libtrb.so now",
        "0 origin b",
        "* tell 0",
        "* mapped libtrb.so",
        &absolute,
        "0 openerrno libtrd.so",
        TOLD[0],
        TOLD[1],
    ];
    let said = stage.same_on_rank_0(4, &[], &steps);
    said.well();
    said.all(4, "mapped libtra.so", "1");
    said.all(4, "mapped libtrb.so", "1");
    said.all(4, "count a", "1");
    said.all(4, "all", " libtra.so libtrb.so libtrc.so libtrd.so");
}

fn a_global_library_serves_its_dependant_on_every_rank(stage: &Stage) {
    stage.library("dep", &["-DNEEDS=a_answer"]);
    let steps = [
        "0 open none libtrdep.so now",
        "0 open a libtra.so now global",
        "0 open dep libtrdep.so now",
        "0 call dep dep_answer",
        "* tell 0",
        "* call default a_answer",
        "* call default dep_answer",
        "* all",
    ];
    let said = stage.same_on_rank_0(3, &[], &steps);
    said.well();
    assert!(said.of_rank(0)[0].contains("undefined symbol: a_answer"), "{}", said.stdout);
    said.all(3, "call default a_answer", "42");
    said.all(3, "call default dep_answer", "no such function");
    said.all(3, "all", " libtra.so libtrdep.so");
}

fn a_dlclose_means_what_it_meant_and_the_others_keep_the_library(stage: &Stage) {
    let steps = [
        "0 open a libtra.so now",
        // A look at the link maps must not hold it.
        "* sleep 0.3",
        "0 close a",
        "0 count a_gone",
        "0 mapped libtra.so",
        "0 open a libtra.so now",
        "0 count a",
        "* tell 0",
        "* all",
        "1,2 count a",
        "1,2 count a_gone",
    ];
    let said = stage.same_on_rank_0(3, &[], &steps);
    said.well();
    said.all(3, "all", " libtra.so");
    assert_eq!(said.of_rank(0)[2..4], ["count a_gone: 1", "mapped libtra.so: 0"], "{}", said.stdout);
    assert_eq!(said.answers("count a"), ["2", "1", "1"]);
    assert_eq!(said.answers("count a_gone"), ["1", "0", "0"]);
}

fn threads_open_at_once(stage: &Stage) {
    let steps =
        ["0 threads libtra.so libtrb.so libtrc.so libtrd.so libtra.so libtrb.so", "* tell 0", "* count a", "* count d"];
    let said = stage.same_on_rank_0(4, &[], &steps);
    said.well();
    said.all(4, "count a", "1");
    said.all(4, "count d", "1");
}

fn every_rank_has_another_order(stage: &Stage) {
    let order = "order libtra.so libtrb.so libtrc.so libtrd.so";
    let said = stage.with(4, &[], &[&format!("* {order}"), "* barrier", "* count a", "* count d"]);
    said.well();
    said.all(4, order, "4 opened");
    said.all(4, "count a", "1");
    said.all(4, "count d", "1");
}

fn every_rank_has_another_half(stage: &Stage) {
    let half = "half libtra.so libtrb.so libtrc.so libtrd.so";
    let steps = [&format!("* {half}"), "* barrier", "* all"];
    let without = stage.without(4, &steps);
    let said = stage.with(4, &[], &steps);
    said.well();
    said.all(4, half, "2 opened");
    let sorted = |all: &str| {
        let mut names: Vec<String> = all.split_whitespace().map(String::from).collect();
        names.sort();
        names
    };
    // What any rank has by itself, all have.
    let union = sorted(&without.answers("all").concat()).into_iter().collect::<std::collections::BTreeSet<_>>();
    assert!(union.len() > 2, "the halves of four ranks differ: {union:?}");
    for all in said.answers("all") {
        assert_eq!(sorted(all), Vec::from_iter(union.clone()));
    }
}

fn what_cannot_be_opened_fails_with_the_loaders_words(stage: &Stage) {
    fs::write(stage.path("lib/travel/libtrtext.so"), "no library at all").unwrap();
    let text = format!("0 open text {} now", stage.path("lib/travel/libtrtext.so"));
    let steps = [
        "0 open a libtrnone.so now",
        "0 open b /no/such/libtrnone.so now",
        "0 open c $ORIGIN/libtrnone.so now",
        "0 open d ./libtrnone.so now",
        "0 open e libtrtext.so now",
        &text,
        "0 error",
        "0 openerrno libtrnone.so",
        "* tell 0",
        "* all",
    ];
    let said = stage.same_on_rank_0(3, &[], &steps);
    said.well();
    let lines = said.of_rank(0).join("\n");
    assert_eq!(lines.matches("No such file or directory").count(), 4, "{lines}");
    assert_eq!(lines.matches("too short").count() + lines.matches("invalid ELF header").count(), 2, "{lines}");
    said.all(3, "all", "");
}

fn deferred_libraries_are_everywhere_within_a_second(stage: &Stage) {
    let steps = [
        "0 open a libtra.so now global",
        "0 open b libtrb.so now",
        "0 threads libtrc.so libtrd.so",
        "* tell 0",
        "* await libtra.so 1",
        "* await libtrb.so 1",
        "* await libtrc.so 1",
        "* await libtrd.so 1",
        "* sleep 0.5",
        "* call default a_answer",
        "* call default b_answer",
    ];
    let said = stage.same_on_rank_0(3, &["--policy", "deferred"], &steps);
    said.well();
    for library in ["a", "b", "c", "d"] {
        said.all(3, &format!("await libtr{library}.so 1"), "there");
    }
    // The flags travelled, too.
    said.all(3, "call default a_answer", "42");
    said.all(3, "call default b_answer", "no such function");
}

fn what_is_opened_past_the_shim_is_found(stage: &Stage) {
    stage.compile("cc", "deep.c", "lib/travel/libtrdeep.so", &["-shared", "-fPIC", "-Wl,-rpath,$ORIGIN"]);
    let steps = ["0 open deep libtrdeep.so now deepbind", "0 call deep deep_answer", "* tell 0", "* await libtrb.so 2"];
    let said = stage.same_on_rank_0(3, &[], &steps);
    said.well();
    said.all(3, "await libtrb.so 2", "there");
}

fn what_was_opened_before_mpi_travels_in_mpi_init(stage: &Stage) {
    let steps = [
        "0 open a libtra.so now global",
        "1 open b libtrb.so lazy",
        "* init",
        "* mapped libtra.so",
        "* mapped libtrb.so",
    ];
    let said = stage.with(3, &[], &[&steps[..], &["* call default a_answer", "* call default b_answer"]].concat());
    said.well();
    said.all(3, "mapped libtra.so", "1");
    said.all(3, "mapped libtrb.so", "1");
    said.all(3, "call default a_answer", "42");
    said.all(3, "call default b_answer", "no such function");
    // The program may ask for threads itself, and is told what there is.
    stage.same_on_rank_0(2, &[], &["* init 1", "0 open a libtra.so now", TOLD[0], "1 mapped libtra.so"]).well();
}

fn a_library_that_is_asked_for_is_everywhere_after_mpi_init(stage: &Stage) {
    let steps = ["* init", "* mapped libtra.so", "* mapped libz.so.1"];
    let said = stage.with(3, &["--load", "lib/travel/libtra.so", "--load", "libz.so.1"], &steps);
    said.well();
    said.all(3, "mapped libtra.so", "1");
    said.all(3, "mapped libz.so.1", "1");
}

/// A stack: `libtruser.so` in the layer `app` needs `libtrp.so.1` of the layer `runtime`, where `libtrp.so` is a link to it.
fn layers(stage: &Stage) {
    for layer in ["app", "runtime"] {
        fs::create_dir_all(stage.path(&format!("{layer}/lib/python3.11/site-packages"))).unwrap();
        fs::create_dir_all(stage.path(&format!("{layer}/bin"))).unwrap();
        fs::write(stage.path(&format!("{layer}/bin/python")), "").unwrap();
    }
    let provider = stage.path("runtime/lib/libtrp.so.1");
    stage.compile(
        "cc",
        "traveller.c",
        "runtime/lib/libtrp.so.1",
        &["-shared", "-fPIC", "-DNAME=p", "-Wl,-soname,libtrp.so.1"],
    );
    let needs = ["-shared", "-fPIC", "-DNAME=user", "-DNEEDS=p_answer", "-Wl,-soname,libtruser.so", &provider];
    stage.compile("cc", "traveller.c", "app/lib/libtruser.so", &needs);
    if !fs::exists(stage.path("runtime/lib/libtrp.so")).unwrap() {
        std::os::unix::fs::symlink("libtrp.so.1", stage.path("runtime/lib/libtrp.so")).unwrap();
    }
    let app = "[[layer]]\nname = 'app'\npath = 'app'\nuses = ['runtime']\n";
    fs::write(stage.path("stack.toml"), format!("{app}[[layer]]\nname = 'runtime'\npath = 'runtime'\n")).unwrap();
}

fn libraries_find_what_they_need_in_the_layers_of_a_stack(stage: &Stage) {
    layers(stage);
    let user = format!("0 open user {} now", stage.path("app/lib/libtruser.so"));
    let steps =
        [&user, "0 call user user_answer", "* tell 0", "* await libtruser.so 2", "* mapped libtrp.so.1", "* count p"];
    let without = stage.with(3, &[], &steps[..1]);
    assert!(without.of_rank(0)[0].contains("libtrp.so.1: cannot open shared object file"), "{}", without.stdout);
    for options in [&["--stack", "."][..], &["--stack", "stack.toml", "--policy", "deferred"]] {
        let said = stage.with(3, options, &steps);
        said.well();
        assert_eq!(said.answers("call user user_answer"), ["43"], "{}", said.stdout);
        said.all(3, "await libtruser.so 2", "there");
        said.all(3, "mapped libtrp.so.1", "1");
        said.all(3, "count p", "1");
        // By an alias of the layer, which ld.so does not know, as often as one likes.
        let bare = [
            "0 open p libtrp.so now",
            "0 open q libtrp.so now",
            "0 call q p_answer",
            "* tell 0",
            "* await libtrp.so.1 2",
        ];
        let said = stage.with(3, options, &bare);
        said.well();
        assert_eq!(said.answers("call q p_answer"), ["42"], "{}", said.stdout);
        said.all(3, "await libtrp.so.1 2", "there");
    }
    // A library that lies outside the layers.
    let needs =
        ["-shared", "-fPIC", "-DNAME=out", "-DNEEDS=p_answer", "-Wl,-soname,libtrout.so", "runtime/lib/libtrp.so.1"];
    stage.compile("cc", "traveller.c", "lib/travel/libtrout.so", &needs);
    let steps =
        ["0 open out libtrout.so now", "0 call out out_answer", "* tell 0", "* await libtrout.so 2", "* count p"];
    for policy in ["eager", "deferred"] {
        let said = stage.with(3, &["--stack", ".", "--policy", policy], &steps);
        said.well();
        assert_eq!(said.answers("call out out_answer"), ["43"], "{}", said.stdout);
        said.all(3, "count p", "1");
    }
    // The layer of the program counts, by the name that it was called by: `runtime` does not use `app`.
    if !fs::exists(stage.path("runtime/bin/steps")).unwrap() {
        std::os::unix::fs::symlink("../../steps", stage.path("runtime/bin/steps")).unwrap();
    }
    let run = [dlcast(), "run", "--stack", ".", "--"];
    for (name, opens) in [("libtruser.so", false), ("libtrp.so", true)] {
        let outcome = stage.mpirun(2, &run, &["runtime/bin/steps", &format!("0 open it {name} now")]);
        assert_eq!(outcome.stdout.contains("now: ok"), opens, "{}", outcome.stdout);
    }
    // What was asked for on the command line, and what the report tells: nobody has opened the provider but dlcast.
    let user = stage.path("app/lib/libtruser.so");
    let report = stage.path("layers.json");
    let said = stage.with(
        3,
        &["--stack", ".", "--load", &user, "--report", &report],
        &["* mapped libtruser.so", "* sleep 0.5"],
    );
    said.well();
    said.all(3, "mapped libtruser.so", "1");
    assert!(!stage.read("layers.json").contains("libtrp.so"), "{}", stage.read("layers.json"));
    // Nor where the program opens a library and closes it again.
    let steps =
        [&format!("0 open user {user} now"), "0 close user", "0 open a libtra.so now", "* tell 0", "* sleep 0.5"];
    let said = stage.with(3, &["--stack", ".", "--report", &report], &steps);
    said.well();
    assert!(!stage.read("layers.json").contains("libtrp.so"), "{}", stage.read("layers.json"));
    // A library of a layer that cannot be opened is the error of the dlopen.
    fs::rename(stage.path("runtime/lib/libtrp.so.1"), stage.path("whole")).unwrap();
    stage.compile(
        "cc",
        "traveller.c",
        "runtime/lib/libtrp.so.1",
        &["-shared", "-fPIC", "-DNAME=p", "-DNEEDS=nowhere", "-Wl,-soname,libtrp.so.1"],
    );
    let said = stage.with(2, &["--stack", "."], &[steps[0]]);
    fs::rename(stage.path("whole"), stage.path("runtime/lib/libtrp.so.1")).unwrap();
    said.well();
    let text = said.of_rank(0).join("");
    assert!(
        text.contains("of layer `runtime`, which cannot be opened") && text.contains("undefined symbol: nowhere"),
        "{text}"
    );
}

fn a_stack_that_is_wrong_is_said_once_and_ends_a_strict_job(stage: &Stage) {
    fs::write(stage.path("wrong.toml"), "[[layer]]\nname = 'app'\npath = 'nowhere'\n").unwrap();
    let steps = ["0 open a libtra.so now", "* tell 0", "* mapped libtra.so"];
    let said = stage.with(3, &["--stack", "wrong.toml"], &steps);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    said.all(3, "mapped libtra.so", "1");
    said.complained("--stack: ", 1);
    said.complained("nowhere", 1);
    let said = stage.with(3, &["--strict", "--stack", "wrong.toml"], &steps);
    assert_eq!((said.code, said.stdout.as_str()), (Some(125), ""));
    said.complained("--stack: ", 1);
    let said = stage.with(2, &["--stack", "no/such.toml"], &steps);
    assert_eq!((said.code, said.stdout.as_str()), (Some(125), ""));
    assert!(said.stderr.contains("--stack no/such.toml: No such file or directory"), "{}", said.stderr);
    // Some of the ranks only.
    layers(stage);
    let program = ["./steps", "* barrier"];
    let start = |options: &[&'static str]| [&[dlcast(), "run"], options, &["--"], &program[..]].concat();
    let words = [&start(&["--stack", "stack.toml"])[..], &[":", "-n", "1"], &start(&[])].concat();
    let outcome = stage.mpirun(2, &[], &words);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let text = format!("different stacks: {} on ranks 0, 1, none on rank 2", stage.path("stack.toml"));
    assert!(outcome.stderr.contains(&text), "{}", outcome.stderr);
    assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
}

fn tasks_of_a_plugin_are_found_on_every_rank(stage: &Stage) {
    let include = format!("-I{}/../include", env!("CARGO_MANIFEST_DIR"));
    let folder = std::path::Path::new(dlcast()).parent().unwrap().to_str().unwrap();
    let library = format!("{folder}/libdlcast.so.0");
    stage.mpi("mpicc", "tasks.c", "tasks", &[&include, &library, &format!("-Wl,-rpath,{folder}")]);
    stage.compile("cc", "../plugin.c", "libchi.so", &["-shared", "-fPIC", "-DNAME=chi", &include]);
    let outcome = stage.mpirun(3, &[dlcast(), "run", "--"], &["./tasks", &stage.path("libchi.so")]);
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(lines, ["rank 0: 42", "rank 1: 42", "rank 2: 42"]);
}

fn programs_in_cpp_and_fortran_are_served(stage: &Stage) {
    stage.mpi("mpicxx", "plugins.cpp", "plugins", &["-std=c++17"]);
    stage.compile("c++", "throws.cpp", "libthrows.so", &["-shared", "-fPIC"]);
    let plugin = stage.path("libthrows.so");
    let without = stage.mpirun(3, &[], &["./plugins", &plugin]);
    let with = stage.mpirun(3, &[dlcast(), "run", "--"], &["./plugins", &plugin]);
    let of = |text: &str, rank: u32| {
        let lines = text.lines().filter(|line| line.starts_with(&format!("rank {rank}: ")));
        lines.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!((with.status, with.stderr.as_str()), (Some(0), ""));
    assert_eq!(of(&with.stdout, 0), of(&without.stdout, 0));
    assert!(with.stdout.contains("rank 0: caught: from the plugin\n"), "{}", with.stdout);
    assert_eq!(with.stdout.matches("plugin: there").count(), 3, "{}", with.stdout);
    assert_eq!(without.stdout.matches("plugin: there").count(), 1, "{}", without.stdout);

    if stage.launcher().quirk("DLCAST_TEST_NO_FORTRAN").is_some() {
        return;
    }
    stage.mpi("mpif90", "program.f90", "fortran", &[]);
    let with = stage.mpirun(3, &[dlcast(), "run", "--"], &["./fortran", &stage.path("lib/travel/libtra.so")]);
    assert_eq!((with.status, with.stderr.as_str()), (Some(0), ""));
    let lines: std::collections::BTreeSet<&str> = with.stdout.lines().collect();
    assert_eq!(
        Vec::from_iter(lines),
        ["rank 0: answer: 42", "rank 0: there: T", "rank 1: there: T", "rank 2: there: T"]
    );
}

/// Rank 3 has no such file: /proc/self/cwd is another folder on each rank.
const LACKED: &str = "/proc/self/cwd/libtra.so";

fn lay_out_own_folders(stage: &Stage) {
    for rank in 0..4 {
        fs::create_dir_all(stage.path(&format!("own/{rank}"))).unwrap();
        if rank != 3 {
            fs::copy(stage.path("lib/travel/libtra.so"), stage.path(&format!("own/{rank}/libtra.so"))).unwrap();
        }
    }
}

fn a_library_that_one_rank_lacks_is_a_warning(stage: &Stage) {
    lay_out_own_folders(stage);
    let open = format!("0 open a {LACKED} now");
    let again = format!("0 open b {LACKED} now");
    let steps = [
        "* enter",
        "* barrier",
        &open,
        "0 call a a_answer",
        &again,
        "0 close b",
        "* tell 0",
        "* mapped libtra.so",
        // Life goes on.
        "0 open c libtrc.so now",
        "* tell 0",
        "* mapped libtrc.so",
    ];
    let said = stage.with(4, &[], &steps);
    assert_eq!(said.code, Some(0));
    assert_eq!(
        said.of_rank(0)[..3],
        [format!("{}: ok", &open[2..]), "call a a_answer: 42".into(), format!("{}: ok", &again[2..])]
    );
    assert_eq!(said.answers("mapped libtra.so"), ["1", "0", "0", "0"]);
    said.all(4, "mapped libtrc.so", "1");
    said.complained(&format!("load of `{LACKED}` failed on 1 of 4 ranks"), 1);
    said.complained("  rank 3 (", 1);
    said.complained("this rank has it, and goes on", 1);
    // Opened before MPI_Init it is said in it, and not again; to be strict is to fail from then on.
    let early = ["* enter", &open, "* init", "* barrier", &again, "0 error", "* tell 0", "* mapped libtra.so"];
    let said = stage.with(4, &[], &early);
    assert_eq!(said.code, Some(0));
    assert_eq!(said.answers(&again[2..]), ["ok"]);
    said.complained(&format!("load of `{LACKED}` failed on 1 of 4 ranks"), 1);
    let said = stage.with(4, &["--strict"], &early);
    assert_eq!(said.answers(&open[2..]), ["ok"]);
    assert_eq!(said.answers(&again[2..]), [format!("load of `{LACKED}` failed on 1 of 4 ranks; undone on all")]);
    assert_eq!(said.answers("mapped libtra.so"), ["1", "0", "0", "0"]);
}

fn a_library_that_one_rank_lacks_fails_a_strict_dlopen(stage: &Stage) {
    lay_out_own_folders(stage);
    let open = format!("0 open a {LACKED} now");
    let steps = ["* enter", "* barrier", &open, "0 error", "* tell 0", "* mapped libtra.so", "0 open c libtrc.so now"];
    let said = stage.with(4, &["--strict"], &[&steps[..], &["* tell 0", "* mapped libtrc.so"]].concat());
    said.well();
    let failed = said.answers(&open[2..]);
    assert_eq!(failed, [format!("load of `{LACKED}` failed on 1 of 4 ranks; undone on all")], "{}", said.stdout);
    assert!(said.stdout.contains("\n  rank 3 ("), "{}", said.stdout);
    assert_eq!(said.answers("error"), ["none"], "told once, as dlerror does");
    said.all(4, "mapped libtra.so", "0");
    said.all(4, "mapped libtrc.so", "1");
}

fn what_failed_once_may_do_another_time(stage: &Stage) {
    lay_out_own_folders(stage);
    let steps = [
        "* enter",
        "* barrier",
        &format!("0 open a {LACKED} now"),
        "* barrier",
        "3 shell cp ../../lib/travel/libtra.so .",
        "* barrier",
        &format!("0 open b {LACKED} now"),
        "* tell 0",
        "* mapped libtra.so",
    ];
    for strict in [&[][..], &["--strict"]] {
        let said = stage.with(4, strict, &steps);
        assert_eq!(said.answers(&steps[6][2..]), ["ok"], "{}", said.stderr);
        said.all(4, "mapped libtra.so", "1");
        fs::remove_file(stage.path("own/3/libtra.so")).unwrap();
    }
}

/// The loader compares names: after a change of folder the same one is still the library that is open.
fn a_relative_name_means_what_the_program_has_open(stage: &Stage) {
    for (folder, name) in [("first", "a"), ("second", "b")] {
        fs::create_dir_all(stage.path(folder)).unwrap();
        fs::copy(stage.path(&format!("lib/travel/libtr{name}.so")), stage.path(&format!("{folder}/libsame.so")))
            .unwrap();
    }
    let open = "0 open x ./libsame.so now";
    let steps =
        ["0 chdir first", open, "0 chdir ../second", open, "0 call x a_answer", "* tell 0", "0 mapped libsame.so"];
    let said =
        stage.same_on_rank_0(2, &[], &[&steps[..], &["1 call default a_answer", "1 mapped libsame.so"]].concat());
    said.well();
    assert_eq!(said.answers("mapped libsame.so"), ["1", "1"]);
}

fn what_is_excluded_is_so_by_its_whole_path(stage: &Stage) {
    let folder = format!("{}/*", stage.path("lib/travel"));
    for glob in ["*/travel/*", folder.as_str()] {
        let steps =
            ["0 open a ./lib/travel/libtra.so now", "0 open b lib/travel/libtrb.so now", "0 open c libtrc.so now"];
        let mapped = ["* tell 0", "* mapped libtra.so", "* mapped libtrb.so", "* mapped libtrc.so"];
        let said = stage.with(2, &["--exclude", glob], &[&steps[..], &mapped].concat());
        said.well();
        for step in &mapped[1..] {
            assert_eq!(said.answers(&step[2..]), ["1", "0"], "{glob}");
        }
    }
}

fn a_job_that_is_not_all_under_dlcast_run_says_so(stage: &Stage) {
    let program = ["./steps", "* barrier"];
    let others = [&[":", "-n", "1"], &program[..]].concat();
    let run = |options: &[&str]| {
        let start = [&[dlcast(), "run", "--timeout", "2"], options, &["--"], &program[..], &others].concat();
        stage.mpirun(1, &[], &start)
    };
    let outcome = run(&[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    let hint = "every rank of the job has to be started under `dlcast run`";
    assert_eq!(outcome.stderr.matches(hint).count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("rank 1 ("), "{}", outcome.stderr);
    let outcome = run(&["--strict"]);
    assert_eq!(outcome.status, Some(125), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(hint) && outcome.stderr.contains("with --strict"), "{}", outcome.stderr);
}

fn a_missing_library_that_is_asked_for_ends_a_strict_job_only(stage: &Stage) {
    let steps = ["0 open a libtra.so now", "* tell 0", "* mapped libtra.so"];
    let said = stage.with(3, &["--load", "/no/such/libtrnone.so"], &steps);
    assert_eq!(said.code, Some(0));
    said.all(3, "mapped libtra.so", "1");
    said.complained("--load: load of `/no/such/libtrnone.so` failed on 3 of 3 ranks", 1);
    said.complained("ranks 0-2 (", 1);
    let said = stage.with(3, &["--strict", "--load", "/no/such/libtrnone.so"], &steps);
    assert_eq!((said.code, said.stdout.as_str()), (Some(125), ""));
    said.complained("--load: load of `/no/such/libtrnone.so` failed on 3 of 3 ranks", 1);
}

fn a_wrong_variable_is_named(stage: &Stage) {
    let outcome = stage.mpirun(2, &["env", "DLCAST_POLICY=lazy", dlcast(), "run", "--"], &["./steps", "* all"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(125), ""));
    assert!(outcome.stderr.contains("DLCAST_POLICY is `lazy`; expected eager or deferred"), "{}", outcome.stderr);
    // Set behind the back of the command, on every rank: MPI comes up all the same.
    let outcome =
        stage.mpirun(2, &[dlcast(), "run", "--", "env", "DLCAST_STRICT=maybe"], &["./steps", "* barrier", "* all"]);
    assert_eq!((outcome.status, outcome.stdout.matches(": all: \n").count()), (Some(0), 2), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("DLCAST_STRICT is `maybe`"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the program runs without dlcast"), "{}", outcome.stderr);
    // On one of them: the others are told at once.
    let program = ["./steps", "* barrier", "* all"];
    let start = [&[dlcast(), "run", "--"], &program[..]].concat();
    let wrong =
        [&[dlcast(), "run", "--", "env", "DLCAST_TIMEOUT=soon"], &program[..], &[":", "-n", "2"], &start].concat();
    let outcome = stage.mpirun(1, &[], &wrong);
    assert_eq!((outcome.status, outcome.stdout.matches(": all: \n").count()), (Some(0), 3), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("DLCAST_TIMEOUT is `soon`").count(), 1, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("on another rank, which says why").count(), 2, "{}", outcome.stderr);
    assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
}

fn a_constructor_on_a_worker_must_not_use_the_programs_communicators(stage: &Stage) {
    stage.mpi("mpicc", "probing.c", "lib/travel/libtrprobing.so", &["-shared", "-fPIC"]);
    let steps = [
        "0 open p libtrprobing.so now",
        "0 call p probing_answer",
        "0 open c libtrc.so now",
        "* tell 0",
        "* mapped libtrc.so",
    ];
    let said = stage.with(3, &[], &steps);
    assert_eq!(said.code, Some(0));
    assert_eq!(said.of_rank(0)[..2], ["open p libtrprobing.so now: ok", "call p probing_answer: 0"]);
    said.all(3, "mapped libtrc.so", "1");
    said.complained("libtrprobing.so` failed on 2 of 3 ranks", 1);
    said.complained("ranks 1, 2 (", 1);
    said.complained("its constructor called MPI_Iprobe", 1);
    let said = stage.with(
        3,
        &["--strict"],
        &["0 open p libtrprobing.so now", "* sleep 0.3", "* tell 0", "0 mapped libtrprobing.so"],
    );
    said.well();
    assert!(said.stdout.contains("its constructor called MPI_Iprobe"), "{}", said.stdout);
    assert_eq!(said.answers("mapped libtrprobing.so"), ["0"]);
}

fn other_tools_see_the_calls_that_they_wrap(stage: &Stage) {
    stage.mpi("mpicc", "tool.c", "libtool.so", &["-shared", "-fPIC"]);
    let steps = ["0 open a libtra.so now", "* tell 0", "* mapped libtra.so"];
    let preload = format!("LD_PRELOAD={}", stage.path("libtool.so"));
    let alone = stage.mpirun(2, &["env", &preload], &[&["./steps"][..], &steps].concat());
    assert!(alone.stdout.contains("rank 0: tool: 1 inits, 1 sends"), "{}", alone.stdout);
    // Preloaded before dlcast's shim and after it.
    for before in [&["env", &preload, dlcast(), "run", "--"][..], &[dlcast(), "run", "--", "./with_tool_first"]] {
        let script = format!("#!/bin/sh\nLD_PRELOAD=\"$LD_PRELOAD:{}\" exec \"$@\"\n", stage.path("libtool.so"));
        fs::write(stage.path("with_tool_first"), script).unwrap();
        fs::set_permissions(stage.path("with_tool_first"), fs::Permissions::from_mode(0o755)).unwrap();
        let outcome = stage.mpirun(2, before, &[&["./steps"][..], &steps].concat());
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{before:?}");
        assert_eq!(outcome.stdout.matches("mapped libtra.so: 1").count(), 2, "{}", outcome.stdout);
        // With the level raised, the program's MPI_Init may be an MPI_Init_thread of the MPI's own: it is made once in any case.
        assert!(outcome.stdout.contains("rank 0: tool: 1 inits, 1 sends"), "{before:?}: {}", outcome.stdout);
        assert!(outcome.stdout.contains("rank 1: tool: 1 inits, 0 sends"), "{before:?}: {}", outcome.stdout);
    }
}

fn children_are_without_the_shim(stage: &Stage) {
    let steps = [
        "* variable LD_PRELOAD",
        "* shell grep -c libdlcast_preload /proc/self/maps",
        "* fork libtra.so",
        "* barrier",
        "* mapped libtra.so",
        "0 open b libtrb.so now",
        "* tell 0",
        "1 mapped libtrb.so",
    ];
    let said = stage.same_on_rank_0(2, &[], &steps);
    said.well();
    said.all(2, "variable LD_PRELOAD", "unset");
    said.all(2, "mapped libtra.so", "0");
    assert_eq!(said.answers("mapped libtrb.so"), ["1"]);
    assert_eq!(said.stdout.lines().filter(|line| *line == "0").count(), 2, "{}", said.stdout);
    let said = stage.with(1, &[], &["* spawn"]);
    said.well();
    assert_eq!(said.answers("child"), ["0 shims, LD_PRELOAD unset"], "{}", said.stdout);
}

fn programs_without_mpi_are_as_they_were(stage: &Stage) {
    let said = stage.same_on_rank_0(2, &[], &["* nompi", "* open a libtra.so now", "* count a", "* mapped libtra.so"]);
    said.well();
    let run = [dlcast(), "run", "--"];
    let same = |words: &[&str]| {
        let (without, with) = (stage.run(words), stage.run(&[&run, words].concat()));
        assert_eq!(
            (with.status, with.stdout, with.stderr),
            (without.status, without.stdout, without.stderr),
            "{words:?}"
        );
        without.status
    };
    assert_eq!(same(&["true"]), Some(0));
    assert_eq!(same(&["sh", "-c", "echo out; echo err >&2; kill -TERM $$"]), Some(-15));
    stage.compile("cc", "plain.c", "static", &["-static"]);
    assert_eq!(same(&["./static", "word"]), Some(3));
    // A shell hands the shim on to what it becomes.
    let program = "exec ./steps '0 open a libtra.so now' '* tell 0' '* mapped libtra.so'";
    let outcome = stage.mpirun(2, &run, &["bash", "-c", program]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.stdout.matches("mapped libtra.so: 1").count(), 2, "{}", outcome.stdout);
}

/// With a set-user-ID bit; another owner than the caller's is needed for it to mean something, which takes root.
fn privileged_programs_are_left_alone(stage: &Stage) {
    const NOBODY: u32 = 65534;
    stage.compile("cc", "privileged.c", "privileged", &[]);
    let run = |before: &[&str]| stage.run(&[before, &["./privileged"]].concat()).stdout;
    let with = [dlcast(), "run", "--"];
    assert_eq!(run(&with), "secure 0, dlcast 1, LD_PRELOAD set\n");
    let program = stage.path("privileged");
    if let Err(error) = std::os::unix::fs::chown(&program, Some(NOBODY), Some(NOBODY)) {
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
        return;
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(run(&with), "secure 1, dlcast 0, LD_PRELOAD unset\n");
    assert_eq!(run(&[]), "secure 1, dlcast 0, LD_PRELOAD unset\n");
}

fn exit_codes_and_signals_are_the_programs_own(stage: &Stage) {
    for last in ["1 exit 7", "0 exit 3", "1 raise 6", "1 raise 9"] {
        let steps = ["0 open a libtra.so now", "* complain words", "* tell 0", "* barrier", last, "* barrier"];
        let (without, with) = (stage.without(2, &steps), stage.with(2, &[], &steps));
        stage.failed_alike(with.code, without.code, &format!("{last}: {}", with.stderr));
        for rank in ["rank 0: words", "rank 1: words"] {
            with.complained(rank, 1);
        }
        assert!(!with.stderr.contains("dlcast:"), "{last}: {}", with.stderr);
        assert!(with.took < Duration::from_secs(15), "{last}");
    }
    // SIGINT to the launcher.
    let steps = ["0 open a libtra.so now", "* tell 0", "* sleep 30"];
    let interrupted = |run: &[&str]| {
        let mpirun = ["timeout", "--signal=INT", "--preserve-status", "--foreground", "2"];
        let outcome = stage.run(&[&mpirun, run, &["./steps"], &steps].concat());
        assert!(outcome.took < Duration::from_secs(15), "{run:?}");
        assert!(!outcome.stderr.contains("dlcast:"), "{}", outcome.stderr);
        outcome.status
    };
    let launcher = stage.launcher().program();
    let without = interrupted(&[launcher, "-n", "2"]);
    assert_eq!(interrupted(&[launcher, "-n", "2", dlcast(), "run", "--"]), without);
}

fn an_exception_that_nobody_catches_ends_the_program_as_it_would(stage: &Stage) {
    stage.mpi("mpicxx", "plugins.cpp", "plugins", &["-std=c++17"]);
    stage.compile("c++", "throws.cpp", "libthrows.so", &["-shared", "-fPIC"]);
    let program = ["./plugins", &stage.path("libthrows.so"), "uncaught"];
    let without = stage.mpirun(3, &[], &program);
    let with = stage.mpirun(3, &[dlcast(), "run", "--"], &program);
    stage.failed_alike(with.status, without.status, &with.stderr);
    // A launcher may have something to say, too.
    let of_ranks =
        |text: &str| text.lines().filter(|line| line.starts_with("rank ")).map(String::from).collect::<Vec<_>>();
    assert_eq!(of_ranks(&with.stdout), of_ranks(&without.stdout));
    assert!(with.stderr.contains("terminate called") && with.stderr.contains("from the plugin"), "{}", with.stderr);
    assert!(!with.stderr.contains("dlcast:"), "{}", with.stderr);
    assert!(with.took < Duration::from_secs(15));
}

/// The report, as docs/run.md has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    version: u32,
    size: u32,
    policy: String,
    rounds: Vec<Round>,
    ranks: Vec<Rank>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Round {
    lane: String,
    at: f64,
    took: f64,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    kind: String,
    name: String,
    asked_by: Vec<u32>,
    committed: bool,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rank {
    rank: u32,
    host: String,
    pid: u32,
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    at: f64,
    library: String,
    seen: String,
    outcome: String,
    waited: bool,
    took: f64,
    #[serde(default)]
    error: Option<String>,
}

fn report(stage: &Stage, name: &str) -> Report {
    serde_json::from_str(&stage.read(name)).unwrap_or_else(|error| panic!("{error}: {}", stage.read(name)))
}

fn the_report_says_what_was_seen_where_and_agreed_when(stage: &Stage) {
    lay_out_own_folders(stage);
    // Of a library that nobody has opened: by its content, one that is everywhere is known.
    for rank in 0..3 {
        fs::copy(stage.path("lib/travel/libtrc.so"), stage.path(&format!("own/{rank}/libtrc.so"))).unwrap();
    }
    let lacked = "2 open l /proc/self/cwd/libtrc.so now";
    let steps = [
        "1 open b libtrb.so now",
        "* init",
        "0 open a libtra.so now",
        "* tell 0",
        "2 open d libtrd.so now",
        "* barrier",
        "* enter",
        "* barrier",
        lacked,
        "* barrier",
    ];
    let said = stage.with(4, &["--report", "report.json"], &steps);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let report = report(stage, "report.json");
    assert_eq!((report.version, report.size, report.policy.as_str()), (1, 4, "eager"));
    let ranks: Vec<u32> = report.ranks.iter().map(|rank| rank.rank).collect();
    assert_eq!(ranks, [0, 1, 2, 3]);
    let pids: std::collections::BTreeSet<u32> = report.ranks.iter().map(|rank| rank.pid).collect();
    assert!(pids.len() == 4 && report.ranks.iter().all(|rank| !rank.host.is_empty()), "{report:?}");
    // Who asked for what, and what has become of it.
    let items: Vec<(&str, &[u32], bool)> = report
        .rounds
        .iter()
        .flat_map(|round| &round.items)
        .map(|item| (item.name.rsplit('/').next().unwrap(), item.asked_by.as_slice(), item.committed))
        .collect();
    assert_eq!(
        items,
        [
            ("libtrb.so", &[1][..], true),
            ("libtra.so", &[0][..], true),
            ("libtrd.so", &[2][..], true),
            ("libtrc.so", &[2][..], false)
        ],
        "{report:?}"
    );
    let times: Vec<f64> = report.rounds.iter().map(|round| round.at).collect();
    assert!(times.is_sorted() && times[0] >= 0.0, "{times:?}");
    for round in &report.rounds {
        assert!(round.lane == "native" && round.took > 0.0 && round.took < 30.0, "{round:?}");
        for item in &round.items {
            assert_eq!((item.kind.as_str(), item.error.is_some()), ("library", !item.committed));
        }
    }
    // What was seen where, and how it went.
    let events: Vec<(u32, &str, &str, &str, bool)> = report
        .ranks
        .iter()
        .flat_map(|rank| rank.events.iter().map(move |event| (rank.rank, event)))
        .map(|(rank, event)| {
            let name = event.library.rsplit('/').next().unwrap();
            assert!(event.at >= 0.0 && event.took >= 0.0 && event.error.is_some() == (event.outcome == "undone"));
            (rank, name, event.seen.as_str(), event.outcome.as_str(), event.waited)
        })
        .collect();
    assert_eq!(
        events,
        [
            (0, "libtra.so", "dlopen", "committed", true),
            (1, "libtrb.so", "before MPI_Init", "recorded", false),
            (2, "libtrd.so", "dlopen", "committed", true),
            (2, "libtrc.so", "dlopen", "undone", true),
        ]
    );
}

fn a_report_that_cannot_be_written_is_one_message(stage: &Stage) {
    let said = stage.with(3, &["--report", "/dev/full"], &["0 open a libtra.so now", "* tell 0", "* mapped libtra.so"]);
    assert_eq!(said.code, Some(0));
    said.all(3, "mapped libtra.so", "1");
    said.complained("dlcast: ", 1);
    said.complained("--report /dev/full: No space left", 1);
}

fn a_stopped_rank_holds_nobody_up_beyond_the_deadline(stage: &Stage) {
    let open = "0 within 8 open a libtra.so now";
    let steps =
        ["* barrier", "2 frozen 9", "0 sleep 0.5", open, "0 within 1 open b libtrb.so now", "* barrier", "* sleep 0.1"];
    let said = stage.with(4, &["--timeout", "3"], &steps);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(said.answers(&open[2..]), ["in time"], "{}", said.stdout);
    assert_eq!(said.answers("within 1 open b libtrb.so now"), ["in time"], "{}", said.stdout);
    assert_eq!(said.answers("open a libtra.so now"), ["ok"]);
    said.complained("libtra.so`; rank 2 (", 1);
    said.complained("see whether its process is stopped", 1);
    said.complained("rank 0 goes on without the others", 1);

    let said = stage.with(4, &["--timeout", "3", "--strict"], &steps);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(said.answers(&open[2..]), ["in time"], "{}", said.stdout);
    assert!(said.answers("open a libtra.so now")[0].contains("rank 2 ("), "{}", said.stdout);
}

fn a_killed_rank_holds_nobody_up_and_the_report_is_written(stage: &Stage) {
    if stage.launcher().program() != "mpirun"
        || !stage.run(&["mpirun", "--help", "recovery"]).stdout.contains("enable-recovery")
    {
        // Only Open MPI 4's launcher lets the others live.
        return;
    }
    let open = "0 within 8 open a libtra.so now";
    // MPI_Finalize of this MPI waits for the dead: so did it without dlcast. The report is written before.
    let steps = ["* barrier", "2 raise 9", "0 sleep 0.5", open, "1 sleep 6", "1,3 leave 0"];
    let program = ["timeout", "--signal=KILL", "10", "./steps"];
    let run = ["--enable-recovery", dlcast(), "run", "--timeout", "3", "--report", "killed.json", "--"];
    let outcome = stage.mpirun(4, &run, &[&program[..], &steps].concat());
    assert!(outcome.stdout.contains("rank 0: open a libtra.so now: ok\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("in time"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("did not answer"), "{}", outcome.stderr);
    let report = report(stage, "killed.json");
    assert_eq!(report.size, 4);
    let events = &report.ranks[0].events;
    assert_eq!((events.len(), events[0].outcome.as_str()), (1, "undone"), "{report:?}");
    assert!(events[0].error.as_deref().is_some_and(|error| error.contains("did not answer")), "{report:?}");
}

fn one_of_64_ranks_opens_a_library(stage: &Stage) {
    let steps = ["* barrier", "17 open a libtra.so now", "* tell 17", "* mapped libtra.so", "* count a"];
    let said = stage.with(64, &[], &steps);
    said.well();
    said.all(64, "mapped libtra.so", "1");
    said.all(64, "count a", "1");
}
