//! The house rules that ARCHITECTURE.md states, checked on the source: who may import whom, which crate belongs to which
//! file, and where `unsafe` may stand.
//!
//! It reads Rust, not text: names in comments and strings do not count. Code under `src/tests` and `#[cfg(test)]` modules
//! may import anything.

use std::collections::HashSet;
use std::path::Path;

use syn::visit::{self, Visit};

/// What a part of the crate may import of the crate, beside itself. `comm` means its trait and values: see [`PRIVATE`].
const DIRECTION: &[(&str, &[&str])] = &[
    ("ranks", &[]),
    ("identity", &[]),
    ("code", &["identity"]),
    ("request", &["code"]),
    ("config", &[]),
    ("vendor", &[]),
    ("error", &["ranks"]),
    ("outcome", &["error", "ranks"]),
    ("task", &["outcome"]),
    ("plan", &["code", "identity", "ranks", "request"]),
    ("wire", &["code", "error", "identity", "outcome", "plan", "ranks", "request"]),
    ("rollcall", &["error", "request", "wire"]),
    ("comm", &["vendor", "wire"]),
    ("round", &["comm", "error", "outcome", "plan", "ranks", "request", "task", "wire"]),
    ("layers", &[]),
    ("lane", &["comm", "ranks", "round"]),
    // layers::elf takes bytes and layers::search takes a disk; of a process they know nothing. For this rule they are values.
    ("host", &["code", "error", "identity", "layers", "outcome", "plan", "request", "task", "wire"]),
    ("intercept", &[]),
    ("importer", &["code", "outcome"]),
    ("registry", &["identity", "task"]),
    (
        "session",
        &[
            "code",
            "comm",
            "config",
            "error",
            "host",
            "identity",
            "importer",
            "intercept",
            "lane",
            "layers",
            "outcome",
            "plan",
            "ranks",
            "registry",
            "request",
            "rollcall",
            "round",
            "task",
            "vendor",
            "wire",
        ],
    ),
    (
        "capi",
        &[
            "code", "comm", "config", "error", "identity", "importer", "outcome", "registry", "request", "session",
            "task", "vendor", "wire",
        ],
    ),
    ("cli", &["config", "host", "identity", "intercept", "layers", "vendor"]),
];

/// A part inside another that only these may name.
const PRIVATE: &[(&str, &str, &[&str])] =
    &[("comm", "mpi", &["comm", "session", "capi"]), ("layers", "elf", &["layers", "host", "session", "cli"])];

/// A crate, and the places that may name it. `std::env` is written like one.
const OWNERS: &[(&str, &[&str])] = &[
    ("mpi", &["comm/mpi/"]),
    ("libloading", &["host/dl.rs"]),
    ("postcard", &["wire.rs"]),
    ("object", &["layers/elf.rs", "layers/elf/"]),
    ("std::env", &["config.rs"]),
    ("clap", &["cli/", "main.rs"]),
    ("gethostname", &["session/attach.rs"]),
    ("serde_json", &["capi/", "cli/", "layers/plan.rs", "layers/venvstacks.rs", "session/program.rs"]),
    ("memchr", &["layers/elf/python.rs"]),
    ("toml", &["layers/stack/source.rs"]),
    ("libc", &["comm/mpi/", "host/", "intercept/", "request.rs"]),
    ("blake3", &["plan.rs", "host/digest.rs", "host/code.rs", "session/register.rs"]),
    ("dlcast_plugin", &["host/", "lib.rs"]),
    ("procfs", &["host/memory.rs"]),
    ("hashbrown", &["registry/plugin.rs"]),
    ("rustix", &["layers/regular.rs", "layers/link/folder.rs", "layers/scan/"]),
    ("pathdiff", &["layers/wrapper/place.rs"]),
    ("glob", &["config.rs", "intercept/policy.rs", "layers/stack/exclude.rs"]),
];

