//! What ld.so would load with a program: its DT_NEEDED and theirs, each with the file that the search leads to.
//!
//! It reads files and loads nothing. What the program opens later with dlopen is not told.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::search::{self, NotFound};
use crate::layers::elf::{self, Kind};
use crate::layers::search::{Disk, Process, Rule};

/// One library that a program needs.
#[derive(Debug)]
pub struct Need {
    /// The name that stands in the object that needs it, to be told.
    pub name: String,
    /// That object.
    pub by: PathBuf,
    /// The file, or why there is none.
    pub found: Result<PathBuf, NotFound>,
}

/// Everything that `object` needs, in the order of ld.so: breadth first, each name once. A program of this LD_LIBRARY_PATH.
///
/// # Errors
/// Why `object` itself cannot be read; what it needs is reported in the list.
pub fn of(object: &Path, library_path: &OsStr) -> Result<Vec<Need>, String> {
    let at = |why: &dyn std::fmt::Display| format!("{}: {why}", object.display());
    let real = std::fs::canonicalize(object).map_err(|error| at(&error))?;
    let loader = File::open(&real).ok().and_then(|file| elf::interpreter(&file).ok()?);
    let (system, disk) = (search::system(), Disk::default());
    let elf = disk.object(&real).map_err(|error| at(&error))?;
    let mut process = Process::empty(&system, &disk, loader.as_deref());
    process.set_library_path(Process::library_path(&real, library_path, &system));
    let needs = match elf.kind {
        Kind::Executable => process.start(&real),
        Kind::SharedObject => process.take(&real).map(|(_, needs)| needs),
    };
    let (mut list, mut seen) = (Vec::new(), HashSet::new());
    for need in needs.map_err(|error| at(&error))? {
        let by = process.object(need.by).path.clone();
        let name = need.trail.name.to_string_lossy().into_owned();
        let is_met = need.trail.found.as_ref().is_some_and(|found| found.rule == Rule::Loaded);
        if is_met || !seen.insert(name.clone()) {
            continue;
        }
        let found = match need.trail.found {
            Some(found) => Ok(found.path),
            None => Err(NotFound { name: name.clone(), tried: need.trail.tried }),
        };
        list.push(Need { name, by, found });
    }
    Ok(list)
}

/// The name under which others need a library, to be told.
#[must_use]
pub fn soname(path: &Path) -> Option<String> {
    let soname = elf::read_any_file(&File::open(path).ok()?).ok()?.soname?;
    Some(soname.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn compile(out: &Path, flags: &[String]) {
        std::fs::create_dir_all(out.parent().unwrap()).unwrap();
        let source = out.with_extension("c");
        std::fs::write(&source, "int main(void) { return 0; }").unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-fPIC", "-Wl,--no-as-needed", "-o"]).arg(out).arg(&source).args(flags);
        let output = cc.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A program that needs liba, which needs libb; both in folders of their own.
    fn program(folder: &Path, tag: &str, of_a: &str) -> Vec<(String, Option<PathBuf>)> {
        let (a, b) = (folder.join("a/libdlcasta.so"), folder.join("b/libdlcastb.so"));
        let path = |path: &Path| path.display().to_string();
        compile(&b, &["-shared".into()]);
        compile(&a, &["-shared".into(), format!("-L{}", path(&folder.join("b"))), "-ldlcastb".into(), of_a.into()]);
        let dirs = [format!("-L{}", path(&folder.join("a"))), format!("-Wl,-rpath-link,{}", path(&folder.join("b")))];
        let rpath = format!("-Wl,{tag},-rpath,$ORIGIN/a:${{ORIGIN}}/b");
        compile(&folder.join("program"), &[&dirs[..], &["-ldlcasta".into(), rpath]].concat());
        let needs = of(&folder.join("program"), OsStr::new("")).unwrap();
        needs.into_iter().map(|need| (need.name, need.found.ok())).collect()
    }

    fn found<'a>(needs: &'a [(String, Option<PathBuf>)], name: &str) -> &'a Option<PathBuf> {
        &needs.iter().find(|(known, _)| known == name).unwrap().1
    }

    #[test]
    fn rpath_counts_for_what_comes_along_and_runpath_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let needs = program(&folder, "--disable-new-dtags", "-g");
        assert_eq!(*found(&needs, "libdlcasta.so"), Some(folder.join("a/libdlcasta.so")));
        assert_eq!(*found(&needs, "libdlcastb.so"), Some(folder.join("b/libdlcastb.so")));
        assert!(found(&needs, "libc.so.6").is_some());
        let names: Vec<&String> = needs.iter().map(|(name, _)| name).collect();
        assert!(names[0] == "libdlcasta.so" && names.iter().filter(|name| **name == "libc.so.6").count() == 1);

        let needs = program(&folder, "--enable-new-dtags", "-g");
        assert_eq!(*found(&needs, "libdlcasta.so"), Some(folder.join("a/libdlcasta.so")));
        assert_eq!(*found(&needs, "libdlcastb.so"), None);
        // A RUNPATH of its own is what it takes.
        let needs = program(&folder, "--enable-new-dtags", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../b");
        assert_eq!(*found(&needs, "libdlcastb.so"), Some(folder.join("a/../b/libdlcastb.so")));
        // And it turns the RPATH of the program off.
        let needs = program(&folder, "--disable-new-dtags", "-Wl,--enable-new-dtags,-rpath,/nowhere");
        assert_eq!(*found(&needs, "libdlcastb.so"), None);
    }

    /// ld.so itself has the last word.
    #[test]
    fn what_is_found_is_what_ld_so_takes() {
        let program = Path::new("/bin/sh");
        let told = Command::new("ldd").arg(program).output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let needs = of(program, OsStr::new("")).unwrap();
        assert!(!needs.is_empty());
        for need in needs {
            let path = need.found.unwrap();
            let same = |line: &str| {
                line.split_whitespace().any(|word| {
                    word.starts_with('/') && std::fs::canonicalize(word).ok() == std::fs::canonicalize(&path).ok()
                })
            };
            assert!(told.lines().any(same), "{} is not in\n{told}", path.display());
        }
    }
}
