//! Where a module is in the layers of a stack: by the names of files, without starting a Python.
//!
//! What a `.pth` file or a finder of a package adds is not known.

use std::path::{Path, PathBuf};

use super::python::Found;

/// Looks for a module in the environments at `roots`, the first one first.
pub fn find(roots: &[&Path], name: &str) -> Option<Found> {
    let sites: Vec<PathBuf> = roots.iter().flat_map(|root| sites(root)).collect();
    sites.iter().find_map(|site| within(site, name))
}

/// The extension module of ctypes that a Python has in its installation; none where it is built in.
pub fn ctypes(program: &Path) -> Option<PathBuf> {
    let all = sites(program.parent()?.parent()?);
    // There may be other versions beside it.
    let is_own = |site: &&PathBuf| site.iter().any(|part| Some(part) == program.file_name());
    let own: Vec<PathBuf> = all.iter().filter(is_own).cloned().collect();
    let sites = if own.is_empty() { all } else { own };
    sites.iter().find_map(|site| within(site, "_ctypes"))?.objects.pop()
}

/// The folders of modules of an environment: `lib/python3.11/site-packages`, and what a runtime has beside it.
fn sites(root: &Path) -> Vec<PathBuf> {
    let mut sites = Vec::new();
    for lib in ["lib", "lib64"] {
        let entries = std::fs::read_dir(root.join(lib)).into_iter().flatten().filter_map(Result::ok);
        let is_python = |name: &str| name.starts_with("python3.") || name.starts_with("pypy3.");
        let mut pythons: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_python))
            .map(|entry| entry.path())
            .collect();
        pythons.sort();
        for python in pythons {
            sites.extend(["site-packages", "lib-dynload", "."].map(|folder| python.join(folder)));
        }
    }
    sites
}

fn within(site: &Path, name: &str) -> Option<Found> {
    let mut parts: Vec<&str> = name.split('.').collect();
    let last = parts.pop()?;
    let folder = parts.iter().fold(site.to_path_buf(), |folder, part| folder.join(part));
    let package = folder.join(last);
    // As CPython goes: a package, then an extension module, then a file.
    if package.join("__init__.py").is_file() {
        return Some(Found { origin: Some(package.join("__init__.py")), folders: vec![package], objects: Vec::new() });
    }
    let objects = objects(&folder, last);
    if let [object] = &objects[..] {
        return Some(Found { origin: Some(object.clone()), folders: Vec::new(), objects });
    }
    if !objects.is_empty() {
        return Some(Found { origin: None, folders: Vec::new(), objects });
    }
    let file = folder.join(format!("{last}.py"));
    if file.is_file() {
        return Some(Found { origin: Some(file), ..Found::default() });
    }
    // A folder without a file of its own is a package, too; at the top it may be anything.
    (package.is_dir() && !parts.is_empty()).then(|| Found { folders: vec![package], ..Found::default() })
}

/// The files that are extension modules of that name. A package may bring several, and choose by a finder of its own, as mpi4py
/// does: `MPI.mpich.cpython-311-x86_64-linux-gnu.so`.
fn objects(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut all: Vec<(usize, PathBuf)> = Vec::new();
    for path in entries.map(|entry| entry.path()).filter(|path| path.is_file()) {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        let rest = file.strip_prefix(name).and_then(|rest| rest.strip_suffix(".so"));
        let tags: Option<Vec<&str>> = match rest {
            Some("") => Some(Vec::new()),
            Some(rest) => rest.strip_prefix('.').map(|tags| tags.split('.').collect()),
            None => None,
        };
        let is_tag = |tag: &&str| ["cpython-", "pypy", "abi3", "graalpy"].iter().any(|start| tag.starts_with(start));
        match tags.as_deref() {
            Some([]) => all.push((0, path)),
            Some([rest @ .., tag]) if is_tag(tag) => all.push((rest.len(), path)),
            _ => {}
        }
    }
    // Those without a word between name and tag are what every Python would take.
    let plain = all.iter().any(|(words, _)| *words == 0);
    let mut objects: Vec<PathBuf> =
        all.into_iter().filter(|(words, _)| !plain || *words == 0).map(|(_, path)| path).collect();
    objects.sort();
    if plain {
        objects.truncate(1);
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(root: &Path, name: &str) -> Option<(String, Vec<String>)> {
        let found = find(&[root], name)?;
        let short = |path: &Path| path.strip_prefix(root.join("lib/python3.11")).unwrap().display().to_string();
        let origin = found.origin.map(|origin| short(&origin)).unwrap_or_default();
        Some((origin, found.objects.iter().chain(&found.folders).map(|path| short(path)).collect()))
    }

    #[test]
    fn the_ctypes_of_a_python_is_that_of_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let module = |version: &str| dir.path().join(format!("lib/{version}/lib-dynload/_ctypes.abi3.so"));
        for version in ["python3.9", "python3.10", "python3.11"] {
            std::fs::create_dir_all(module(version).parent().unwrap()).unwrap();
        }
        for version in ["python3.9", "python3.10"] {
            std::fs::write(module(version), "").unwrap();
        }
        let of = |name: &str| ctypes(&dir.path().join("bin").join(name));
        assert_eq!(of("python3.9"), Some(module("python3.9")));
        assert_eq!(of("python3.10"), Some(module("python3.10")));
        assert_eq!(of("python3.11"), None);
    }

    #[test]
    fn modules_are_found_as_cpython_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("lib/python3.11");
        for file in [
            "site-packages/pkg/__init__.py",
            "site-packages/pkg/a.cpython-311-x86_64-linux-gnu.so",
            "site-packages/pkg/a.mpich.cpython-311-x86_64-linux-gnu.so",
            "site-packages/pkg/a.py",
            "site-packages/pkg/b.mpich.abi3.so",
            "site-packages/pkg/b.openmpi.abi3.so",
            "site-packages/pkg/c.py",
            "site-packages/pkg/lib/libd.so",
            "site-packages/pkg/e.so.1",
            "lib-dynload/_f.cpython-311-x86_64-linux-gnu.so",
            "json/__init__.py",
        ] {
            let path = python.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let pkg = "site-packages/pkg";
        for (name, origin, objects) in [
            ("pkg", format!("{pkg}/__init__.py"), vec![pkg.to_string()]),
            (
                "pkg.a",
                format!("{pkg}/a.cpython-311-x86_64-linux-gnu.so"),
                vec![format!("{pkg}/a.cpython-311-x86_64-linux-gnu.so")],
            ),
            ("pkg.b", String::new(), vec![format!("{pkg}/b.mpich.abi3.so"), format!("{pkg}/b.openmpi.abi3.so")]),
            ("pkg.c", format!("{pkg}/c.py"), vec![]),
            ("pkg.lib", String::new(), vec![format!("{pkg}/lib")]),
            (
                "_f",
                "lib-dynload/_f.cpython-311-x86_64-linux-gnu.so".into(),
                vec!["lib-dynload/_f.cpython-311-x86_64-linux-gnu.so".into()],
            ),
            ("json", "json/__init__.py".into(), vec!["json".into()]),
        ] {
            assert_eq!(found(dir.path(), name), Some((origin, objects)), "{name}");
        }
        for name in ["pkg.d", "pkg.e", "no"] {
            assert_eq!(found(dir.path(), name), None, "{name}");
        }
    }
}
