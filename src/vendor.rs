//! Which MPI it is: the build's, a file's by its name, a running one's by what it says of itself.
//!
//! Text in, answers out; it asks no MPI and looks at no file.

use std::path::Path;

/// "Open MPI 4.1.4" or "MPICH 5.0.2": what build.rs found in mpi.h.
pub const BUILT_WITH: &str = env!("DLCAST_BUILT_MPI");
/// The file that the build linked against.
pub const BUILT_FILE: &str = env!("DLCAST_BUILT_MPI_FILE");

/// The C library of an MPI by its file name: libmpi.so.40, libmpich.so.12, libmpi_cray.so.12; not libmpi_mpifh.
#[must_use]
pub fn is_mpi(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let stem = name.split(".so").next().unwrap_or("");
    // auditwheel puts a hash behind the name: libmpi-1a2b3c4d.so.40.
    let stem = stem.split('-').next().unwrap_or(stem);
    name.contains(".so") && matches!(stem, "libmpi" | "libmpich" | "libmpi_cray" | "libmpi_gnu" | "libmpi_intel")
}

/// What MPI_Get_library_version says, to its first comma.
#[must_use]
pub fn short(version: &str) -> &str {
    version.split(['\n', ',']).next().unwrap_or("").trim()
}

/// Vendor and major version are those of the build: an MPI keeps its ABI within a major version.
#[must_use]
pub fn is_of_the_build(version: &str) -> bool {
    let (built, found) = (words(BUILT_WITH), words(version));
    // A vendor that this file does not know gets the benefit of the doubt: the linker found its symbols.
    built.0.is_none() || found.0.is_none() || built == found
}

fn words(text: &str) -> (Option<&'static str>, Option<String>) {
    let major = text
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
        .and_then(|word| word.split('.').next().map(String::from));
    (["Open MPI", "MPICH"].into_iter().find(|vendor| text.contains(vendor)), major)
}

/// Whose launcher says that of itself (`mpirun --version`); none for one that starts jobs of any MPI, or is not known.
#[must_use]
pub fn of_launcher(text: &str) -> Option<&'static str> {
    let marks = [("Open MPI", "Open MPI"), ("OpenRTE", "Open MPI"), ("HYDRA", "MPICH"), ("MPICH", "MPICH")];
    marks.into_iter().find(|(mark, _)| text.contains(mark)).map(|(_, vendor)| vendor)
}

/// The vendor that a version names, where it is known.
#[must_use]
pub fn of_version(version: &str) -> Option<&'static str> {
    words(version).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_of_an_mpi_is_known_by_name() {
        for name in ["libmpi.so", "libmpi.so.40.30.4", "libmpich.so.12", "libmpi-1a2b3c.so.40"] {
            assert!(is_mpi(&Path::new("/opt/lib").join(name)), "{name}");
        }
        for name in ["libmpi_mpifh.so.40", "libmpi_cxx.so", "libmpiwrapper.so", "libmpi.txt"] {
            assert!(!is_mpi(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn launchers_are_known_by_what_they_say() {
        assert_eq!(of_launcher("mpirun (Open MPI) 4.1.4\n\nReport bugs to"), Some("Open MPI"));
        assert_eq!(of_launcher("mpiexec (OpenRTE) 4.1.4"), Some("Open MPI"));
        assert_eq!(of_launcher("HYDRA build details:\n    Version:  5.0.2"), Some("MPICH"));
        assert_eq!(of_launcher("slurm 23.11"), None);
    }

    #[test]
    fn a_version_names_vendor_and_major_version() {
        let open = "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022";
        assert_eq!(words(open), (Some("Open MPI"), Some("4".into())));
        assert_eq!(words("MPICH Version:      5.0.2\nMPICH Release date:"), (Some("MPICH"), Some("5".into())));
        assert_eq!(short(open), "Open MPI v4.1.4");
    }
}
