//! Claims about the search in folders. The real ld.so is asked in `oracle`; the cache's format is tested in `cache`.

pub(in crate::layers) mod fixture;
mod oracle;
mod random;

use std::os::unix::fs::symlink;

use super::*;

fn folder(path: &Path) -> Folder {
    Folder::new(path.to_path_buf())
}

fn sought(name: &str, folders: &[&Path]) -> Trail {
    let folders = folders.iter().map(|path| folder(path)).collect();
    search(name, &[List { rule: Rule::LibraryPath, folders }], false, &System::default(), &Disk::default())
}

fn reasons(trail: &Trail) -> Vec<Reason> {
    trail.tried.iter().map(|tried| tried.reason.clone()).collect()
}

/// Folders of these names, and a library's path in each.
fn places<const N: usize>(dir: &Path, names: [&str; N]) -> [PathBuf; N] {
    names.map(|name| {
        std::fs::create_dir(dir.join(name)).unwrap();
        dir.join(name)
    })
}

const NAME: &str = "libdlcastx.so";

#[test]
fn the_first_folder_that_serves_wins() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = places(dir.path(), ["a", "b"]);
    for folder in [&a, &b] {
        fixture::copy(&folder.join(NAME));
    }
    assert_eq!(sought(NAME, &[&a, &b]).found.unwrap().path, a.join(NAME));
}

#[test]
fn dangling_foreign_and_missing_files_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let [dangling, foreign, missing, good] = places(dir.path(), ["dangling", "foreign", "missing", "good"]);
    symlink("nowhere", dangling.join(NAME)).unwrap();
    std::fs::write(foreign.join(NAME), fixture::foreign()).unwrap();
    let nowhere = dir.path().join("nowhere");
    let trail = sought(NAME, &[&dangling, &foreign, &missing, &nowhere]);
    let all = [Reason::Dangling, Reason::OtherClass, Reason::Missing, Reason::NoFolder, Reason::NotCached];
    assert_eq!(reasons(&trail), all);
    fixture::copy(&good.join(NAME));
    let trail = sought(NAME, &[&dangling, &foreign, &missing, &nowhere, &good]);
    assert_eq!(trail.found.unwrap(), Found { rule: Rule::LibraryPath, path: good.join(NAME) });
}

#[test]
fn a_text_an_empty_file_and_a_folder_stop_the_search() {
    let dir = tempfile::tempdir().unwrap();
    let [bad, good] = places(dir.path(), ["bad", "good"]);
    fixture::copy(&good.join(NAME));
    let long = format!("INPUT(libdlcastx.so.1)\n/*{}*/", " ".repeat(64));
    for (text, reason) in [("INPUT(libdlcastx.so.1)", Reason::Short), ("", Reason::Short), (&long, Reason::NotElf)] {
        std::fs::write(bad.join(NAME), text).unwrap();
        let trail = sought(NAME, &[&bad, &good]);
        assert_eq!(reasons(&trail), [reason]);
        assert!(trail.stopped() && trail.found.is_none());
    }
    std::fs::remove_file(bad.join(NAME)).unwrap();
    std::fs::create_dir(bad.join(NAME)).unwrap();
    let trail = sought(NAME, &[&bad, &good]);
    assert!(matches!(reasons(&trail)[..], [Reason::Unreadable(_)]), "{trail:?}");
}

#[test]
fn links_in_a_circle_end_their_list_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let [circle, good] = places(dir.path(), ["circle", "good"]);
    symlink(NAME, circle.join(NAME)).unwrap();
    fixture::copy(&good.join(NAME));
    let trail = sought(NAME, &[&circle, &good]);
    assert!(matches!(reasons(&trail)[..], [Reason::Unopened(_), Reason::NotCached]), "{trail:?}");
    let lists = [&circle, &good].map(|path| List { rule: Rule::LibraryPath, folders: vec![folder(path)] });
    let trail = search(NAME, &lists, false, &System::default(), &Disk::default());
    assert_eq!(trail.found.unwrap().path, good.join(NAME));
}

#[test]
fn the_systems_own_folders_come_after_the_cache_and_not_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    fixture::copy(&dir.path().join(NAME));
    let system = System { folders: vec![dir.path().into()], ..System::default() };
    let trail = search(NAME, &[], false, &system, &Disk::default());
    assert_eq!(reasons(&trail), [Reason::NotCached]);
    assert_eq!(trail.found.unwrap().rule, Rule::System);
    assert_eq!(search(NAME, &[], true, &system, &Disk::default()).found, None);
}

#[test]
fn links_that_are_not_there_yet_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("libreal.so");
    fixture::copy(&real);
    let links = dir.path().join("links");
    let disk = Disk::with_links([(links.join(NAME), real.clone())].into());
    let names = std::rc::Rc::new([OsString::from(NAME)].into());
    let folders = vec![Folder { path: links.clone(), links: Some(names) }];
    let lists = [List { rule: Rule::LibraryPath, folders }];
    let trail = search(NAME, &lists, false, &System::default(), &disk);
    assert_eq!(trail.found.unwrap().path, links.join(NAME));
    assert_eq!(disk.id(&links.join(NAME)), disk.id(&real));
    let trail = search("libreal.so", &lists, false, &System::default(), &disk);
    assert_eq!(reasons(&trail), [Reason::Missing, Reason::NotCached]);
}
