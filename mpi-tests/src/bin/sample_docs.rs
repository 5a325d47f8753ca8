//! The lines of `docs/plugin-authors.md`: its sources are compiled by its commands and loaded on every rank; what they register is
//! what the page says, and what goes wrong is said in words that dlcast has.
//!
//! The plugin in Rust is built by cargo: `plugins/mistakes/in-rust`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dlcast::{OpenFlags, Session};
use mpi_tests::{Job, NOW, ids, text};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A fenced block: its language, and its lines.
struct Block {
    language: String,
    content: String,
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let page = fs::read_to_string(Path::new(ROOT).join("docs/plugin-authors.md")).expect("the page is there");
    let blocks = blocks(&page);
    job.once(|| build(&blocks, &job.scratch));
    let mut libraries: Vec<PathBuf> = fs::read_dir(&job.scratch)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .collect();
    libraries.sort();
    assert!(libraries.len() >= 4, "{libraries:?}");
    // Every rank names another one.
    for (number, library) in libraries.iter().enumerate() {
        if number % job.size as usize == job.rank as usize {
            session.record_library(text(library), OpenFlags::empty()).expect("recording is local");
        }
    }
    let report = session.sync().expect("every rank can");
    assert!(report.undone.is_empty(), "{:?}", report.undone);

    let listing = blocks.iter().find(|block| block.language == "text").expect("the page says what there is then");
    let mut expected: Vec<&str> = listing.content.lines().collect();
    expected.sort_unstable();
    assert_eq!(registered(&session), expected);
    job.assert_same("ids", &ids(&session));

    // SAFETY: the signature of the page, `c:double(double,uint64_t)`.
    let step: extern "C" fn(f64, u64) -> f64 = unsafe { std::mem::transmute(address(&session, "heat", "step")) };
    assert_eq!(step(3.0, 2), 1.5);
    // SAFETY: `c:uint64_t()`.
    let cells: extern "C" fn() -> u64 = unsafe { std::mem::transmute(address(&session, "grid", "cells")) };
    assert_eq!(cells(), 64, "its callback has run");
    // SAFETY: a guarded `(f64,u64)->f64`.
    let divided: unsafe extern "C" fn(f64, u64, *mut f64, *mut u8, usize) -> i32 =
        unsafe { std::mem::transmute(address(&session, "kernels", "divided")) };
    let (mut result, mut message) = (0.0, [0_u8; 1024]);
    // SAFETY: there is a place for the result, and 1024 bytes for a message.
    let statuses = unsafe {
        let good = divided(3.0, 2, &raw mut result, message.as_mut_ptr(), message.len());
        (good, divided(3.0, 0, &raw mut result, message.as_mut_ptr(), message.len()))
    };
    assert_eq!((statuses, result), ((0, 1), 1.5));
    assert!(message.starts_with(b"std::domain_error: n is zero\0"), "{}", String::from_utf8_lossy(&message));

    // What a symbol finds after a load with RTLD_GLOBAL stays, as the rules say.
    let heat = libraries.iter().find(|path| path.ends_with("libheat.so")).expect("the page builds it");
    session.load_global(text(heat), NOW | OpenFlags::GLOBAL).expect("every rank can");
    session.unload_global(text(heat)).expect("every rank has it");
    assert!(mpi_tests::process::is_visible("dlcast_plugin_table_v1"));
    assert!(session.tasks().find("heat", "step").is_err());

    words(&page);
    job.done();
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => blocks.push(Block { language: language.to_owned(), content: String::new() }),
            (None, true) => {
                let content = &mut blocks.last_mut().expect("a block was begun").content;
                content.push_str(line);
                content.push('\n');
            }
            _ => {}
        }
        inside ^= line.starts_with("```");
    }
    blocks
}

/// Writes the sources into `folder` and runs the commands there, as they stand, with an installed dlcast.
fn build(blocks: &[Block], folder: &Path) {
    let prefix = folder.join("prefix");
    fs::create_dir(&prefix).expect("the folder is writable");
    let include = fs::canonicalize(Path::new(ROOT).join("include")).expect("the headers are there");
    std::os::unix::fs::symlink(include, prefix.join("include")).expect("the folder is writable");
    let template = fs::read_to_string(Path::new(ROOT).join("dlcast.pc.in")).expect("the template is there");
    let filled = template.replace("@PREFIX@", text(&prefix)).replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    fs::write(prefix.join("dlcast.pc"), filled).expect("the folder is writable");
    for block in blocks {
        match block.language.as_str() {
            "c" | "cpp" => {
                let first = block.content.lines().next().expect("a source has lines");
                let name = first.trim_matches(['/', '*', ' ']);
                assert!(name.contains('.') && !name.contains(' '), "a source begins with its name: {first}");
                fs::write(folder.join(name), &block.content).expect("the folder is writable");
            }
            "sh" => {
                let output = Command::new("sh")
                    .args(["-euc", &block.content])
                    .current_dir(folder)
                    .env("PKG_CONFIG_PATH", &prefix)
                    .output()
                    .expect("there is a shell");
                assert!(output.status.success(), "{}{}", block.content, String::from_utf8_lossy(&output.stderr));
                assert!(output.stderr.is_empty(), "{}{}", block.content, String::from_utf8_lossy(&output.stderr));
            }
            "rust" | "toml" | "text" => {}
            other => panic!("what is a block in `{other}`?"),
        }
    }
}

/// As the page writes it: a line a plugin, all in the order of their names.
fn registered(session: &Session) -> Vec<String> {
    let tasks = session.tasks();
    let mut lines: Vec<String> = tasks
        .plugins()
        .map(|(number, name, version, count)| {
            let mut entries: Vec<String> = (0..count)
                .map(|index| tasks.get(dlcast::TaskId::new(number, index)).expect("below the count").entry)
                .map(|entry| format!("{} {}", entry.name, entry.signature))
                .collect();
            entries.sort_unstable();
            format!("{name} {version}: {}", entries.join("; "))
        })
        .collect();
    lines.sort_unstable();
    lines
}

fn address(session: &Session, plugin: &str, name: &str) -> *const std::ffi::c_void {
    session.tasks().find(plugin, name).unwrap_or_else(|error| panic!("{error}")).entry.function.as_ptr()
}

/// Asserts that dlcast's sources have the words that the page says an error has.
fn words(page: &str) {
    let mut sources = String::new();
    collect(&Path::new(ROOT).join("src"), &mut sources);
    let table = page.split_once("| it says | because |").expect("the page has a table of errors").1;
    let quoted: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(words, _)| words)).collect();
    assert!(quoted.len() > 15, "{quoted:?}");
    for words in quoted.iter().flat_map(|words| words.split('…')).map(str::trim) {
        assert!(sources.contains(words), "no error says `{words}`");
    }
}

fn collect(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("sources are UTF-8"));
        }
    }
}
