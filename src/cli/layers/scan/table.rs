//! A scan as a table: a line for each object, so that `grep` and `sort` work on it.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, Write};

use crate::layers::scan::{Class, Neither, Object, Scanned};
use crate::layers::stack::{Layer, Platform, Stack};

/// A path that is longer stands out of its column, instead of moving all others.
const WIDEST: usize = 72;

/// Writes it: for each layer a heading, its objects and a sum.
pub fn write(out: &mut impl Write, stack: &Stack, scanned: &[Scanned]) -> io::Result<()> {
    for (index, scanned) in scanned.iter().enumerate() {
        let layer = &stack.layers[scanned.layer];
        if index > 0 {
            writeln!(out)?;
        }
        heading(out, stack, layer)?;
        let rows: Vec<Row> = scanned.objects.iter().map(|object| row(layer, object)).collect();
        let widest = |cells: &mut dyn Iterator<Item = &str>| {
            cells.map(|cell| cell.chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0)
        };
        let class = widest(&mut rows.iter().map(|row| row.class));
        let path = widest(&mut rows.iter().map(|row| &*row.path));
        let name = widest(&mut rows.iter().map(|row| &*row.name));
        for row in &rows {
            let line = format!("  {:class$}  {:path$}  {:name$}  {}", row.class, row.path, row.name, row.rest);
            writeln!(out, "{}", super::printable(line.trim_end()))?;
        }
        sum(out, scanned)?;
    }
    Ok(())
}

fn heading(out: &mut impl Write, stack: &Stack, layer: &Layer) -> io::Result<()> {
    let uses: Vec<&str> = layer.below.iter().map(|below| stack.layers[*below].name.as_str()).collect();
    let uses = if uses.is_empty() { String::new() } else { format!("; uses {}", uses.join(", ")) };
    let system = match layer.platform {
        Platform::Posix => "",
        Platform::MacOs => "; for macOS, whose libraries are not read",
    };
    let path = layer.path.to_string_lossy();
    writeln!(out, "{}: {}{uses}{system}", layer.name, super::printable(&path))
}

struct Row<'a> {
    class: &'static str,
    path: Cow<'a, str>,
    /// The SONAME.
    name: Cow<'a, str>,
    rest: String,
}

fn row<'a>(layer: &Layer, object: &'a Object) -> Row<'a> {
    let mut rest = Vec::new();
    match &object.class {
        Class::Neither(neither) => rest.push(told(neither)),
        Class::Extension(elf) | Class::Library(elf) | Class::Program(elf) => {
            rest.push(match elf.needed[..] {
                [] => "needs nothing".into(),
                _ => format!("needs {}", elf.needed.join(OsStr::new(" ")).display()),
            });
            for (name, folders) in [("rpath", &elf.rpath), ("runpath", &elf.runpath)] {
                if !folders.is_empty() {
                    rest.push(format!("{name} {}", folders.join(OsStr::new(":")).display()));
                }
            }
        }
    }
    if let Some(link) = &object.link {
        rest.push(format!("link to {}", link.display()));
    }
    if layer.exclude.covers(&object.path) {
        rest.push("excluded".into());
    }
    Row {
        class: super::class(&object.class),
        path: object.path.to_string_lossy(),
        name: object.class.elf().and_then(|elf| elf.soname.as_deref()).map_or("-".into(), OsStr::to_string_lossy),
        rest: rest.join("; "),
    }
}

fn told(neither: &Neither) -> String {
    match neither {
        Neither::LinkerScript => "a linker script".into(),
        Neither::Empty => "an empty file".into(),
        Neither::Foreign(system) => format!("made for {system}"),
        Neither::Dangling => "dangling".into(),
        Neither::Damaged(why) | Neither::Unreadable(why) => why.clone(),
        Neither::NotElf => "not an ELF file".into(),
    }
}

fn sum(out: &mut impl Write, scanned: &Scanned) -> io::Result<()> {
    let count = |is: fn(&Class) -> bool| scanned.objects.iter().filter(|object| is(&object.class)).count() as u64;
    let counts = &scanned.counts;
    writeln!(
        out,
        "  {}, {}, {}, {} neither; {} in {} listed, {} opened, {} KiB read",
        several(count(|class| matches!(class, Class::Extension(_))), "extension module", "extension modules"),
        several(count(|class| matches!(class, Class::Library(_))), "library", "libraries"),
        several(count(|class| matches!(class, Class::Program(_))), "program", "programs"),
        count(|class| matches!(class, Class::Neither(_))),
        several(counts.listed, "file", "files"),
        several(counts.folders, "folder", "folders"),
        counts.opened,
        counts.read.div_ceil(1024),
    )
}

fn several(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
