//! dlopen finds the same library, says the same and leaves the same behind.

use crate::stage::Stage;

#[test]
fn a_bare_name_is_found_by_the_runpath_of_the_program() {
    let stage = Stage::new();
    stage.driver(&["-Wl,-rpath,@/far", "-Wl,--enable-new-dtags"]);
    stage.library("far/libx.so", 7, &[]);
    let (output, log) =
        stage.both(&["./driver", "init", "open", "n", "libx.so", "call", "value", "objects", "close", "fini"]);
    assert!(output.contains("libx.so: @/far/libx.so\nvalue() = 7\n"), "{output}");
    assert_eq!(log, ["start", "opened @/far/libx.so local waits", "stop"]);
}
