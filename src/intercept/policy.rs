//! Says which libraries count: the ones whose loading is a request of the program, to be carried to every rank.
//!
//! A table, and globs of the user's that go before it. It does not look at a file, does not intercept anything and knows no mechanism: a component that libc,
//! MPI or the system opens for itself is told by its name alone. When in doubt a library counts, because carrying one too many
//! costs a look-up on ranks that have it already, and leaving one out costs the program its tasks.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use glob::Pattern;

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The file name.
    File,
    /// The name of the folder that holds the file; for plug-in folders whose members bear no common name.
    Folder,
}

/// One line of the policy: what matches does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What the pattern is held against.
    pub on: On,
    /// As a shell would read it: `*` stands for any run of characters, none included.
    pub glob: &'static str,
    /// Who opens it.
    pub owner: &'static str,
}

const fn file(glob: &'static str, owner: &'static str) -> Rule {
    Rule { on: On::File, glob, owner }
}

const fn folder(glob: &'static str, owner: &'static str) -> Rule {
    Rule { on: On::Folder, glob, owner }
}

/// The components that open themselves.
///
/// Folders stand here only where the names inside say nothing: `openmpi` is no rule, because Debian keeps the parallel HDF5 in
/// `hdf5/openmpi/libhdf5.so`. MPI libraries are named one by one, because `libmpi*` would take `libmpi4jax.so` along.
pub const SELF_OPENED: &[Rule] = &[
    // The loader, libc and its parts (also opened from inside libc: NSS, character sets, unwinding for thread cancellation).
    file("ld-linux*.so*", "glibc"),
    file("ld64.so*", "glibc"),
    file("ld-2.*.so", "glibc"),
    file("linux-vdso*.so*", "kernel"),
    file("linux-gate*.so*", "kernel"),
    file("libc.so.6", "glibc"),
    file("libc-2.*.so", "glibc"),
    file("libm.so.6", "glibc"),
    file("libm-2.*.so", "glibc"),
    file("libmvec.so.1", "glibc"),
    file("libpthread.so.0", "glibc"),
    file("libpthread-2.*.so", "glibc"),
    file("libdl.so.2", "glibc"),
    file("libdl-2.*.so", "glibc"),
    file("librt.so.1", "glibc"),
    file("librt-2.*.so", "glibc"),
    file("libutil.so.1", "glibc"),
    file("libutil-2.*.so", "glibc"),
    file("libresolv.so.2", "glibc"),
    file("libresolv-2.*.so", "glibc"),
    file("libanl.so.1", "glibc"),
    file("libthread_db.so.1", "glibc"),
    file("libnss_*.so*", "glibc"),
    file("libgcc_s.so*", "gcc"),
    folder("gconv", "glibc"),
    // MPI itself.
    file("libmpi.so*", "MPI"),
    file("libmpi_abi.so*", "MPI"),
    file("libmpi_cxx.so*", "Open MPI"),
    file("libmpi_mpifh.so*", "Open MPI"),
    file("libmpi_usempi*.so*", "Open MPI"),
    file("libmpi_java.so*", "Open MPI"),
    file("libmpi_gnu*.so*", "Cray MPICH"),
    file("libmpi_cray*.so*", "Cray MPICH"),
    file("libmpich*.so*", "MPICH"),
    file("libmpicxx*.so*", "MPICH"),
    file("libmpifort*.so*", "MPICH"),
    file("libmpl.so*", "MPICH"),
    file("libopen-rte.so*", "Open MPI"),
    file("libopen-pal.so*", "Open MPI"),
    file("libprrte.so*", "PRRTE"),
    file("libompitrace.so*", "Open MPI"),
    file("liboshmem.so*", "Open MPI"),
    file("libpmix.so*", "PMIx"),
    file("libpmi.so*", "PMI"),
    file("libpmi2.so*", "PMI"),
    file("mca_*", "Open MPI"),
    file("libmca_common_*", "Open MPI"),
    file("pmix_mca_*", "PMIx"),
    file("prte_mca_*", "PRRTE"),
    file("ompi_dbg_*", "Open MPI"),
    file("libompi_dbg_*", "Open MPI"),
    folder("pmix", "PMIx"),
    folder("mca", "Open MPI"),
    // The transports below MPI, and their plug-ins.
    file("libucs.so*", "UCX"),
    file("libucs_*.so*", "UCX"),
    file("libucp.so*", "UCX"),
    file("libuct.so*", "UCX"),
    file("libuct_*.so*", "UCX"),
    file("libucm.so*", "UCX"),
    file("libucm_*.so*", "UCX"),
    file("libucx_*.so*", "UCX"),
    file("libucc.so*", "UCC"),
    file("libucc_*.so*", "UCC"),
    folder("ucx", "UCX"),
    folder("ucc", "UCC"),
    file("libfabric.so*", "libfabric"),
    file("lib*-fi.so", "libfabric"),
    folder("libfabric", "libfabric"),
    file("libibverbs.so*", "rdma-core"),
    file("librdmacm.so*", "rdma-core"),
    file("libibumad.so*", "rdma-core"),
    file("lib*-rdmav*.so", "rdma-core"),
    file("libmlx4.so*", "rdma-core"),
    file("libmlx5.so*", "rdma-core"),
    file("libefa.so*", "rdma-core"),
    folder("libibverbs", "rdma-core"),
    file("libpsm2.so*", "PSM"),
    file("libpsm3*.so*", "PSM"),
    file("libpsm_infinipath.so*", "PSM"),
    file("libinfinipath.so*", "PSM"),
    file("libcxi.so*", "Slingshot"),
    // What MPI brings along for itself: topology plug-ins, its event loop, its credentials.
    file("hwloc_*.so", "hwloc"),
    folder("hwloc", "hwloc"),
    file("libevent_core*.so*", "libevent"),
    file("libevent_pthreads*.so*", "libevent"),
    file("libevent*pthreads*.so*", "libevent"),
    file("libmunge.so*", "munge"),
    // Sanitizers come first in a process and stay.
    file("libasan.so*", "sanitizer"),
    file("libtsan.so*", "sanitizer"),
    file("libubsan.so*", "sanitizer"),
    file("liblsan.so*", "sanitizer"),
    file("libhwasan.so*", "sanitizer"),
    file("libclang_rt.*", "sanitizer"),
    // dlcast and its shim.
    file("libdlcast*.so*", "dlcast"),
];

