//! Texts that stand in place of a library and name another one: `INPUT(libmpi.so.12)` as `libmpi.so`.
//!
//! The linker reads them; the loader does not, and goes on to the host's library of that name. Whoever opens `libmpi.so` means the one
//! that the text names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What people and build systems write is shorter.
const MOST: u64 = 4096;

/// The name of the one library that a text stands for.
pub fn means(path: &Path) -> Option<String> {
    one(&read(path)?)
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MOST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The file that a linker script puts in, if it is one file and nothing else.
fn one(script: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = script;
    while let Some((before, comment)) = rest.split_once("/*") {
        text.push_str(before);
        text.push(' ');
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let inside = ["INPUT", "GROUP"].iter().find_map(|command| text.trim().strip_prefix(command))?;
    let inside = inside.trim().strip_prefix('(')?.strip_suffix(')')?;
    let mut names = inside.split([' ', ',', '\t', '\n']).filter(|name| !name.is_empty());
    match (names.next(), names.next()) {
        (Some(name), None) if !name.contains(['(', ')', '/']) && !name.starts_with('-') => Some(name.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_puts_one_file_in_stands_for_it() {
        for text in
            ["INPUT(libmpi.so.12)", "INPUT ( libmpi.so.12 )\n", "/* GNU ld script\n */\nGROUP(libmpi.so.12) /* end"]
        {
            assert_eq!(one(text).as_deref(), Some("libmpi.so.12"), "{text}");
        }
        for text in [
            "INPUT(liba.so libb.so)",
            "INPUT(liba.so,libb.so)",
            "GROUP(liba.so AS_NEEDED(libb.so))",
            "GROUP ( /lib/libc.so.6 /usr/lib/libc_nonshared.a )",
            "INPUT(-lmpi)",
            "INPUT()",
            "OUTPUT_FORMAT(elf64-x86-64) INPUT(liba.so)",
            "nonsense",
            "",
        ] {
            assert_eq!(one(text), None, "{text}");
        }
    }
}
