//! What the shim costs; a measurement, to be run by hand:
//! `cargo test -p dlcast-preload --test shim -- --ignored --nocapture a_known_library`.

use crate::stage::Stage;

#[test]
#[ignore = "measures, and judges nothing but the number of tellings"]
fn a_known_library_costs_hardly_more_than_without_the_shim() {
    let stage = Stage::new();
    stage.cc("bench.c", "bench", &["@/libfakempi.so", "-Wl,-rpath,@/far", "-Wl,--enable-new-dtags"]);
    stage.library("far/libx.so", 7, &["-DQUIET"]);
    let (output, log) = stage.run_preloaded(&["./bench", "@/far/libx.so", "libx.so"]);
    print!("{}", output.stdout);
    // The first by its path, the second from two places.
    assert_eq!(log.iter().filter(|line| line.starts_with("opened ")).count(), 3, "{log:?}");
}
