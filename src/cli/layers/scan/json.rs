//! A scan as JSON. The shape is told in docs/layers.md; what is in it stays, further fields may come.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use crate::layers::scan::{Class, Counts, Neither, Object, Scanned};
use crate::layers::stack::{Layer, Platform, Stack};

/// Changes when a program that reads it would have to change.
const VERSION: u32 = 1;

#[derive(serde::Serialize)]
struct Whole<'a> {
    version: u32,
    stack: Cow<'a, str>,
    layers: Vec<LayerOut<'a>>,
}

#[derive(serde::Serialize)]
struct LayerOut<'a> {
    name: &'a str,
    path: Cow<'a, str>,
    platform: &'static str,
    uses: Vec<&'a str>,
    dynlib_exclude: &'a [String],
    counts: CountsOut,
    objects: Vec<ObjectOut<'a>>,
}

#[derive(serde::Serialize)]
struct CountsOut {
    folders: u64,
    listed: u64,
    opened: u64,
    read: u64,
}

#[derive(serde::Serialize)]
struct ObjectOut<'a> {
    path: Cow<'a, str>,
    link: Option<Cow<'a, str>>,
    size: u64,
    excluded: bool,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(flatten)]
    elf: Option<ElfOut<'a>>,
}

#[derive(serde::Serialize)]
struct ElfOut<'a> {
    soname: Option<Cow<'a, str>>,
    needed: Vec<Cow<'a, str>>,
    rpath: Vec<Cow<'a, str>>,
    runpath: Vec<Cow<'a, str>>,
    python_init: Option<&'a str>,
}

/// Writes it, and ends the line.
pub fn write(out: &mut impl Write, stack: &Stack, scanned: &[Scanned]) -> io::Result<()> {
    let layers = scanned.iter().map(|scanned| layer(stack, &stack.layers[scanned.layer], scanned));
    let whole = Whole { version: VERSION, stack: stack.file.to_string_lossy(), layers: layers.collect() };
    serde_json::to_writer(&mut *out, &whole)?;
    writeln!(out)
}

fn layer<'a>(stack: &'a Stack, layer: &'a Layer, scanned: &'a Scanned) -> LayerOut<'a> {
    let Counts { folders, listed, opened, read } = scanned.counts;
    LayerOut {
        name: &layer.name,
        path: layer.path.to_string_lossy(),
        platform: match layer.platform {
            Platform::Posix => "posix",
            Platform::MacOs => "macos",
        },
        uses: layer.below.iter().map(|below| stack.layers[*below].name.as_str()).collect(),
        dynlib_exclude: layer.exclude.globs(),
        counts: CountsOut { folders, listed, opened, read },
        objects: scanned.objects.iter().map(|found| object(layer, found)).collect(),
    }
}

fn object<'a>(layer: &Layer, object: &'a Object) -> ObjectOut<'a> {
    let (reason, detail) = match &object.class {
        Class::Neither(neither) => told(neither),
        _ => (None, None),
    };
    ObjectOut {
        path: object.path.to_string_lossy(),
        link: object.link.as_deref().map(Path::to_string_lossy),
        size: object.size,
        excluded: layer.exclude.covers(&object.path),
        class: super::class(&object.class),
        reason,
        detail,
        elf: object.class.elf().map(|elf| ElfOut {
            soname: elf.soname.as_deref().map(OsStr::to_string_lossy),
            needed: texts(&elf.needed),
            rpath: texts(&elf.rpath),
            runpath: texts(&elf.runpath),
            python_init: elf.python_init.as_deref(),
        }),
    }
}

/// JSON is text.
fn texts(entries: &[OsString]) -> Vec<Cow<'_, str>> {
    entries.iter().map(|entry| entry.to_string_lossy()).collect()
}

fn told(neither: &Neither) -> (Option<&'static str>, Option<&str>) {
    let detail = match neither {
        Neither::Foreign(detail) | Neither::Damaged(detail) | Neither::Unreadable(detail) => Some(detail.as_str()),
        _ => None,
    };
    let reason = match neither {
        Neither::LinkerScript => "linker_script",
        Neither::Empty => "empty",
        Neither::Foreign(_) => "foreign",
        Neither::Dangling => "dangling",
        Neither::Damaged(_) => "damaged",
        Neither::Unreadable(_) => "unreadable",
        Neither::NotElf => "not_elf",
    };
    (Some(reason), detail)
}
