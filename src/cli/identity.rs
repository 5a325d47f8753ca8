//! `dlcast identity`: what makes a library the same on two ranks.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{FAILURE, SUCCESS};
use crate::host::identify::Identifier;
use crate::host::search;
use crate::identity::{Identity, hex};

/// What to look at.
#[derive(clap::Args)]
pub struct Arguments {
    /// Paths with a slash (./libheat.so), or bare names that ld.so's search finds (libz.so.1)
    #[arg(required = true)]
    libraries: Vec<OsString>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Prints what each library is; fails if any has no identity.
pub fn run(arguments: &Arguments) -> u8 {
    let mut identifier = Identifier::default();
    let mut out = std::io::stdout().lock();
    let mut code = SUCCESS;
    for name in &arguments.libraries {
        let found = file(name).and_then(|path| match identifier.identify(&path, None) {
            Ok(identity) => Ok(text(&path, &identity, arguments.json)),
            Err(error) => Err(error.to_string()),
        });
        match found {
            Ok(text) => match writeln!(out, "{text}") {
                Ok(()) => {}
                // The reader has gone (`| head`): nobody is there to be told.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return code,
                Err(error) => {
                    eprintln!("dlcast: standard output: {error}");
                    return FAILURE;
                }
            },
            Err(error) => {
                eprintln!("dlcast: {error}");
                code = FAILURE;
            }
        }
    }
    code
}

/// A name without a slash is searched for, as dlopen does.
fn file(name: &OsString) -> Result<PathBuf, String> {
    let path = Path::new(name);
    match name.to_str() {
        Some("") => Err("an empty name is no library".into()),
        Some(bare) if !bare.contains('/') => search::find(bare).map_err(|missing| {
            let hint =
                if path.is_file() { format!("; for the file in this folder say ./{bare}") } else { String::new() };
            format!("{missing}{hint}")
        }),
        _ => Ok(path.to_path_buf()),
    }
}

fn text(path: &Path, identity: &Identity, json: bool) -> String {
    let build_id = identity.build_id.as_ref().map(|id| hex(id, id.len()));
    let digest = hex(&identity.digest, identity.digest.len());
    match json {
        true => serde_json::json!({
            "path": path.to_string_lossy(),
            "name": identity.name,
            "size": identity.size,
            "build_id": build_id,
            "blake3": digest,
        })
        .to_string(),
        false => format!(
            "{}\n  name      {}\n  size      {}\n  build id  {}\n  blake3    {digest}",
            path.display(),
            identity.name,
            identity.size,
            build_id.as_deref().unwrap_or("none"),
        ),
    }
}
