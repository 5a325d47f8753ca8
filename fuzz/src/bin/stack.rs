//! The subcommands that look at layers, in a stack some of whose files can be anything, under names that are no text.

#![no_main]

use std::cell::LazyCell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use dlcast::cli::{explain, layers};
use dlcast_fuzz::{fill, mutated};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use tempfile::TempDir;

thread_local! {
    static SCENE: LazyCell<Scene> = LazyCell::new(Scene::new);
}

fuzz_target!(|data: &[u8]| SCENE.with(|scene| scene.look(data)));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { mutated(data, size, max_size, seed) });

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Explain(explain::Arguments),
    #[command(subcommand)]
    Layers(layers::Command),
}

struct Scene {
    _folder: TempDir,
    files: Vec<File>,
    commands: Vec<Command>,
}

const STACK: &str = r#"
[[layer]]
name = "app"
path = "app"
uses = ["base"]

[[layer]]
name = "base"
path = "base"

[[layer]]
name = "odd"
path = "odd"
"#;

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir_in("/dev/shm").expect("/dev/shm takes folders");
        let at = |path: &str| folder.path().join(path);
        for layer in ["app", "base", "odd"] {
            fs::create_dir_all(at(&format!("{layer}/lib/python3.11/site-packages"))).expect("a folder can be made");
            fs::create_dir_all(at(&format!("{layer}/bin"))).expect("a folder can be made");
            symlink("/usr/bin/env", at(&format!("{layer}/bin/python"))).expect("a link can be made");
        }
        fs::write(at("stack.toml"), STACK).expect("a file can be written");
        symlink("libb.so.1", at("base/lib/libb.so")).expect("a link can be made");
        let extension = at("app/lib/python3.11/site-packages/m.so");
        let odd = at("odd/lib").join(OsStr::from_bytes(b"libodd\xff\x1b[1m.so"));
        let files: Vec<PathBuf> = vec![at("base/lib/libb.so.1"), at("base/bin/prog"), extension.clone(), odd];
        let stack = at("stack.toml");
        let (stack, extension, app) = (stack.as_os_str(), extension.as_os_str(), at("app"));
        let words: [&[&OsStr]; 8] = [
            &["layers".as_ref(), "scan".as_ref(), stack],
            &["layers".as_ref(), "scan".as_ref(), "--json".as_ref(), stack],
            &["layers".as_ref(), "link".as_ref(), "--dry-run".as_ref(), stack],
            &["layers".as_ref(), "check".as_ref(), "--all".as_ref(), stack],
            &["layers".as_ref(), "check".as_ref(), "--json".as_ref(), "--in-process".as_ref(), stack],
            &["layers".as_ref(), "plan".as_ref(), "--path".as_ref(), app.as_os_str(), stack],
            &["explain".as_ref(), "--stack".as_ref(), stack, extension],
            &["explain".as_ref(), "--json".as_ref(), "--program".as_ref(), "/usr/bin/env".as_ref(), extension],
        ];
        let command = |words: &&[&OsStr]| {
            let words = [OsString::from("dlcast")].into_iter().chain(words.iter().map(OsString::from));
            Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).command
        };
        Scene {
            files: files.iter().map(|file| File::create(file).expect("a file can be made")).collect(),
            commands: words.iter().map(command).collect(),
            _folder: folder,
        }
    }

    fn look(&self, data: &[u8]) {
        for (number, file) in self.files.iter().enumerate() {
            let length = fill(file, data).expect("/dev/shm has room");
            // Several files of holes would be compared, which takes longer than all the rest.
            if number > 0 {
                file.set_len(length.min(data.len() as u64)).expect("a file can be cut off");
            }
        }
        for command in &self.commands {
            let _code = match command {
                Command::Explain(arguments) => explain::run(arguments),
                Command::Layers(command) => layers::run(command),
            };
        }
    }
}
