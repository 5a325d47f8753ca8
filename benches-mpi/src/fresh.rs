//! Libraries that nobody has seen before: one compiled, every other one a copy with another content and another size.
//!
//! A digest that was computed and a library that is open would be found again; a fresh one is not. Nothing is removed
//! here: what is mapped keeps its file, as in a real job, and the folder goes when the script ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::job::Job;

/// How large a library is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A plugin of some pages.
    Small,
    /// What a framework ships.
    Large,
}

impl Size {
    /// As people say it.
    pub fn words(self) -> &'static str {
        match self {
            Size::Small => "16 KiB",
            Size::Large => "50 MiB",
        }
    }

    /// Bytes of the first copy; the others are a little larger.
    pub fn bytes(self) -> usize {
        match self {
            Size::Small => 16 << 10,
            Size::Large => 50 << 20,
        }
    }

    /// Bytes of the array in the source: what the compiler adds is less than 16 KiB.
    fn array(self) -> usize {
        match self {
            Size::Small => 64,
            Size::Large => self.bytes() - (16 << 10),
        }
    }
}

/// Where the number of a copy goes.
const MARK: &[u8; 16] = b"fresh-library-00";
const SOURCE: &str = r#"
const char mark[16] = "fresh-library-00";
const unsigned char content[CONTENT] = {1};
int fresh_answer(void) { return content[0] + mark[0]; }
"#;

/// Makes copies under names that count up, the same on every rank.
pub struct Maker {
    folder: PathBuf,
    templates: [Vec<u8>; 2],
    made: u32,
}

impl Maker {
    /// Compiles one library of each size in `folder`, on rank 0.
    ///
    /// # Collective
    /// All ranks.
    pub fn new(job: &Job, folder: &Path) -> Self {
        let mut templates = [Vec::new(), Vec::new()];
        job.once(|| {
            fs::create_dir_all(folder).expect("the folder can be made");
            templates = [Size::Small, Size::Large].map(|size| compile(folder, size));
        });
        Maker { folder: folder.into(), templates, made: 0 }
    }

    /// A library that nobody has seen.
    ///
    /// # Collective
    /// All ranks; rank 0 writes it.
    pub fn fresh(&mut self, job: &Job, size: Size) -> PathBuf {
        self.many(job, size, 1).remove(0)
    }

    /// `count` of them.
    ///
    /// # Collective
    /// All ranks; rank 0 writes them.
    pub fn many(&mut self, job: &Job, size: Size, count: u32) -> Vec<PathBuf> {
        let numbers = self.made..self.made + count;
        self.made += count;
        let path = |number: u32| self.folder.join(format!("libfresh{number:05}.so"));
        job.once(|| numbers.clone().for_each(|number| self.write(&path(number), size, number)));
        numbers.clone().map(path).collect()
    }

    fn write(&self, path: &Path, size: Size, number: u32) {
        let mut bytes = self.templates[size as usize].clone();
        let at = bytes.windows(MARK.len()).position(|window| window == MARK).expect("the source has the mark");
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        // Two libraries of one size are rare; a loader ignores what is behind the sections.
        bytes.resize(size.bytes() + 16 * number as usize, 0);
        fs::write(path, bytes).expect("the folder is writable");
    }
}

fn compile(folder: &Path, size: Size) -> Vec<u8> {
    let (source, library) = (folder.join("fresh.c"), folder.join("template.so"));
    fs::write(&source, SOURCE).expect("the folder is writable");
    let content = format!("-DCONTENT={}", size.array());
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-s", &content, "-o"]).arg(&library).arg(&source);
    assert!(cc.status().expect("cc can be started").success(), "{cc:?} failed");
    let bytes = fs::read(&library).expect("cc has written it");
    assert!(bytes.len() <= size.bytes(), "a template of {} bytes is larger than {}", bytes.len(), size.words());
    bytes
}
