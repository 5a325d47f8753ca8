//! dlopen finds the same library, says the same and leaves the same behind.

use std::os::unix::fs::symlink;

use crate::stage::Stage;

/// Options that make a DT_RUNPATH, and a DT_RPATH.
const NEW: &str = "-Wl,--enable-new-dtags";
const OLD: &str = "-Wl,--disable-new-dtags";

/// What the engine was told between its start and its stop.
fn told(log: &[String]) -> &[String] {
    assert_eq!((&*log[0], &*log[log.len() - 1]), ("start", "stop"));
    &log[1..log.len() - 1]
}

#[test]
fn a_bare_name_is_found_by_the_runpath_of_the_program() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &[]);
    let (output, log) = stage.both("./driver init open n libx.so call value objects close fini");
    assert!(output.contains("libx.so: @/far/libx.so\nvalue() = 7\n"), "{output}");
    assert_eq!(told(&log), ["opened @/far/libx.so local waits"]);
}

#[test]
fn a_bare_name_is_found_by_the_runpath_of_the_library_that_opens_it() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("caller.so", 1, &["-DCALLER", "-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &["-Wl,-soname,libx.so"]);
    let words = "./driver init open n ./caller.so via ng libx.so call value objects open n libx.so fini";
    let (output, log) = stage.both(words);
    assert!(output.contains("libx.so: @/far/libx.so\nvalue() = 7\n"), "{output}");
    // The program has no RUNPATH: by its SONAME it finds the one that is loaded.
    assert_eq!(
        told(&log),
        ["opened ./caller.so local waits", "opened @/far/libx.so global waits", "opened @/far/libx.so local waits"]
    );
}

#[test]
fn an_rpath_of_the_program_serves_it() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", OLD]);
    stage.library("far/libx.so", 7, &[]);
    stage.library("other/libx.so", 8, &[]);
    // An RPATH comes before LD_LIBRARY_PATH.
    let words = "LD_LIBRARY_PATH=@/other ./driver init open n libx.so objects close objects fini";
    let (output, log) = stage.both(words);
    assert!(output.contains("libx.so: @/far/libx.so\n"), "{output}");
    assert_eq!(told(&log), ["opened @/far/libx.so local waits"]);
}

#[test]
fn an_rpath_of_a_library_serves_what_it_opens_but_not_what_that_needs() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("caller.so", 1, &["-DCALLER", "-Wl,-rpath,@/far", OLD]);
    stage.library("far/libneeded.so", 3, &["-DNAME=needed", "-Wl,-soname,libneeded.so"]);
    stage.library("other/libneeded.so", 4, &["-DNAME=needed", "-Wl,-soname,libneeded.so"]);
    stage.library("far/libx.so", 7, &["-DCALLS=needed", "@/far/libneeded.so"]);
    for name in ["libx.so", "@/far/libx.so"] {
        let words =
            format!("LD_LIBRARY_PATH=@/other ./driver init open n ./caller.so via n {name} call relay objects fini");
        let (output, log) = stage.both(&words);
        assert!(output.contains("relay() = 4\n"), "{output}");
        assert_eq!(told(&log)[1], "opened @/far/libx.so local waits");
    }
}

#[test]
fn the_cache_comes_before_the_systems_folders_and_after_a_runpath() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libpng16.so.16", 7, &[]);
    let (_, log) = stage.both("./driver init open l libz.so.1 open l libm.so.6 objects fini");
    assert!(told(&log).iter().all(|line| line.starts_with("opened ")), "{log:?}");
    let (output, _) = stage.both("./driver init open l libpng16.so.16 call value fini");
    assert!(output.contains("value() = 7\n"), "{output}");
}

#[test]
fn the_search_path_of_the_environment_comes_before_a_runpath() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &[]);
    stage.library("other/libx.so", 8, &[]);
    stage.library("far/liby.so", 9, &[]);
    let words = "LD_LIBRARY_PATH=@/none:@/other ./driver init open n libx.so open n liby.so objects fini";
    let (output, log) = stage.both(words);
    assert!(output.contains("libx.so: @/other/libx.so\n"), "{output}");
    assert_eq!(told(&log), ["opened @/other/libx.so local waits", "opened @/far/liby.so local waits"]);
}

