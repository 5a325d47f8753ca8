//! Every mistake of a stack has a fixture that makes it, and a message: those of [`mistakes`](super::mistakes).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::mistakes::{ERRORS, MISTAKES};
use crate::tree::{built, environment, metadata, write};
use crate::{layers, layers_as_nobody, told, unlinkable};

#[test]
fn every_mistake_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().canonicalize().unwrap();
    prepare(&here);
    let mut wrong = Vec::new();
    for mistake in MISTAKES {
        let file = mistake.fixture.map(|name| format!("error_{name}.toml"));
        if let Some(file) = &file {
            fs::copy(fixtures().join(file), here.join(file)).unwrap();
        }
        let mut arguments = mistake.arguments.to_vec();
        arguments.extend(file.as_deref().filter(|_| mistake.arguments.len() == 1));
        // What may not be written, root may write.
        let output =
            if arguments[0] == "link" { layers_as_nobody(&here, &arguments) } else { layers(&here, &arguments) };
        let whole = file.as_ref().map_or(String::new(), |file| here.join(file).display().to_string());
        let message = mistake.message.replace("FILE", &whole).replace("HERE", &here.display().to_string());
        let expected = format!("dlcast: {message}\n");
        let told = told(&output);
        if output.status.code() != Some(1) || !is_like(&told, &expected) {
            let code = output.status.code();
            wrong.push(format!("{arguments:?}: {code:?}\n  told     {told}  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `...` stands for whatever.
fn is_like(told: &str, expected: &str) -> bool {
    match expected.split_once("...") {
        Some((start, end)) => told.starts_with(start) && told.ends_with(end),
        None => told == expected,
    }
}

#[test]
fn every_fixture_has_a_message_and_every_message_a_fixture() {
    let there: BTreeSet<String> = fixtures()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    let told: Vec<String> =
        MISTAKES.iter().filter_map(|mistake| mistake.fixture).map(|name| format!("error_{name}.toml")).collect();
    let named: BTreeSet<String> = told.iter().cloned().collect();
    assert_eq!(named.len(), told.len(), "a fixture is named twice");
    assert_eq!(there, named);
}

#[test]
fn every_fixture_opens_with_why_it_must_fail() {
    for mistake in MISTAKES {
        if let Some(name) = mistake.fixture {
            let text = fs::read(fixtures().join(format!("error_{name}.toml"))).unwrap();
            assert!(text.starts_with(b"# ") && text.contains(&b'.'), "error_{name}.toml");
        }
    }
}

#[test]
fn every_kind_of_error_is_made() {
    let made: BTreeSet<&str> = MISTAKES.iter().map(|mistake| mistake.error).collect();
    for (name, source) in ERRORS {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).unwrap();
        let file = syn::parse_file(&source).unwrap();
        let kinds = file.items.iter().find_map(|item| match item {
            syn::Item::Enum(found) if found.ident == name => Some(&found.variants),
            _ => None,
        });
        for kind in kinds.unwrap_or_else(|| panic!("no {name}")) {
            let kind = format!("{name}::{}", kind.ident);
            assert!(made.contains(&*kind), "no fixture, and no call, makes {kind}");
        }
    }
}

/// What the fixtures find around them.
fn prepare(here: &Path) {
    for name in ["app", "fw", "fw2", "fw3", "runtime", "with:colon", "with;semicolon", "with$ORIGIN"] {
        environment(&here.join(name));
    }
    symlink("fw", here.join("link_to_fw")).unwrap();
    unlinkable::prepare(here);
    fs::create_dir(here.join("empty")).unwrap();
    write(&here.join("file"), "");
    environment(&here.join("programs"));
    fs::remove_dir_all(here.join("programs/lib")).unwrap();
    write(&here.join("windows/Scripts/python.exe"), "");
    write(&here.join("windows/Lib/site-packages/x.pyd"), "");
    write(&here.join("two/stack.toml"), "");
    write(&here.join("two/venvstacks.toml"), "");
    write(&here.join("large.toml"), vec![b'#'; (1 << 20) + 1]);
    write(&here.join("deep.toml"), "[[layer]]\nname = \"app\"\npath = \"deep\"\n");
    deep(&here.join("deep"));

    let build = here.join("_build");
    built(&build.join("cpython-3.11"), &[]);
    built(&build.join("cpython-3.12"), &[]);
    for name in ["framework-a", "framework-c", "framework-d", "framework-versioned@2", "framework-versioned@3"] {
        built(&build.join(name), &["cpython-3.11"]);
    }
    built(&build.join("framework-b"), &["cpython-3.11"]);
    built(&build.join("app-x"), &["framework-a", "cpython-3.11"]);
    environment(&build.join("framework-unfinished"));
    built(&build.join("framework-cut"), &[]);
    write(&build.join("framework-cut/share/venv/metadata/venvstacks_layer.json"), "{\"python\": \"bin/py");
    metadata(&build.join("framework-outside"), "../cpython-3.11/bin/python", &["cpython-3.11"]);
    fs::create_dir_all(build.join("framework-outside/lib/python3.11/site-packages")).unwrap();
    metadata(&build.join("framework-windows"), "Scripts\\python.exe", &["cpython-3.11"]);
}

/// An environment with a folder whose path is longer than any that the kernel takes.
fn deep(path: &Path) {
    environment(path);
    let half: PathBuf = ["d".repeat(60).as_str(); 40].iter().collect();
    fs::create_dir_all(path.join("lib").join(&half)).unwrap();
    fs::create_dir_all(path.join("half").join(&half)).unwrap();
    fs::rename(path.join("half"), path.join("lib").join(half).join("half")).unwrap();
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layers")
}
