//! The checked-in C header is the one that cbindgen makes of `src/capi`.
//!
//! `UPDATE_EXPECT=1 cargo test --lib header` writes it.

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is readable");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/capi/types.rs"))
        .with_src(root.join("src/capi/collective.rs"))
        .with_src(root.join("src/capi/recording.rs"))
        .with_src(root.join("src/capi/stepping.rs"))
        .with_src(root.join("src/capi/callbacks.rs"))
        .with_src(root.join("src/capi/tasks.rs"))
        .with_src(root.join("src/capi/code.rs"))
        .with_src(root.join("src/capi/layers.rs"))
        .generate()
        .expect("src/capi is what cbindgen can read");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).expect("a header is text");
    expect_test::expect_file![root.join("include/dlcast.h")].assert_eq(&header);
}