#[test]
fn what_a_relative_folder_of_the_search_path_has_is_left_to_the_loader() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &[]);
    stage.library("libx.so", 8, &[]);
    for path in ["LD_LIBRARY_PATH=:@/none", "LD_LIBRARY_PATH=@/none:", "LD_LIBRARY_PATH=."] {
        let (_, log) = stage.both(&format!("{path} ./driver init open n libx.so objects fini"));
        assert_eq!(told(&log), ["opening libx.so local"]);
    }
}

/// Launchers leave them behind: `LD_LIBRARY_PATH=/opt/mpi/lib:$LD_LIBRARY_PATH`.
#[test]
fn a_relative_folder_of_the_search_path_that_has_nothing_is_passed_by() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &[]);
    stage.library("none/liby.so", 8, &[]);
    for path in ["@/none:", ":@/none", ".:@/none", "nowhere:@/none"] {
        let words = "./driver init open n libx.so open n liby.so open l libz.so.1 call value objects fini";
        let (output, log) = stage.both(&format!("LD_LIBRARY_PATH={path} {words}"));
        assert!(output.contains("libx.so: @/far/libx.so\n"), "{output}");
        assert_eq!(
            told(&log)[..2],
            ["opened @/far/libx.so local waits", "opened @/none/liby.so local waits"],
            "{path}"
        );
        assert!(told(&log)[2].starts_with("opened /") && told(&log)[2].ends_with(" waits"), "{path}: {log:?}");
    }
}

#[test]
fn origin_in_a_runpath_is_the_folder_of_the_link_that_was_opened() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,$ORIGIN/near", NEW]);
    stage.library("near/libx.so", 7, &[]);
    stage.library("real/caller.so", 1, &["-DCALLER", "-Wl,-rpath,$ORIGIN", NEW]);
    stage.library("real/liby.so", 8, &[]);
    stage.library("linked/liby.so", 9, &[]);
    symlink("../real/caller.so", stage.path("linked/caller.so")).unwrap();
    let words = "./driver init open n libx.so open n @/linked/caller.so via n liby.so call value objects fini";
    let (output, log) = stage.both(words);
    assert!(output.contains("value() = 9\n"), "{output}");
    assert_eq!(
        told(&log),
        [
            "opened @/near/libx.so local waits",
            "opened @/linked/caller.so local waits",
            "opened @/linked/liby.so local waits"
        ]
    );
}

#[test]
fn origin_in_a_name_is_the_callers() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("sub/libx.so", 7, &[]);
    stage.library("sub/caller.so", 1, &["-DCALLER"]);
    let words = "./driver init open n $ORIGIN/sub/libx.so open n $ORIGIN/sub/caller.so via n $ORIGIN/libx.so open n \
        ${ORIGIN}/sub/libx.so open n /$ORIGIN/sub/libx.so open n $ORIGIN/sub/none.so objects fini";
    let (output, log) = stage.both(words);
    assert!(output.contains("$ORIGIN/libx.so: @/sub/libx.so\n"), "{output}");
    assert_eq!(
        told(&log),
        [
            "opened @/sub/libx.so local waits",
            "opened @/sub/caller.so local waits",
            "opened @/sub/libx.so local waits",
            "opened @/sub/libx.so local waits",
            "opening /$ORIGIN/sub/libx.so local",
        ]
    );
}

#[test]
fn a_global_library_serves_the_one_that_needs_its_symbols() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("libbase.so", 3, &["-DNAME=base"]);
    stage.library("libtop.so", 7, &["-DCALLS=base"]);
    let words = "./driver init open n @/libbase.so open n @/libtop.so open ng @/libbase.so open n @/libtop.so call relay \
        fini";
    let (output, log) = stage.both(words);
    assert!(output.contains("@/libtop.so: failed: @/libtop.so: undefined symbol: base\n"), "{output}");
    assert!(output.contains("relay() = 3\n"), "{output}");
    assert_eq!(
        told(&log),
        ["opened @/libbase.so local waits", "opened @/libbase.so global waits", "opened @/libtop.so local waits"]
    );
}