/// What counts where nobody has said anything else: true for what a program loads for itself, wherever it lives (`libblas`, `libz`
/// and `libhdf5` in `/usr/lib` count), false for what [`SELF_OPENED`] names.
#[must_use]
pub fn counts(path: &Path) -> bool {
    rule_for(path).is_none()
}

/// The rule by which the library at `path` does not count; a report names its owner.
#[must_use]
pub fn rule_for(path: &Path) -> Option<&'static Rule> {
    static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
        // That every rule is a glob is tested.
        let pattern = |rule: &Rule| Pattern::new(rule.glob).unwrap_or_default();
        SELF_OPENED.iter().map(pattern).collect()
    });
    let file = path.file_name()?.to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).map(OsStr::to_string_lossy).unwrap_or_default();
    let matches = |rule: &Rule, pattern: &Pattern| match rule.on {
        On::File => pattern.matches(&file),
        On::Folder => pattern.matches(&folder),
    };
    SELF_OPENED.iter().zip(&*PATTERNS).find(|(rule, pattern)| matches(rule, pattern)).map(|(rule, _)| rule)
}

/// What counts in this process: the built-in table, and what the user has said beside it.
///
/// A user's glob is held against the file name and against the whole path, in which `*` runs across folders. What is included
/// counts; of the rest, what is excluded does not; of the rest, the table decides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    exclude: Vec<Pattern>,
    include: Vec<Pattern>,
}

