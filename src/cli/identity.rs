//! `dlcast identity`: what makes a library the same on two ranks.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::host::identify::Identifier;
use crate::host::search;
use crate::identity::hex;

/// What to look at.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files, or bare names that ld.so's search finds (libz.so.1)
    #[arg(required = true)]
    libraries: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Prints a line for each library; fails if any has no identity.
pub fn run(arguments: &Arguments) -> ExitCode {
    let mut identifier = Identifier::default();
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for name in &arguments.libraries {
        let path = match name.contains('/') || PathBuf::from(name).is_file() {
            true => Ok(PathBuf::from(name)),
            false => search::find(name).map_err(|missing| missing.to_string()),
        };
        let found = path.and_then(|path| match identifier.identify(&path, None) {
            Ok(identity) => Ok((path, identity)),
            Err(error) => Err(error.to_string()),
        });
        let written = match found {
            Ok((path, identity)) if arguments.json => {
                let line = serde_json::json!({
                    "path": path,
                    "name": identity.name,
                    "size": identity.size,
                    "build_id": identity.build_id.as_ref().map(|id| hex(id, id.len())),
                    "blake3": hex(&identity.digest, 32),
                });
                writeln!(out, "{line}")
            }
            Ok((path, identity)) => writeln!(
                out,
                "{}\n  name      {}\n  size      {}\n  build id  {}\n  blake3    {}",
                path.display(),
                identity.name,
                identity.size,
                identity.build_id.as_ref().map_or("none".into(), |id| hex(id, id.len())),
                hex(&identity.digest, 32)
            ),
            Err(error) => {
                eprintln!("dlcast: {error}");
                code = ExitCode::FAILURE;
                Ok(())
            }
        };
        if written.is_err() {
            // The reader has gone (`| head`): nobody is there to be told.
            return code;
        }
    }
    code
}