#[test]
fn noload_and_null_are_nobodys_business() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 3, &["-DNAME=base"]);
    stage.library("far/libtop.so", 7, &["-DCALLS=base"]);
    let words = "./driver init open no libx.so error open n NULL call main open l  open n libx.so open nog libx.so open \
        n libtop.so call relay fini";
    // `main` may be called: without arguments it does nothing. It is not exported, though.
    let (output, log) = stage.both(words);
    assert!(output.contains("relay() = 3\n"), "{output}");
    assert_eq!(told(&log), ["opened @/far/libx.so local waits", "opened @/far/libtop.so local waits"]);
}

#[test]
fn errors_are_the_loaders_own() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libneedy.so", 1, &["-DCALLS=nobody_has_this"]);
    stage.library("far/libgone.so", 2, &["-Wl,-soname,libgone.so"]);
    stage.library("far/liborphan.so", 3, &["-Wl,--no-as-needed", "@/far/libgone.so"]);
    std::fs::remove_file(stage.path("far/libgone.so")).unwrap();
    std::fs::write(stage.path("far/libtext.so"), "INPUT(libtext.so.1)\n").unwrap();
    std::fs::write(stage.path("far/libempty.so"), "").unwrap();
    std::fs::create_dir(stage.path("far/libfolder.so")).unwrap();
    let names = [
        "libnowhere.so",
        "@/libnowhere.so",
        "./libnowhere.so",
        "libneedy.so",
        "@/far/libneedy.so",
        "liborphan.so",
        "libtext.so",
        "libempty.so",
        "libfolder.so",
        "@/far/libfolder.so",
    ];
    let mut words = vec!["./driver", "init"];
    for name in names {
        words.extend(["open", "n", name, "error"]);
    }
    words.extend(["objects", "fini"]);
    let (output, log) = stage.both(&words.join(" "));
    assert_eq!(output.matches(": failed: ").count(), names.len(), "{output}");
    assert_eq!(told(&log), ["opening libtext.so local", "opening libempty.so local", "opening libfolder.so local"]);
}

#[test]
fn an_error_from_before_the_first_dlopen_is_told() {
    let stage = Stage::new();
    stage.driver(&[]);
    let (output, _) = stage.both("./driver symbol nobody_has_this error error init symbol nor_this error fini");
    assert!(output.contains("error: ./driver: undefined symbol: nobody_has_this\nerror: none\n"), "{output}");
}

#[test]
fn files_for_another_machine_and_dangling_links_are_passed_over() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/a:@/b:@/c:@/d", NEW]);
    stage.library("d/libx.so", 7, &[]);
    let mut image = std::fs::read(stage.path("d/libx.so")).unwrap();
    for (folder, byte) in [("a", 4), ("b", 18)] {
        let right = image[byte];
        std::fs::create_dir(stage.path(folder)).unwrap();
        image[byte] = if byte == 4 { 1 } else { 243 };
        std::fs::write(stage.path(&format!("{folder}/libx.so")), &image).unwrap();
        image[byte] = right;
    }
    std::fs::create_dir(stage.path("c")).unwrap();
    symlink("nowhere", stage.path("c/libx.so")).unwrap();
    let (output, log) = stage.both("./driver init open n libx.so objects fini");
    assert!(output.contains("libx.so: @/d/libx.so\n"), "{output}");
    assert_eq!(told(&log), ["opened @/d/libx.so local waits"]);
}

#[test]
fn a_text_file_stops_the_search() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/a:@/b", NEW]);
    stage.library("b/libx.so", 7, &[]);
    std::fs::create_dir(stage.path("a")).unwrap();
    std::fs::write(stage.path("a/libx.so"), "INPUT(libx.so.1)\n").unwrap();
    let (output, _) = stage.both("./driver init open n libx.so objects fini");
    assert!(output.contains("libx.so: failed: @/a/libx.so: file too short\n"), "{output}");
}

