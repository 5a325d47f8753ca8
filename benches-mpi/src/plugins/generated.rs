//! A plugin in C with very many tasks under long mangled names, and copies of it that nobody has seen.
//!
//! The table is a static array, as a generator of bindings would write it; a thousand functions share the names.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use benches_mpi::job::Job;

/// The plugin's name, which must be unique in a session, and where a copy differs.
const MARK: &[u8; 13] = b"bench-0000000";
const FUNCTIONS: u32 = 1000;

/// Makes copies under names that count up, the same on every rank.
pub struct Maker {
    folder: PathBuf,
    template: Vec<u8>,
    tasks: u32,
    made: u32,
}

/// A copy.
pub struct Copy {
    /// The library.
    pub path: PathBuf,
    /// The plugin.
    pub name: String,
}

impl Maker {
    /// Compiles a plugin with so many tasks, on rank 0.
    ///
    /// # Collective
    /// All ranks.
    pub fn new(job: &Job, folder: &Path, tasks: u32) -> Self {
        let mut template = Vec::new();
        job.once(|| {
            fs::create_dir_all(folder).expect("the folder can be made");
            template = compile(folder, tasks);
        });
        Maker { folder: folder.into(), template, tasks, made: 0 }
    }

    /// How large it is; on rank 0.
    pub fn words(&self) -> String {
        format!("{} MB, names of {} bytes", self.template.len() / 1_000_000, task_name(0).len())
    }

    /// A plugin that nobody has seen.
    ///
    /// # Collective
    /// All ranks; rank 0 writes it.
    pub fn fresh(&mut self, job: &Job) -> Copy {
        self.made += 1;
        // Of either maker's own.
        let name = format!("bench-{:03}{:04}", self.tasks % 1000, self.made);
        let path = self.folder.join(format!("lib{name}.so"));
        job.once(|| {
            let mut bytes = self.template.clone();
            let at = bytes.windows(MARK.len()).position(|window| window == MARK).expect("the source has the mark");
            bytes[at..at + MARK.len()].copy_from_slice(name.as_bytes());
            fs::write(&path, bytes).expect("the folder is writable");
        });
        Copy { path, name }
    }

    /// What is not mapped any more, or was measured, goes.
    pub fn remove(job: &Job, copy: &Copy) {
        job.once(|| fs::remove_file(&copy.path).expect("it was written"));
    }
}

/// A name as a C++ compiler makes them, of some 110 bytes.
pub fn task_name(number: u32) -> String {
    format!(
        "_ZN4heat6solver4stepINS_4gridIdLi3ELb1EEENS_8boundary8periodicIfEELi{number:06}EE3runERKNS_5stateIdEERNS_7scratchEm"
    )
}

fn compile(folder: &Path, tasks: u32) -> Vec<u8> {
    let (source, library) = (folder.join("many.c"), folder.join("many.so"));
    let mut text = String::from("#include <dlcast_plugin.h>\nDLCAST_PLUGIN(\"bench-0000000\", \"1.0\");\n");
    for number in 0..FUNCTIONS.min(tasks) {
        let _ = writeln!(text, "static int f{number}(int x) {{ return x + {number}; }}");
    }
    text.push_str("static const dlcast_task_v1 tasks[] = {\n");
    for number in 0..tasks {
        let function = number % FUNCTIONS;
        let name = task_name(number);
        let _ = writeln!(text, "{{\"{name}\", \"c:int(int)\", (dlcast_function)f{function}}},");
    }
    text.push_str("};\nDLCAST_TASKS(tasks);\n");
    fs::write(&source, text).expect("the folder is writable");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O0", "-s", concat!("-I", env!("CARGO_MANIFEST_DIR"), "/../include"), "-o"]);
    cc.arg(&library).arg(&source);
    assert!(cc.status().expect("cc can be started").success(), "{cc:?} failed");
    fs::read(&library).expect("cc has written it")
}
