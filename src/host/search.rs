//! Finds the file that plain `dlopen(name)` would open, called from the main program.
//!
//! It loads nothing: it asks the loader for its search path, looks into the folders as ld.so would, reads the head of a candidate,
//! and leaves the rest of a file's soundness to `layers::elf`. It does not follow a caller's own RUNPATH; who called is not known
//! when a request is carried to another rank.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::cache;
use loader::Folder;

mod loader;

/// A name that plain `dlopen` would not find or not accept.
#[derive(Debug, thiserror::Error)]
#[error("library `{name}` not found: {}, tried:{}", way_out(.tried), list(.tried))]
pub struct NotFound {
    /// What was sought.
    pub name: String,
    /// Where it was sought, in the order of the search. Where the last one says [`Reason::stops`], ld.so looks no further.
    pub tried: Vec<Tried>,
}

/// One place, and why it did not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The file; for the cache, the cache itself.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: Reason,
}

/// Why a place did not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No such file, or a link to nowhere.
    #[error("no such file")]
    Missing,
    /// A link that leads to no file; ld.so passes over it.
    #[error("a link to a file that does not exist")]
    Dangling,
    /// The file may not be read; ld.so passes over it.
    #[error("permission denied")]
    Denied,
    /// A library of another machine or of another word size; ld.so passes over it.
    #[error("made for another machine or word size")]
    Foreign,
    /// The cache does not hold the name.
    #[error("not in the cache")]
    NotCached,
    /// Not an ELF file (a linker script, say), or an empty one. ld.so stops here.
    #[error("not an ELF file; the search stops here, as it does in ld.so")]
    NotElf,
    /// The file cannot be read (a folder, say). ld.so stops here.
    #[error("cannot be read ({0}); the search stops here, as it does in ld.so")]
    Unreadable(ErrorKind),
}

impl Reason {
    /// Tells whether ld.so gives up at such a file instead of looking on.
    #[must_use]
    pub fn stops(&self) -> bool {
        matches!(self, Reason::NotElf | Reason::Unreadable(_))
    }
}

/// Where one bad file stopped the search, another folder on the path is no help.
fn way_out(tried: &[Tried]) -> &'static str {
    match tried.last().is_some_and(|tried| tried.reason.stops()) {
        true => "replace the last file, or give the library's path",
        false => "give its path, or add its folder to LD_LIBRARY_PATH",
    }
}

fn list(tried: &[Tried]) -> String {
    let lines = tried.iter().map(|t| format!("\n  {}: {}", t.path.display(), t.reason));
    lines.collect()
}

/// Finds what `dlopen(name)` called from the main program would open. A name with a `/` is a path and is not searched for.
///
/// The order is ld.so's (ld.so(8)): an object that is loaded already under that SONAME; the folders of RPATH, LD_LIBRARY_PATH and
/// RUNPATH as `dlinfo(RTLD_DI_SERINFO)` gives them for the main program; `/etc/ld.so.cache`; the system's own folders. In each
/// folder the glibc-hwcaps builds for this processor go first.
///
/// # Errors
///
/// [`NotFound`] with every place tried, when none serves or when one stops the search.
pub fn find(name: &str) -> Result<PathBuf, NotFound> {
    if !name.contains('/')
        && let Some(path) = loader::loaded(name)
    {
        return Ok(path);
    }
    let mut search = Search { name, tried: Vec::new() };
    match search.run(&loader::folders()) {
        Some(path) => Ok(path),
        None => Err(NotFound { name: name.to_string(), tried: search.tried }),
    }
}

/// Finds what ld.so would take for a DT_NEEDED of an object of another program, which is started with this process's
/// LD_LIBRARY_PATH. `rpath` are the folders that go before it, `runpath` those that come after.
///
/// # Errors
///
/// As [`find`].
pub fn find_for(name: &str, rpath: &[PathBuf], runpath: &[PathBuf]) -> Result<PathBuf, NotFound> {
    let own = |path: &PathBuf| Folder { path: path.clone(), default: false };
    let (system, mut middle): (Vec<_>, Vec<_>) = loader::folders().into_iter().partition(|folder| folder.default);
    middle.splice(0..0, rpath.iter().map(own));
    middle.extend(runpath.iter().map(own));
    middle.extend(system);
    let mut search = Search { name, tried: Vec::new() };
    match search.run(&middle) {
        Some(path) => Ok(path),
        None => Err(NotFound { name: name.to_string(), tried: search.tried }),
    }
}

struct Search<'a> {
    name: &'a str,
    tried: Vec<Tried>,
}