/// Where `unsafe` may stand.
const ROOMS: &[&str] = &["comm/mpi/", "host/", "intercept/", "importer.rs", "code.rs", "capi/"];

/// The broken rules of one file; `place` is its path below `src`.
fn judge(place: &str, source: &str) -> Vec<String> {
    let file = match syn::parse_file(source) {
        Ok(file) => file,
        Err(error) => return vec![format!("{place}: {error}")],
    };
    let module: Vec<String> = place
        .trim_end_matches(".rs")
        .split('/')
        .filter(|part| !matches!(*part, "mod" | "lib" | "main"))
        .map(String::from)
        .collect();
    let mut reader = Reader { place, module, local: HashSet::new(), broken: Vec::new() };
    for item in &file.items {
        reader.learn(item);
    }
    reader.visit_file(&file);
    reader.broken
}

struct Reader<'a> {
    place: &'a str,
    module: Vec<String>,
    /// Names that the file imports or declares: `mpi` may be `crate::comm::mpi`.
    local: HashSet<String>,
    broken: Vec<String>,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

fn leaves(tree: &syn::UseTree, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        syn::UseTree::Name(name) if name.ident == "self" => {
            found.push((before.to_vec(), before.last().cloned().unwrap_or_default()));
        }
        syn::UseTree::Name(name) => found.push((with(&name.ident), name.ident.to_string())),
        syn::UseTree::Rename(rename) => found.push((with(&rename.ident), rename.rename.to_string())),
        syn::UseTree::Glob(_) => found.push((before.to_vec(), String::new())),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
    }
}

impl Reader<'_> {
    fn learn(&mut self, item: &syn::Item) {
        match item {
            syn::Item::Use(import) => {
                let mut found = Vec::new();
                leaves(&import.tree, &[], &mut found);
                let own = |path: &[String]| matches!(path[0].as_str(), "crate" | "super" | "self");
                self.local.extend(found.into_iter().filter(|(path, _)| own(path)).map(|(_, name)| name));
            }
            syn::Item::Mod(module) => {
                self.local.insert(module.ident.to_string());
            }
            _ => {}
        }
    }

    fn path(&mut self, path: &[String]) {
        let absolute: Vec<String> = match path.first().map(String::as_str) {
            Some("crate") => path[1..].to_vec(),
            Some("super") => {
                let up = path.iter().take_while(|part| *part == "super").count();
                let kept = self.module.len().saturating_sub(up);
                self.module[..kept].iter().chain(&path[up..]).cloned().collect()
            }
            Some("self") => return,
            Some(first) if !self.local.contains(first) => {
                self.foreign(path);
                return;
            }
            _ => return,
        };
        let own = self.module.first().cloned().unwrap_or_default();
        let Some(part) = absolute.first().filter(|part| **part != own) else { return };
        if let Some((_, allowed)) = DIRECTION.iter().find(|(name, _)| *name == own)
            && DIRECTION.iter().any(|(name, _)| name == part)
            && !allowed.contains(&part.as_str())
        {
            self.broken.push(format!("{}: `{own}` imports `{part}`, against the direction", self.place));
        }
        if let Some(inner) = absolute.get(1)
            && PRIVATE.iter().any(|(outer, name, who)| {
                outer == part && name == inner && !who.contains(&own.as_str()) && !own.is_empty()
            })
        {
            self.broken.push(format!("{}: `{own}` imports `{part}::{inner}`, which is private", self.place));
        }
    }

    fn foreign(&mut self, path: &[String]) {
        let name = match path {
            [std, env, ..] if std == "std" && env == "env" => "std::env".to_string(),
            [first, ..] => first.clone(),
            [] => return,
        };
        if let Some((_, places)) = OWNERS.iter().find(|(owned, _)| *owned == name)
            && !places.iter().any(|place| self.place.starts_with(place))
        {
            self.broken.push(format!("{}: names `{name}`, which belongs to {}", self.place, places.join(", ")));
        }
    }

    fn no_unsafe(&mut self) {
        if !ROOMS.iter().any(|room| self.place.starts_with(room)) {
            self.broken.push(format!("{}: has `unsafe` outside its rooms", self.place));
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&import.tree, &[], &mut found);
        // `use` names crates and modules whatever else is called so.
        for (path, _) in found {
            let local = std::mem::take(&mut self.local);
            self.path(&path);
            self.local = local;
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.path(&parts);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.no_unsafe();
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.no_unsafe();
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_foreign_mod(&mut self, block: &'ast syn::ItemForeignMod) {
        if block.unsafety.is_some() {
            self.no_unsafe();
        }
        visit::visit_item_foreign_mod(self, block);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.unsafety.is_some() {
            self.no_unsafe();
        }
        visit::visit_signature(self, signature);
    }
}

fn tree() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().filter_map(Result::ok);
    files
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| {
            let place = entry.path().strip_prefix(&root).expect("it is below the root").to_string_lossy().into_owned();
            (place, std::fs::read_to_string(entry.path()).expect("sources are readable"))
        })
        .filter(|(place, _)| !is_test_file(place))
        .collect()
}