/// By what a library counts, or does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason<'a> {
    /// A glob of the user's says that it counts.
    Included(&'a Pattern),
    /// A glob of the user's says that it does not.
    Excluded(&'a Pattern),
    /// It opens itself.
    SelfOpened(&'static Rule),
    /// Nothing speaks against it.
    Unnamed,
}

impl Policy {
    /// The table, and a user's globs before it.
    #[must_use]
    pub fn new(exclude: Vec<Pattern>, include: Vec<Pattern>) -> Policy {
        Policy { exclude, include }
    }

    /// Tells whether the library at `path` counts.
    #[must_use]
    pub fn counts(&self, path: &Path) -> bool {
        matches!(self.reason(path), Reason::Included(_) | Reason::Unnamed)
    }

    /// Tells by what it counts, or does not; for reports.
    #[must_use]
    pub fn reason<'a>(&'a self, path: &Path) -> Reason<'a> {
        let file = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        let whole = path.to_string_lossy();
        let named = |globs: &'a [Pattern]| globs.iter().find(|glob| glob.matches(&file) || glob.matches(&whole));
        if let Some(glob) = named(&self.include) {
            Reason::Included(glob)
        } else if let Some(glob) = named(&self.exclude) {
            Reason::Excluded(glob)
        } else {
            rule_for(path).map_or(Reason::Unnamed, Reason::SelfOpened)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_itself_does_not_count() {
        for path in [
            "/lib64/ld-linux-x86-64.so.2",
            "linux-vdso.so.1",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib/x86_64-linux-gnu/libm.so.6",
            "/lib/x86_64-linux-gnu/libnss_files.so.2",
            "/lib/x86_64-linux-gnu/libgcc_s.so.1",
            "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
            "/usr/lib/x86_64-linux-gnu/libmpi.so.40.30.4",
            "/usr/lib/x86_64-linux-gnu/openmpi/lib/openmpi3/mca_btl_tcp.so",
            "/usr/lib/x86_64-linux-gnu/libmca_common_ofi.so.10",
            "/usr/lib/x86_64-linux-gnu/pmix2/lib/pmix/mca_bfrops_v12.so",
            "/site-packages/mpich.libs/libmpich-1234.so.12",
            "/usr/lib/x86_64-linux-gnu/libopen-rte.so.40",
            "/usr/lib/x86_64-linux-gnu/libopen-pal.so.40",
            "/usr/lib/x86_64-linux-gnu/ucx/libuct_ib.so.0",
            "/usr/lib/x86_64-linux-gnu/libibverbs/libmlx5-rdmav34.so",
            "/usr/lib/x86_64-linux-gnu/libfabric/libpsmx-fi.so",
            "/usr/lib/x86_64-linux-gnu/hwloc/hwloc_pci.so",
            "/usr/lib/x86_64-linux-gnu/libevent_pthreads-2.1.so.7",
            "/usr/lib/x86_64-linux-gnu/libevent_core-2.1.so.7",
            "/usr/lib/x86_64-linux-gnu/libmunge.so.2",
            "/usr/lib/gcc/x86_64-linux-gnu/12/libasan.so.8",
            "/opt/dlcast/lib/libdlcast.so.0",
            "/opt/dlcast/lib/libdlcast_preload.so",
        ] {
            assert!(!counts(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_users_library_counts_wherever_it_lives() {
        for path in [
            "/usr/lib/x86_64-linux-gnu/libblas.so.3",
            "/usr/lib/x86_64-linux-gnu/libz.so.1",
            "/usr/lib/x86_64-linux-gnu/libhdf5_openmpi.so.103",
            "/usr/lib/x86_64-linux-gnu/hdf5/openmpi/libhdf5.so",
            "/home/me/openmpi/venv/lib/libheat.so",
            "/opt/app/lib/libmpi4jax.so",
            "/opt/app/lib/libmylib.so",
            "/opt/app/lib/libcudart.so.12",
            "/opt/app/lib/libmatrix.so",
            "/opt/app/lib/libconfig.so.9",
            "libheat.so",
            "/venv/lib/python3.11/site-packages/numpy/_core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so",
        ] {
            assert!(counts(Path::new(path)), "{path}");
        }
    }

    fn policy(exclude: &[&str], include: &[&str]) -> Policy {
        let globs = |list: &[&str]| list.iter().map(|glob| Pattern::new(glob).unwrap()).collect();
        Policy::new(globs(exclude), globs(include))
    }

    #[test]
    fn include_wins_over_exclude_and_exclude_over_the_table() {
        let policy = policy(&["libx*.so", "/opt/vendor/*"], &["libxy.so", "libmpi_cxx.so*"]);
        let reason = |path: &str| match policy.reason(Path::new(path)) {
            Reason::Included(glob) => format!("included {glob}"),
            Reason::Excluded(glob) => format!("excluded {glob}"),
            Reason::SelfOpened(rule) => format!("of {}", rule.owner),
            Reason::Unnamed => "unnamed".into(),
        };
        for (path, expected) in [
            ("/lib/libxy.so", "included libxy.so"),
            ("/lib/libmpi_cxx.so.40", "included libmpi_cxx.so*"),
            ("/lib/libxz.so", "excluded libx*.so"),
            ("libxz.so", "excluded libx*.so"),
            ("/opt/vendor/deep/lib/a.so", "excluded /opt/vendor/*"),
            ("/lib/libmpi.so.40", "of MPI"),
            ("/lib/libz.so.1", "unnamed"),
            ("/lib/libxz.so.1", "unnamed"),
        ] {
            assert_eq!(reason(path), expected, "{path}");
            let counts = expected.starts_with("included") || expected == "unnamed";
            assert_eq!(policy.counts(Path::new(path)), counts, "{path}");
        }
    }

    #[test]
    fn without_globs_the_table_decides() {
        for path in ["/lib/libc.so.6", "/lib/libz.so.1", "/lib/gconv/UTF-16.so", "/"] {
            assert_eq!(Policy::default().counts(Path::new(path)), counts(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn every_rule_is_a_glob() {
        for rule in SELF_OPENED {
            let pattern = Pattern::new(rule.glob).unwrap_or_else(|error| panic!("{}: {error}", rule.glob));
            assert!(pattern.matches(&rule.glob.replace('*', "x")), "{}", rule.glob);
        }
    }

    #[test]
    fn no_rule_stands_twice() {
        for (at, rule) in SELF_OPENED.iter().enumerate() {
            let again = SELF_OPENED[at + 1..].iter().any(|other| other.on == rule.on && other.glob == rule.glob);
            assert!(!again, "{}", rule.glob);
        }
    }
}
