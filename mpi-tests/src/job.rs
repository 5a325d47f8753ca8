//! One rank of a test job: MPI, a folder that the ranks share, and questions that all ranks answer together.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use dlcast::{Library, Mode, OpenFlags, Options, Session, Timeout};
use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use tempfile::TempDir;

use crate::{Fixture, process};

/// For the panic hook, which knows nothing else.
static RANK: AtomicI32 = AtomicI32::new(-1);

/// A started rank. Dropping it finalises MPI.
pub struct Job {
    /// The rank in [`Job::world`].
    pub rank: i32,
    /// Ranks in [`Job::world`].
    pub size: i32,
    /// All ranks.
    pub world: SimpleCommunicator,
    /// A folder that all ranks of the job share, empty at first.
    pub scratch: PathBuf,
    // Declared before the folder: MPI_Finalize waits for the ranks that may still use it.
    universe: Option<Universe>,
    _own: Option<TempDir>,
}

impl Job {
    /// Starts MPI for a program whose main thread alone calls it.
    ///
    /// # Collective
    ///
    /// Every rank's first call; every program of this crate shows it.
    pub fn start() -> Job {
        Job::start_with(Threading::Single)
    }

    /// Starts MPI with the thread support that the program needs.
    ///
    /// # Collective
    ///
    /// As [`Job::start`].
    ///
    /// # Panics
    ///
    /// When MPI has less, or the shared folder cannot be made.
    pub fn start_with(threading: Threading) -> Job {
        abort_on_panic();
        let (universe, provided) = mpi::initialize_with_threading(threading).expect("MPI is started once");
        assert!(provided >= threading, "MPI provides {provided:?} only");
        let world = universe.world();
        let (rank, size) = (world.rank(), world.size());
        RANK.store(rank, Ordering::Relaxed);
        // The runner names a folder where a program needs it before main, as LD_LIBRARY_PATH does.
        let (scratch, own) = match std::env::var_os("DLCAST_TEST_SCRATCH") {
            Some(folder) => (PathBuf::from(folder), None),
            None => shared_folder(&world),
        };
        // The link maps show real paths, and the temporary folder may be a symbolic link.
        let scratch = fs::canonicalize(scratch).expect("the shared folder exists");
        Job { rank, size, world, scratch, universe: Some(universe), _own: own }
    }

    /// A session on all ranks.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    ///
    /// # Panics
    ///
    /// When there is none to be had.
    pub fn attach(&self) -> Session {
        Session::attach(&self.world, Options::default()).expect("the ranks attach")
    }

    /// A session on all ranks, whose calls end after `deadline`.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    ///
    /// # Panics
    ///
    /// As [`Job::attach`].
    pub fn attach_within(&self, deadline: Duration) -> Session {
        let options = Options { timeout: Timeout::After(deadline), ..Options::default() };
        Session::attach(&self.world, options).expect("the ranks attach")
    }

    /// A session in service mode, for a job that was started with [`Threading::Multiple`].
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    ///
    /// # Panics
    ///
    /// As [`Job::attach`].
    pub fn serve(&self) -> Session {
        Session::attach(&self.world, served(Timeout::Default)).expect("the ranks attach")
    }

    /// The same, whose threads wait for other ranks until `deadline`.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    ///
    /// # Panics
    ///
    /// As [`Job::attach`].
    pub fn serve_within(&self, deadline: Duration) -> Session {
        Session::attach(&self.world, served(Timeout::After(deadline))).expect("the ranks attach")
    }

    /// The highest rank.
    pub fn last(&self) -> i32 {
        self.size - 1
    }

    /// Prints one line that says which rank it comes from, in one write: lines of ranks are not torn.
    pub fn say(&self, text: &str) {
        let line = format!("rank {}: {text}\n", self.rank);
        // A launcher that has gone is no failure of the claim.
        let _ = std::io::stdout().write_all(line.as_bytes());
        let _ = std::io::stdout().flush();
    }

    /// Says that this rank has seen all it wanted, then finalises MPI.
    pub fn done(self) {
        self.say("ok");
    }

    /// Finalises MPI before the program ends.
    pub fn finalize(&mut self) {
        self.universe = None;
    }

    /// Waits for all ranks of the job, on a communicator that dlcast knows nothing of.
    pub fn barrier(&self) {
        self.world.barrier();
    }

