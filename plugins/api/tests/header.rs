//! `include/dlcast_plugin.h` under four compilers, and its twin in Rust: what plugins say about themselves.

#[path = "header/compiler.rs"]
mod compiler;
#[path = "header/guards.rs"]
mod guards;
#[path = "header/mistakes.rs"]
mod mistakes;
#[path = "header/plugin.rs"]
mod plugin;
#[path = "header/rust.rs"]
mod rust;
#[path = "header/tables.rs"]
mod tables;

/// The one symbol of a plugin that has to do with dlcast.
const ONLY: [&str; 1] = ["G dlcast_plugin_table_v1"];

/// The sources of a plugin in both languages.
fn several() -> [std::path::PathBuf; 3] {
    ["first.cpp", "second.cpp", "third.c"].map(compiler::source)
}
