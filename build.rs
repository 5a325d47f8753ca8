//! Notes which MPI the build is for, and gives the C library its SONAME.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=MPICC");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libdlcast.so.0");
    let (version, file) = match build_probe_mpi::probe() {
        Ok(library) => {
            let mpicc = library.mpicc.clone().unwrap_or_else(|| "mpicc".into());
            let file = library
                .lib_paths
                .iter()
                .flat_map(|folder| library.libs.iter().map(move |name| folder.join(format!("lib{name}.so"))));
            let file =
                file.filter(|path| path.file_name().is_some_and(|name| name == "libmpi.so" || name == "libmpich.so"));
            let file = file.filter_map(|path| path.canonicalize().ok()).next();
            (mpi_version(&mpicc), file)
        }
        // mpi-sys reports a missing MPI at length; nothing to add.
        Err(_) => (None, None),
    };
    // Held against what mpi-sys is bound to, in src/comm/mpi/bound.rs.
    println!("cargo:rustc-check-cfg=cfg(built_with, values(\"open-mpi\", \"mpich\"))");
    if let Some((vendor, version)) = version.as_deref().and_then(|version| version.rsplit_once(' ')) {
        let major = version.split('.').next().unwrap_or_default();
        println!("cargo:rustc-cfg=built_with=\"{}\"", vendor.to_lowercase().replace(' ', "-"));
        println!("cargo:rustc-env=DLCAST_BUILT_MPI_MAJOR={major}");
    }
    println!("cargo:rustc-env=DLCAST_BUILT_MPI={}", version.as_deref().unwrap_or("an unknown MPI"));
    println!("cargo:rustc-env=DLCAST_BUILT_MPI_FILE={}", file.unwrap_or(PathBuf::from("unknown file")).display());
}

/// From the macros of mpi.h, by the preprocessor: nothing is run that needs a launcher.
fn mpi_version(mpicc: &str) -> Option<String> {
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR")?);
    let probe = out_dir.join("probe.c");
    std::fs::write(&probe, "#include <mpi.h>\n").ok()?;
    let run = Command::new(mpicc).args(["-E", "-dM"]).arg(&probe).output().ok()?;
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let value = |name: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.trim().trim_matches('"').to_string())
    };
    match (value("OMPI_MAJOR_VERSION"), value("MPICH_VERSION")) {
        (Some(major), _) => {
            Some(format!("Open MPI {major}.{}.{}", value("OMPI_MINOR_VERSION")?, value("OMPI_RELEASE_VERSION")?))
        }
        (None, Some(version)) => Some(format!("MPICH {version}")),
        (None, None) => None,
    }
}