#[test]
fn what_is_loaded_by_that_soname_wins_over_the_search() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &["-Wl,-soname,libx.so"]);
    stage.library("other/first.so", 8, &["-Wl,-soname,libx.so"]);
    let words = "./driver init open n @/other/first.so open n libx.so call value objects fini";
    let (output, log) = stage.both(words);
    assert!(output.contains("libx.so: @/other/first.so\nvalue() = 8\n"), "{output}");
    assert_eq!(told(&log), ["opened @/other/first.so local waits", "opened @/other/first.so local waits"]);
}

#[test]
fn what_was_opened_by_a_bare_name_is_what_that_name_means_to_others() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("one.so", 1, &["-DCALLER", "-Wl,-rpath,@/far", NEW]);
    stage.library("two.so", 2, &["-DCALLER", "-Wl,-rpath,@/other", NEW]);
    stage.library("far/plugin.so", 7, &[]);
    stage.library("other/plugin.so", 8, &[]);
    // Without a SONAME: the loader remembers the name that was asked for. The program itself has no RUNPATH at all.
    let words = "./driver init open n ./one.so via n plugin.so open n ./two.so via n plugin.so call value open n \
        plugin.so objects close close close close objects fini";
    let (output, _) = stage.both(words);
    assert!(output.contains("plugin.so: @/far/plugin.so\nvalue() = 7\n"), "{output}");
    assert!(!output.contains("@/other/plugin.so"), "{output}");
}

#[test]
fn a_name_that_is_loaded_from_elsewhere_means_the_callers_own() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", OLD]);
    stage.library("caller.so", 1, &["-DCALLER", "-Wl,-rpath,@/other", NEW]);
    stage.library("far/plugin.so", 7, &[]);
    stage.library("other/plugin.so", 8, &[]);
    // By its path, the first one gets no such name; the shim's own search path would lead to it.
    let words = "./driver init open n @/far/plugin.so open n ./caller.so via n plugin.so call value objects fini";
    let (output, _) = stage.both(words);
    assert!(output.contains("value() = 8\n"), "{output}");
}

#[test]
fn a_runpath_hides_the_rpath_of_the_program() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", OLD]);
    stage.library("caller.so", 1, &["-DCALLER", "-Wl,-rpath,@/other", NEW]);
    stage.library("far/plugin.so", 7, &[]);
    stage.library("other/liby.so", 8, &[]);
    let words = "./driver init open n ./caller.so via n plugin.so via n liby.so objects fini";
    let (output, _) = stage.both(words);
    assert!(output.contains("plugin.so: failed: "), "{output}");
}

#[test]
fn the_variant_for_this_processor_is_taken() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &[]);
    stage.library("far/glibc-hwcaps/x86-64-v2/libx.so", 8, &[]);
    let (_, log) = stage.both("./driver init open n libx.so call value objects fini");
    assert_eq!(told(&log), ["opening libx.so local"]);
}

#[test]
fn closed_it_is_gone_and_reopened_it_is_there() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &[]);
    let mut words = vec!["./driver", "init"];
    for _ in 0..3 {
        words.extend(["open", "n", "libx.so", "open", "l", "libx.so", "close", "call", "value", "close", "objects"]);
    }
    words.push("fini");
    let (output, log) = stage.both(&words.join(" "));
    assert_eq!(output.matches("up 7\n").count(), 3, "{output}");
    assert_eq!(output.matches("down 7\n").count(), 3, "{output}");
    // Two ways to call it, and no telling of what is known.
    assert_eq!(told(&log), ["opened @/far/libx.so local waits", "opened @/far/libx.so local waits"]);
}

#[test]
fn what_is_not_everywhere_is_told_again() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("libx.so", 7, &[]);
    let words = "FAKE_ANSWER=1 ./driver init open n @/libx.so open n @/libx.so close close objects fini";
    let (_, log) = stage.both(words);
    assert_eq!(told(&log).len(), 2);
}

#[test]
fn a_relative_path_is_told_every_time() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("sub/libx.so", 7, &[]);
    stage.library("libx.so", 8, &[]);
    let words = "./driver init open n ./libx.so call value cd sub open n ./libx.so call value fini";
    let (output, log) = stage.both(words);
    // The loader compares names first: the second is the first.
    assert_eq!(output.matches("value() = 8\n").count(), 2, "{output}");
    assert_eq!(told(&log).len(), 2);
}

