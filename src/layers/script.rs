//! Texts that stand in place of a library and name another one: `INPUT(libmpi.so.12)` as `libmpi.so`.
//!
//! The linker reads them; the loader does not, and goes on to the host's library of that name. Whoever opens `libmpi.so` means the one
//! that the text names.

use std::path::Path;

use super::regular;

/// What people and build systems write is shorter.
const MOST: u64 = 4096;

/// The name of the one library that a text stands for.
pub fn means(path: &Path) -> Option<String> {
    one(&read(path)?)
}

/// The name of the library that a text stands for, with what else the linker is to put in: the first that it names, as `libm.so`
/// of a C library does.
pub fn stands_for(path: &Path) -> Option<String> {
    // Opening a pipe would wait for somebody to write into it.
    first(&read(path.is_file().then_some(path)?)?)
}

fn read(path: &Path) -> Option<String> {
    String::from_utf8(regular::start(path, MOST).ok()?).ok()
}

/// The file that a linker script puts in, if it is one file and nothing else.
fn one(script: &str) -> Option<String> {
    let text = without_comments(script);
    let inside = ["INPUT", "GROUP"].iter().find_map(|command| text.trim().strip_prefix(command))?;
    let inside = inside.trim().strip_prefix('(')?.strip_suffix(')')?;
    let mut names = inside.split([' ', ',', '\t', '\n']).filter(|name| !name.is_empty());
    match (names.next(), names.next()) {
        (Some(name), None) if !name.contains(['(', ')', '/']) && !name.starts_with('-') => Some(name.to_string()),
        _ => None,
    }
}

/// The first library that a linker script puts in, by whatever path.
fn first(script: &str) -> Option<String> {
    let text = without_comments(script);
    let mut rest = text.trim();
    // Commands and what they are given: `OUTPUT_FORMAT(elf64-x86-64) GROUP ( /lib/libm.so.6 AS_NEEDED ( /lib/libmvec.so.1 ) )`.
    while let Some((command, inside)) = rest.split_once('(') {
        let command = command.trim();
        if !command.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            return None;
        }
        let mut depth = 1;
        let end = inside.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        })?;
        if matches!(command, "INPUT" | "GROUP") {
            let names = inside[..end].split([' ', ',', '\t', '\n', '(', ')']);
            let mut names = names.filter_map(|name| name.rsplit('/').next());
            let is_library = |name: &&str| name.ends_with(".so") || name.contains(".so.");
            if let Some(name) = names.find(|name| !name.starts_with('-') && is_library(name)) {
                return Some(name.to_string());
            }
        }
        rest = inside[end + 1..].trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
    None
}

fn without_comments(script: &str) -> String {
    let mut text = String::new();
    let mut rest = script;
    while let Some((before, comment)) = rest.split_once("/*") {
        text.push_str(before);
        text.push(' ');
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
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

    #[test]
    fn a_script_of_a_c_library_stands_for_the_first_that_it_names() {
        let libc = "/* GNU ld script\n   Use the shared library. */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( /lib/libc.so.6 \
                    /usr/lib/libc_nonshared.a AS_NEEDED ( /lib64/ld-linux-x86-64.so.2 ) )\n";
        for (text, name) in [
            (libc, "libc.so.6"),
            ("GROUP(AS_NEEDED(/lib/libm.so.6 ) )", "libm.so.6"),
            ("INPUT(libncurses.so.6 -ltinfo)", "libncurses.so.6"),
            ("INPUT(libmpi.so.12)", "libmpi.so.12"),
        ] {
            assert_eq!(first(text).as_deref(), Some(name), "{text}");
        }
        for text in
            ["INPUT(-lmpi)", "GROUP(liba.a)", "OUTPUT_FORMAT(libx.so.1)", "call INPUT(libx.so)", "INPUT(libx.so", ""]
        {
            assert_eq!(first(text), None, "{text}");
        }
    }
}