impl Search<'_> {
    fn run(&mut self, folders: &[Folder]) -> Option<PathBuf> {
        if self.name.contains('/') {
            return self.take(Path::new(self.name));
        }
        let (system, own): (Vec<_>, Vec<_>) = folders.iter().partition(|folder| folder.default);
        self.folders(&own).or_else(|| self.cache(Path::new("/etc/ld.so.cache"))).or_else(|| self.folders(&system))
    }

    fn folders(&mut self, folders: &[&Folder]) -> Option<PathBuf> {
        for folder in folders {
            let hwcaps = folder.path.join("glibc-hwcaps");
            if !self.stopped() && hwcaps.is_dir() {
                for level in hwcap_folders() {
                    let better = hwcaps.join(level).join(self.name);
                    // Folders that do not exist are not worth a line of the report.
                    if better.exists()
                        && let Some(path) = self.take(&better)
                    {
                        return Some(path);
                    }
                }
            }
            if let Some(path) = self.take(&folder.path.join(self.name)) {
                return Some(path);
            }
        }
        None
    }

    fn cache(&mut self, cache: &Path) -> Option<PathBuf> {
        if self.stopped() {
            return None;
        }
        let entry = cache::THIS_MACHINE.and_then(|flags| {
            let data = std::fs::read(cache).ok()?;
            cache::lookup(&data, self.name.as_bytes(), flags, hwcap_folders())
        });
        match entry {
            Some(path) => self.take(&path),
            None => {
                self.tried.push(Tried { path: cache.to_path_buf(), reason: Reason::NotCached });
                None
            }
        }
    }

    /// Gives `path` back if ld.so would take it.
    fn take(&mut self, path: &Path) -> Option<PathBuf> {
        if self.stopped() {
            return None;
        }
        match serves(path) {
            Ok(()) => Some(path.to_path_buf()),
            Err(reason) => {
                self.tried.push(Tried { path: path.to_path_buf(), reason });
                None
            }
        }
    }

    fn stopped(&self) -> bool {
        self.tried.last().is_some_and(|tried| tried.reason.stops())
    }
}

/// What ld.so's `open_verify` looks at before it decides between "pass over" and "stop".
fn serves(path: &Path) -> Result<(), Reason> {
    let mut head = [0; 20];
    // A FIFO would block the open; a search never waits.
    let kind = std::fs::metadata(path).map(|meta| meta.is_file() || meta.is_dir());
    let file = match kind {
        Ok(true) => File::open(path),
        Ok(false) => return Err(Reason::NotElf),
        Err(error) => Err(error),
    };
    let read = file.and_then(|mut file| file.read_exact(&mut head));
    match read.map_err(|error| error.kind()) {
        Ok(()) => {}
        Err(ErrorKind::NotFound) if path.is_symlink() => return Err(Reason::Dangling),
        Err(ErrorKind::NotFound | ErrorKind::NotADirectory) => return Err(Reason::Missing),
        Err(ErrorKind::PermissionDenied) => return Err(Reason::Denied),
        Err(ErrorKind::UnexpectedEof) => return Err(Reason::NotElf),
        Err(kind) => return Err(Reason::Unreadable(kind)),
    }
    if !head.starts_with(b"\x7fELF") {
        return Err(Reason::NotElf);
    }
    let own =
        [if cfg!(target_pointer_width = "64") { 2 } else { 1 }, if cfg!(target_endian = "little") { 1 } else { 2 }];
    let machine = u16::from_ne_bytes([head[18], head[19]]);
    if head[4..6] != own || MACHINE.is_some_and(|own| own != machine) {
        return Err(Reason::Foreign);
    }
    Ok(())
}

/// `e_machine` of this process's objects.
const MACHINE: Option<u16> = if cfg!(target_arch = "x86_64") {
    Some(62)
} else if cfg!(target_arch = "aarch64") {
    Some(183)
} else if cfg!(target_arch = "riscv64") {
    Some(243)
} else {
    None
};

/// The glibc-hwcaps folders for this processor, the best first (the x86-64 psABI's levels).
fn hwcap_folders() -> &'static [&'static str] {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let v2 = has!("sse4.2") && has!("popcnt") && has!("ssse3") && has!("cmpxchg16b");
        let v3 = v2 && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma");
        let v3 = v3 && has!("lzcnt") && has!("movbe");
        let v4 = v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd");
        let v4 = v4 && has!("avx512dq") && has!("avx512vl");
        const LEVELS: &[&str] = &["x86-64-v4", "x86-64-v3", "x86-64-v2"];
        &LEVELS[3 - usize::from(v2) - usize::from(v3) - usize::from(v4)..]
    }
    #[cfg(not(target_arch = "x86_64"))]
    &[]
}

#[cfg(test)]
mod tests;