#[test]
fn many_threads_open_and_close() {
    let stage = Stage::new();
    stage.cc("threads.c", "threads", &["@/libfakempi.so", "-pthread", "-Wl,-rpath,@/far", NEW]);
    for at in 0..4 {
        stage.library(&format!("far/libt{at}.so"), at, &["-DQUIET"]);
    }
    let (output, log) = stage.both("./threads");
    assert_eq!(output.matches(" is gone\n").count(), 4, "{output}");
    assert!(told(&log).iter().all(|line| line.ends_with("local waits")), "{log:?}");
}

#[test]
fn inside_a_constructor_nothing_waits() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("libinner.so", 1, &[]);
    stage.library("libouter.so", 2, &["-DNESTED=\"@/libinner.so\""]);
    let words = "./driver init open n @/libouter.so objects close objects fini";
    let (_, log) = stage.both(words);
    assert_eq!(told(&log), ["opened @/libinner.so local does not wait", "opened @/libouter.so local waits"]);
    // Where the outer one is opened by the program itself, the stack tells.
    let words = "./driver init open n /$ORIGIN/libouter.so objects close objects fini";
    let (_, log) = stage.both(words);
    assert_eq!(told(&log), ["opening /$ORIGIN/libouter.so local", "opened @/libinner.so local does not wait"]);
}

#[test]
fn inside_an_import_nothing_waits() {
    let stage = Stage::new();
    stage.driver(&["-rdynamic"]);
    stage.library("libx.so", 1, &[]);
    stage.library("liby.so", 2, &[]);
    let (_, log) = stage.both("./driver init import @/libx.so open n @/liby.so fini");
    assert_eq!(told(&log), ["opened @/libx.so local does not wait", "opened @/liby.so local waits"]);
}

#[test]
fn a_library_that_binds_to_itself_first_passes_the_shim_by() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("caller.so", 1, &["-DCALLER", "-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &[]);
    let words = "./driver init open nd ./caller.so via n libx.so call value objects close close objects fini";
    let (output, log) = stage.both(words);
    assert!(output.contains("value() = 7\n"), "{output}");
    assert_eq!(told(&log), ["opened ./caller.so local waits"]);
}

#[test]
fn what_fails_elsewhere_fails_here_when_the_engine_says_so() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("libx.so", 7, &[]);
    let words = "FAKE_ANSWER=2 ./driver init open n @/libx.so error open no @/libx.so error fini";
    let (output, log) = stage.run_preloaded(&words.split(' ').collect::<Vec<_>>());
    let expected = "init: 0\nup 7\ndown 7\n@/libx.so: failed: failed on 1 of 2 ranks\nerror: none\n\
                    @/libx.so: failed: (null)\nerror: none\nfini: 0\n";
    assert_eq!(output.stdout, expected);
    assert_eq!(told(&log), ["opened @/libx.so local waits"]);
}

#[test]
fn deferred_leaves_every_call_to_the_program() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 7, &[]);
    let words = "DLCAST_POLICY=deferred ./driver init open ng libx.so objects close objects fini";
    let (_, log) = stage.both(words);
    assert_eq!(told(&log), ["opening libx.so global"]);
}

#[test]
fn what_layers_have_is_open_before_what_needs_it() {
    for policy in ["eager", "deferred"] {
        let stage = Stage::new();
        stage.driver(&[]);
        stage.library("layer/libneeded.so", 3, &["-Wl,-soname,libneeded.so"]);
        stage.library("libx.so", 7, &["-Wl,--no-as-needed", "-L@/layer", "-lneeded"]);
        let words = "./driver init open n @/libx.so call value objects error close fini";
        let env = [format!("DLCAST_POLICY={policy}"), "FAKE_FIRST=@/layer/libneeded.so".to_string()];
        let words: Vec<&str> = env.iter().map(String::as_str).chain(words.split(' ')).collect();
        let (output, log) = stage.run_preloaded(&words);
        assert!(output.stdout.contains("value() = 7\n") && output.stdout.contains("error: none"), "{}", output.stdout);
        assert_eq!(told(&log).len(), 1, "the engine's own dlopen is not told: {log:?}");
    }
}

