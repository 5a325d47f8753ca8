//! The policy in print: which libraries `dlcast run` leaves alone.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::cli::{FAILURE, SUCCESS};
use crate::config;
use crate::intercept::policy::{On, SELF_OPENED};

/// Prints the globs of the environment and the built-in table.
pub fn print(json: bool) -> u8 {
    let run = match config::run() {
        Ok(run) => run,
        Err(error) => {
            eprintln!("dlcast: {error}");
            return FAILURE;
        }
    };
    let text = if json { as_json(&run) } else { as_text(&run) };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => SUCCESS,
        Err(_) => FAILURE,
    }
}

fn on(on: On) -> &'static str {
    match on {
        On::File => "file",
        On::Folder => "folder",
    }
}

fn as_text(run: &config::Run) -> String {
    let mut text = String::from(
        "# What is included travels; of the rest, what is excluded does not, nor what this table names.\n",
    );
    for (word, globs) in [("include", &run.include), ("exclude", &run.exclude)] {
        for glob in globs {
            // Writing to a String cannot fail.
            let _ok = writeln!(text, "{word:8} {glob}");
        }
    }
    for rule in SELF_OPENED {
        let _ok = writeln!(text, "{:8} {:26} {}", on(rule.on), rule.glob, rule.owner);
    }
    text
}

fn as_json(run: &config::Run) -> String {
    let globs = |globs: &[_]| globs.iter().map(ToString::to_string).collect::<Vec<String>>();
    let table =
        SELF_OPENED.iter().map(|rule| serde_json::json!({ "on": on(rule.on), "glob": rule.glob, "owner": rule.owner }));
    let all = serde_json::json!({
        "include": globs(&run.include),
        "exclude": globs(&run.exclude),
        "table": table.collect::<Vec<_>>(),
    });
    format!("{all}\n")
}