/// Files that are compiled for tests only.
fn is_test_file(place: &str) -> bool {
    place.starts_with("tests/") || place == "comm/sim.rs" || place.contains("/tests") || place.ends_with("_tests.rs")
}

#[test]
fn the_tree_keeps_the_house_rules() {
    let broken: Vec<String> = tree().iter().flat_map(|(place, source)| judge(place, source)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_part_has_a_place_in_the_direction() {
    for (place, _) in tree() {
        let part = place.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let known = DIRECTION.iter().any(|(name, _)| *name == part) || matches!(part, "lib" | "main");
        assert!(known, "src/{place}: add `{part}` to DIRECTION");
    }
}

#[test]
fn every_file_begins_with_its_purpose() {
    for (place, source) in tree() {
        assert!(source.starts_with("//! "), "src/{place} does not begin with a sentence of purpose");
    }
}

#[test]
fn an_import_against_the_direction_is_found() {
    for (place, source) in [
        ("plan.rs", "use crate::session::Session;"),
        ("round/agree.rs", "fn f() { crate::host::dl::host(None); }"),
        ("round/agree.rs", "use crate::comm::{Comm, mpi::MpiComm};"),
        ("host/dl.rs", "use super::super::intercept::maps;"),
        ("wire.rs", "use crate::{comm::Comm, plan::Plan};"),
    ] {
        assert_eq!(judge(place, source).len(), 1, "{place}: {source}");
    }
    assert!(judge("session/jobs.rs", "use crate::host::dl; use super::Core;").is_empty());
}

#[test]
fn a_crate_of_another_file_is_found() {
    for (place, source) in [
        ("session/mod.rs", "use mpi::ffi;"),
        ("host/search.rs", "fn f() { libloading::Error::X; }"),
        ("round/mod.rs", "fn f() { postcard::to_stdvec(&1); }"),
        ("capi/types.rs", "fn f() { std::env::var(\"X\"); }"),
        ("layers/scan.rs", "use object::read::elf;"),
    ] {
        assert_eq!(judge(place, source).len(), 1, "{place}: {source}");
    }
    assert!(judge("session/attach.rs", "use crate::comm::mpi; fn f() { mpi::cached(); }").is_empty());
    assert!(judge("wire.rs", "//! postcard\nuse postcard::from_bytes;").is_empty());
}

#[test]
fn unsafe_outside_its_rooms_is_found() {
    for source in
        ["fn f() { unsafe { g() } }", "unsafe fn f() {}", "unsafe impl Send for X {}", "unsafe extern \"C\" {}"]
    {
        assert_eq!(judge("session/mod.rs", source).len(), 1, "{source}");
        assert!(judge("host/dl.rs", source).is_empty(), "{source}");
    }
}