#[test]
fn a_library_of_a_layer_that_cannot_be_opened_is_the_error_of_the_dlopen() {
    for policy in ["eager", "deferred"] {
        let stage = Stage::new();
        stage.driver(&[]);
        stage.library("libx.so", 7, &[]);
        let policy = format!("DLCAST_POLICY={policy}");
        let words = "FAKE_FIRST=@/layer/libnone.so ./driver init open n @/libx.so error open no @/libx.so error fini";
        let words: Vec<&str> = std::iter::once(policy.as_str()).chain(words.split(' ')).collect();
        let (output, log) = stage.run_preloaded(&words);
        assert!(
            output.stdout.contains("@/libx.so: failed: failed on 1 of 2 ranks\nerror: none\n"),
            "{}",
            output.stdout
        );
        assert_eq!(told(&log).len(), 0, "{log:?}");
    }
}

#[test]
fn a_bare_name_may_mean_a_file_of_a_layer() {
    for (policy, expected) in
        [("eager", "opened @/layer/libx.so.1 local waits"), ("deferred", "opening @/layer/libx.so.1 local")]
    {
        let stage = Stage::new();
        stage.driver(&[]);
        stage.library("layer/libx.so.1", 7, &["-Wl,-soname,libx.so.1"]);
        let env = [
            format!("DLCAST_POLICY={policy}"),
            "FAKE_NAME=libx.so".to_string(),
            "FAKE_FILE=@/layer/libx.so.1".to_string(),
        ];
        // By an alias, which ld.so does not learn: it means the same each time.
        let words =
            "./driver init open n libx.so call value close open n libx.so call value error close open n liby.so fini";
        let words: Vec<&str> = env.iter().map(String::as_str).chain(words.split(' ')).collect();
        let (output, log) = stage.run_preloaded(&words);
        assert_eq!(output.stdout.matches("value() = 7\n").count(), 2, "{}", output.stdout);
        assert!(output.stdout.contains("error: none"), "{}", output.stdout);
        assert!(
            output.stdout.contains("liby.so: failed: liby.so: cannot open shared object file"),
            "{}",
            output.stdout
        );
        assert_eq!(told(&log)[..2], [expected, expected]);
    }
}

#[test]
fn what_the_callers_own_path_has_goes_before_a_file_of_a_layer() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", NEW]);
    stage.library("far/libx.so", 8, &[]);
    stage.library("layer/libx.so.1", 7, &[]);
    for policy in ["eager", "deferred"] {
        let policy = format!("DLCAST_POLICY={policy}");
        let words = "FAKE_NAME=libx.so FAKE_FILE=@/layer/libx.so.1 ./driver init open n libx.so call value fini";
        let words: Vec<&str> = std::iter::once(policy.as_str()).chain(words.split(' ')).collect();
        let (output, _) = stage.run_preloaded(&words);
        assert!(output.stdout.contains("value() = 8\n"), "{}", output.stdout);
    }
}

#[test]
fn what_was_opened_before_mpi_is_told_in_mpi_init_if_it_is_still_open() {
    let stage = Stage::new();
    stage.library("liblinked.so", 1, &["-DNESTED=\"@/libfirst.so\"", "-Wl,-soname,@/liblinked.so"]);
    stage.library("libfirst.so", 2, &[]);
    stage.driver(&["-Wl,-rpath,@/far", NEW, "-Wl,--no-as-needed", "@/liblinked.so"]);
    stage.library("far/libx.so", 7, &[]);
    stage.library("far/liby.so", 8, &[]);
    let words = "./driver open ng libx.so open n liby.so close init objects open n libx.so fini";
    let (_, log) = stage.both(words);
    let expected = [
        "early @/libfirst.so local",
        "early @/far/libx.so global",
        "start",
        "opened @/far/libx.so local waits",
        "stop",
    ];
    assert_eq!(log, expected);
}

#[test]
fn after_mpi_finalize_nothing_is_told() {
    let stage = Stage::new();
    stage.driver(&[]);
    stage.library("libx.so", 7, &[]);
    let (_, log) = stage.both("./driver init fini open n @/libx.so objects close");
    assert_eq!(told(&log).len(), 0);
}