    /// Lets rank 0 do something that all ranks then find done.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    pub fn once<T>(&self, work: impl FnOnce() -> T) {
        if self.rank == 0 {
            work();
        }
        self.barrier();
    }

    /// A fixture library in the shared folder, built by rank 0.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    pub fn build(&self, fixture: &Fixture) -> PathBuf {
        self.once(|| fixture.build(&self.scratch));
        fixture.path(&self.scratch)
    }

    /// The plain fixture under a name: its constructor counts itself.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    pub fn library(&self, name: &str) -> PathBuf {
        self.build(&Fixture::new("counted.c", name))
    }

    /// Goes to a folder of this rank's own, so that `/proc/self/cwd/x` is one absolute path with a content per rank.
    ///
    /// # Panics
    ///
    /// When the folder cannot be made.
    pub fn enter_own_folder(&self) -> PathBuf {
        let folder = self.scratch.join(format!("rank-{}", self.rank));
        fs::create_dir_all(&folder).expect("the shared folder is writable");
        std::env::set_current_dir(&folder).expect("the folder was just made");
        folder
    }

    /// What every rank says, in the order of ranks.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    pub fn gather(&self, text: &str) -> Vec<String> {
        let mine = text.len() as i32;
        let mut counts = vec![0i32; self.size as usize];
        self.world.all_gather_into(&mine, &mut counts[..]);
        let starts: Vec<i32> = counts.iter().scan(0, |at, count| Some(std::mem::replace(at, *at + count))).collect();
        let mut bytes = vec![0u8; counts.iter().sum::<i32>() as usize];
        let mut parts = PartitionMut::new(&mut bytes[..], &counts[..], &starts[..]);
        self.world.all_gather_varcount_into(text.as_bytes(), &mut parts);
        (0..counts.len())
            .map(|rank| {
                let (start, count) = (starts[rank] as usize, counts[rank] as usize);
                String::from_utf8_lossy(&bytes[start..start + count]).into_owned()
            })
            .collect()
    }

    /// Asserts that every rank says the same.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    ///
    /// # Panics
    ///
    /// When a rank says something else than rank 0.
    pub fn assert_same(&self, what: &str, text: &str) {
        for (rank, other) in self.gather(text).iter().enumerate() {
            assert_eq!(other, text, "{what}: rank {rank} (left) differs from rank {} (right)", self.rank);
        }
    }

    /// The names of the fixture libraries in this process, sorted; one that is mapped twice is there twice.
    pub fn fixtures_mapped(&self) -> Vec<String> {
        let mut names: Vec<String> = process::mapped()
            .iter()
            .filter_map(|path| fs::canonicalize(path).ok())
            .filter(|path| path.starts_with(&self.scratch))
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        names
    }

    /// Asserts that each of the fixtures is mapped once and ran its constructor once, and that all ranks have the same
    /// fixture libraries.
    ///
    /// # Collective
    ///
    /// All ranks of the job.
    ///
    /// # Panics
    ///
    /// When it is not so.
    pub fn assert_loaded_once(&self, names: &[&str]) {
        let mapped = self.fixtures_mapped();
        self.assert_same("the libraries", &mapped.join(" "));
        assert_eq!(mapped.len(), names.len(), "mapped are {mapped:?}");
        for name in names {
            assert_eq!(process::constructed(name), 1, "constructor runs of {name}");
        }
    }

    /// Asserts that nothing of a fixture is to be seen: no symbol, no constructor run.
    ///
    /// # Panics
    ///
    /// When something is.
    pub fn assert_untouched(&self, name: &str) {
        assert_eq!(process::constructed(name), 0, "constructor runs of {name}");
        self.assert_invisible(name);
    }

    /// Asserts that a fixture cannot be found by name or symbol.
    ///
    /// # Panics
    ///
    /// When it can.
    pub fn assert_invisible(&self, name: &str) {
        assert!(!process::is_visible(&format!("{name}_answer")), "a symbol of {name} is visible");
    }
}

/// Options of a session in service mode.
pub fn served(timeout: Timeout) -> Options {
    Options { mode: Some(Mode::Service), timeout }
}

/// Waits for something that other threads see to, for 30 s at most.
///
/// # Panics
///
/// When it does not come.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "it has not come: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Calls the function that every fixture has, by its symbol.
///
/// # Panics
///
/// When it is missing or gives a wrong answer.
pub fn assert_answers(library: &Library, name: &str) {
    // SAFETY: every fixture defines `<name>_answer` as `int (void)`.
    let answer = unsafe { library.get::<unsafe extern "C" fn() -> i32>(&format!("{name}_answer")) };
    let answer = answer.expect("a fixture has its function");
    // SAFETY: as above; it touches nothing but its own data.
    assert_eq!(unsafe { answer() }, 42);
}

/// `RTLD_NOW | RTLD_LOCAL`.
pub const NOW: OpenFlags = OpenFlags::NOW;

/// A path as the text that calls take.
///
/// # Panics
///
/// When it is not UTF-8; the harness makes none of that kind.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("fixtures have plain names")
}

/// A temporary folder of rank 0 that all may enter, also as another user.
fn shared_folder(world: &SimpleCommunicator) -> (PathBuf, Option<TempDir>) {
    let mut name = [0u8; 256];
    let mut own = None;
    if world.rank() == 0 {
        let folder = tempfile::Builder::new().prefix("dlcast-").tempdir().expect("a temporary folder can be made");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        let path = folder.path().to_str().expect("a temporary folder has a plain name");
        name[..path.len()].copy_from_slice(path.as_bytes());
        own = Some(folder);
    }
    world.process_at_rank(0).broadcast_into(&mut name[..]);
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    (Path::new(std::str::from_utf8(&name[..end]).expect("rank 0 sent a path")).to_owned(), own)
}

/// A rank that panics would sit in MPI_Finalize while the others wait for it: it ends the job instead.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("rank {} panicked", RANK.load(Ordering::Relaxed));
        print(panic);
        if RANK.load(Ordering::Relaxed) >= 0 {
            // SAFETY: MPI is initialised once RANK is set; MPI_Abort is allowed at any time until it is finalised, and
            // afterwards MPI itself ends the process with an error, which is what is wanted.
            unsafe { mpi::ffi::MPI_Abort(mpi::ffi::RSMPI_COMM_WORLD, 101) };
        }
        std::process::exit(101);
    }));
}
