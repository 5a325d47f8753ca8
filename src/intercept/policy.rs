//! Says which libraries count: the ones whose loading is a request of the program, to be carried to every rank.
//!
//! A table and a matcher. It does not look at a file, does not intercept anything and knows no mechanism: a component that libc,
//! MPI or the system opens for itself is told by its name alone. When in doubt a library counts, because carrying one too many
//! costs a look-up on ranks that have it already, and leaving one out costs the program its tasks.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The file name.
    File,
    /// The name of the folder that holds the file; for plug-in folders whose members bear no common name.
    Folder,
}

/// One line of the policy: what matches does not count.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What the pattern is held against.
    pub on: On,
    /// A name in which `*` stands for any run of characters, none included.
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

/// Tells whether the library at `path` counts: true for what a program loads for itself, wherever it lives (`libblas`, `libz` and
/// `libhdf5` in `/usr/lib` count), false for what [`SELF_OPENED`] names.
#[must_use]
pub fn counts(path: &Path) -> bool {
    rule_for(path).is_none()
}

/// The rule by which the library at `path` does not count; a report names its owner.
#[must_use]
pub fn rule_for(path: &Path) -> Option<&'static Rule> {
    let file = path.file_name()?.as_bytes();
    let folder = path.parent().and_then(Path::file_name).map_or(&b""[..], OsStrExt::as_bytes);
    SELF_OPENED.iter().find(|rule| match rule.on {
        On::File => glob(rule.glob.as_bytes(), file),
        On::Folder => glob(rule.glob.as_bytes(), folder),
    })
}

/// Matches `text` against `pattern`, in which only `*` is special.
///
/// Greedy with one point of return: the last `*` may always take one more, so earlier ones need not be tried again.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
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

    #[test]
    fn a_star_stands_for_any_run() {
        assert!(glob(b"*", b""));
        assert!(glob(b"a*", b"a"));
        assert!(glob(b"a*c*e", b"abcde"));
        assert!(glob(b"*ab", b"aab"));
        assert!(glob(b"lib*-fi.so", b"lib-fi-fi.so"));
        assert!(!glob(b"a*c", b"ab"));
        assert!(!glob(b"", b"a"));
        assert!(!glob(b"ab", b"a"));
    }

    #[test]
    fn no_rule_stands_twice() {
        for (at, rule) in SELF_OPENED.iter().enumerate() {
            let again = SELF_OPENED[at + 1..].iter().any(|other| other.on == rule.on && other.glob == rule.glob);
            assert!(!again, "{}", rule.glob);
        }
    }
}
