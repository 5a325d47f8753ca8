//! Plans of made-up layers, and their files where content counts or links are made.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::layers::elf::{Elf, Kind};
use crate::layers::scan::{Class, Counts, Neither, Object};
use crate::layers::stack::{Exclude, Layer, Platform};

/// A stack on the disk: layers `app`, `fw` and `rt`, of which `app` uses the others and `fw` the last.
struct Made {
    folder: tempfile::TempDir,
    stack: Stack,
    scanned: Vec<Scanned>,
}

const LAYERS: [&str; 3] = ["app", "fw", "rt"];

impl Made {
    fn new() -> Made {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let layer = |(at, name): (usize, &&str)| {
            let path = root.join(name);
            fs::create_dir_all(path.join("bin")).unwrap();
            fs::write(path.join("pyvenv.cfg"), "").unwrap();
            std::os::unix::fs::symlink("/bin/cat", path.join("bin/python")).unwrap();
            let below = (at + 1..LAYERS.len()).collect();
            Layer { name: name.to_string(), path, below, exclude: Exclude::default(), platform: Platform::Posix }
        };
        let layers = LAYERS.iter().enumerate().map(layer).collect();
        let empty = |layer| Scanned { layer, objects: Vec::new(), counts: Counts::default() };
        let stack = Stack { file: root.join("stack.toml"), layers };
        Made { folder, stack, scanned: (0..LAYERS.len()).map(empty).collect() }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn at(&self, layer: &str) -> usize {
        LAYERS.iter().position(|name| *name == layer).unwrap()
    }

    /// A library; `path` begins with the layer.
    fn library(&mut self, path: &str, soname: Option<&str>, content: &str) {
        self.object(path, content, |elf| Class::Library(Elf { soname: soname.map(OsString::from), ..elf }));
    }

    fn object(&mut self, path: &str, content: &str, class: impl Fn(Elf) -> Class) {
        let file = self.root().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        self.push(path, None, content.len() as u64, class);
    }

    fn link(&mut self, path: &str, to: &str, soname: Option<&str>) {
        let (file, to) = (self.root().join(path), self.root().join(to));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&to, file).unwrap();
        let size = fs::metadata(&to).unwrap().len();
        self.push(path, Some(to), size, |elf| Class::Library(Elf { soname: soname.map(OsString::from), ..elf }));
    }

    fn push(&mut self, path: &str, link: Option<PathBuf>, size: u64, class: impl Fn(Elf) -> Class) {
        let (layer, path) = path.split_once('/').unwrap();
        let elf = Elf {
            soname: None,
            needed: Vec::new(),
            rpath: Vec::new(),
            runpath: Vec::new(),
            build_id: None,
            python_init: None,
            no_default: false,
            kind: Kind::SharedObject,
        };
        let at = self.at(layer);
        self.scanned[at].objects.push(Object { path: path.into(), link, size, class: class(elf) });
    }

    fn exclude(&mut self, layer: &str, globs: &[&str]) {
        let at = self.at(layer);
        self.stack.layers[at].exclude =
            Exclude::new(&globs.iter().map(|glob| glob.to_string()).collect::<Vec<_>>()).unwrap();
    }

    fn plan(&self) -> Result<Plan, LinkError> {
        plan(&self.stack, &roots(&self.stack).unwrap(), &self.scanned, &mut same)
    }

    fn changes(&self) -> Result<Changes, LinkError> {
        let roots = roots(&self.stack)?;
        Changes::find(&self.stack, &roots, &self.plan()?)
    }

    fn apply(&self) {
        self.changes().unwrap().apply().unwrap();
    }

    /// The links of a layer as planned, as `name -> file`.
    fn planned(&self, layer: &str) -> Vec<String> {
        let links = &self.plan().unwrap().links[self.at(layer)];
        links.iter().map(|(name, file)| format!("{} -> {}", name.display(), file.display())).collect()
    }

    fn dynlib(&self, layer: &str) -> PathBuf {
        self.root().join(layer).join("share/venv/dynlib")
    }

    /// The links of a layer on the disk, and what is read through them.
    fn read(&self, layer: &str) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.dynlib(layer)).unwrap().map(|entry| entry.unwrap());
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
            .collect()
    }
}

#[test]
fn a_library_has_a_link_for_each_name() {
    let mut made = Made::new();
    made.library("app/lib/libx.so.1.2", Some("libx.so.1"), "x");
    made.link("app/lib/libx.so", "app/lib/libx.so.1.2", Some("libx.so.1"));
    made.library("app/pkg/image.so", None, "image");
    assert_eq!(
        made.planned("app"),
        [
            "image.so -> pkg/image.so",
            "libx.so -> lib/libx.so.1.2",
            "libx.so.1 -> lib/libx.so.1.2",
            "libx.so.1.2 -> lib/libx.so.1.2"
        ]
    );
    assert!(made.planned("fw").is_empty());
}

#[test]
fn only_libraries_have_links() {
    let mut made = Made::new();
    made.object("app/pkg/_x.so", "extension", Class::Extension);
    made.object("app/bin/tool", "program", Class::Program);
    made.object("app/lib/libtext.so", "SEARCH_DIR(/lib)", |_| Class::Neither(Neither::LinkerScript));
    assert!(made.planned("app").is_empty());
}

/// As the wheel of tbb has it.
#[test]
fn the_names_of_identical_copies_lead_to_one_file() {
    let mut made = Made::new();
    for name in ["libtbb.so", "libtbb.so.12", "libtbb.so.12.20"] {
        made.library(&format!("app/lib/{name}"), Some("libtbb.so.12"), "tbb");
    }
    // The same without a SONAME, and in other folders.
    made.library("app/one/plain.so", None, "plain");
    made.library("app/two/other.so", None, "plain");
    made.library("app/two/plain.so", None, "plain");
    assert_eq!(
        made.planned("app"),
        [
            "libtbb.so -> lib/libtbb.so.12",
            "libtbb.so.12 -> lib/libtbb.so.12",
            "libtbb.so.12.20 -> lib/libtbb.so.12",
            "other.so -> one/plain.so",
            "plain.so -> one/plain.so"
        ]
    );
}

#[test]
fn a_private_copy_has_its_file_name_only() {
    let mut made = Made::new();
    made.library("app/tv.libs/libz.e05c5b49.so.1", Some("libz.so.1"), "z");
    made.link("app/tv.libs/libz.so", "app/tv.libs/libz.e05c5b49.so.1", Some("libz.so.1"));
    assert_eq!(
        made.planned("app"),
        ["libz.e05c5b49.so.1 -> tv.libs/libz.e05c5b49.so.1", "libz.so -> tv.libs/libz.e05c5b49.so.1"]
    );
}

#[test]
fn a_link_out_of_the_layer_is_linked_as_it_is() {
    let mut made = Made::new();
    made.library("rt/lib/libx.so.1", Some("libx.so.1"), "x");
    made.link("app/lib/libx.so", "rt/lib/libx.so.1", Some("libx.so.1"));
    assert_eq!(made.planned("app"), ["libx.so -> lib/libx.so", "libx.so.1 -> lib/libx.so"]);
    // And it hides nothing: it is the same file.
    assert_eq!(made.plan().unwrap().shadows, []);
}

/// As the wheel of mpich has it.
#[test]
fn a_text_that_stands_for_a_library_gives_it_a_name() {
    let mut made = Made::new();
    let script = |_| Class::Neither(Neither::LinkerScript);
    made.library("app/lib/libmpi.so.12", Some("libmpi.so.12"), "mpi");
    made.object("app/lib/libmpi.so", "INPUT(libmpi.so.12)", script);
    // Of several libraries, of none in the layer, in the place of a file, and with two meanings.
    made.object("app/lib/libtwo.so", "INPUT(libmpi.so.12 libx.so)", script);
    made.object("app/lib/libgone.so", "INPUT(libgone.so.1)", script);
    made.library("app/lib/libx.so", None, "x");
    made.object("app/other/libx.so", "INPUT(libmpi.so.12)", script);
    made.object("app/one/liby.so", "INPUT(libmpi.so.12)", script);
    made.object("app/two/liby.so", "INPUT(libx.so)", script);
    let expected = ["libmpi.so -> lib/libmpi.so.12", "libmpi.so.12 -> lib/libmpi.so.12", "libx.so -> lib/libx.so"];
    assert_eq!(made.planned("app"), expected);
    made.exclude("app", &["libmpi.so"]);
    assert_eq!(made.planned("app"), expected[1..]);
}

#[test]
fn every_name_with_several_libraries_is_told_with_all_candidates() {
    let mut made = Made::new();
    made.library("app/tv/image.so", None, "one");
    made.library("app/other/image.so", None, "two");
    made.library("app/third/image.so", None, "two");
    made.library("app/a/libhwloc.so.15", Some("libhwloc.so.15"), "the one");
    made.library("app/b/libhwloc.so.15.5", Some("libhwloc.so.15"), "the other");
    made.library("rt/a/libx.so", None, "1");
    made.library("rt/b[0]/libx.so", None, "2");
    let said = made.plan().unwrap_err().to_string();
    let expected = format!(
        "{}: 3 names within a layer mean different libraries
layer `app`:
  image.so
    other/image.so (the same as third/image.so)
    tv/image.so
  libhwloc.so.15
    a/libhwloc.so.15
    b/libhwloc.so.15.5
layer `rt`:
  libx.so
    a/libx.so
    b[0]/libx.so
exclude all but one of each in the layer's dynlib_exclude: dynlib_exclude = [\"tv/image.so\"]",
        made.stack.file.display()
    );
    assert_eq!(said, expected);
}

#[test]
fn an_exclude_decides_between_two() {
    let mut made = Made::new();
    made.library("app/tv/image.so", None, "one");
    made.library("app/oth[e]r/image.so", None, "two");
    let LinkError::Ambiguous(ambiguous) = made.plan().unwrap_err() else { panic!() };
    // As the message proposes.
    assert_eq!(ambiguous.to_string().lines().last().unwrap().split('"').nth(1), Some("tv/image.so"));
    made.exclude("app", &["tv/image.so"]);
    assert_eq!(made.planned("app"), ["image.so -> oth[e]r/image.so"]);
    made.exclude("app", &["oth[[]e]r/image.so"]);
    assert_eq!(made.planned("app"), ["image.so -> tv/image.so"]);
    made.exclude("app", &["*"]);
    assert!(made.planned("app").is_empty());
}

#[test]
fn a_link_to_an_excluded_file_is_excluded() {
    let mut made = Made::new();
    made.library("app/lib/libx.so.1", Some("libx.so.1"), "x");
    made.link("app/lib/libx.so", "app/lib/libx.so.1", Some("libx.so.1"));
    made.exclude("app", &["libx.so.1"]);
    assert!(made.planned("app").is_empty());
    made.exclude("app", &["libx.so"]);
    assert_eq!(made.planned("app"), ["libx.so.1 -> lib/libx.so.1"]);
}

#[test]
fn what_is_hidden_in_a_layer_below_is_told_where_it_differs() {
    let mut made = Made::new();
    for (layer, content) in [("app", "same"), ("fw", "same"), ("rt", "diff")] {
        made.library(&format!("{layer}/lib/libx.so.1"), Some("libx.so.1"), content);
    }
    made.library("fw/lib/libfw.so", None, "fw");
    let shadows = made.plan().unwrap().shadows;
    let file = || PathBuf::from("lib/libx.so.1");
    let shadow = |found, seen_from: &[usize]| Shadow {
        name: "libx.so.1".into(),
        found: (found, file()),
        hidden: (2, file()),
        seen_from: seen_from.into(),
    };
    assert_eq!(shadows, [shadow(0, &[0]), shadow(1, &[1])]);
}

#[test]
fn links_lead_to_the_libraries_wherever_the_stack_is() {
    let mut made = Made::new();
    made.library("app/lib/libx.so.1.2", Some("libx.so.1"), "x");
    made.library("rt/lib/python3.11/site-packages/p/libp.so", None, "p");
    made.apply();
    let x = |name: &str| (name.to_string(), "x".to_string());
    assert_eq!(made.read("app"), BTreeMap::from([x("libx.so.1"), x("libx.so.1.2")]));
    assert!(made.read("fw").is_empty());
    let moved = made.root().join("moved");
    fs::create_dir(&moved).unwrap();
    for layer in LAYERS {
        fs::rename(made.root().join(layer), moved.join(layer)).unwrap();
    }
    assert_eq!(fs::read_to_string(moved.join("rt/share/venv/dynlib/libp.so")).unwrap(), "p");
}

/// Everything below a folder, and when it was changed last.
fn times(folder: &Path) -> BTreeMap<PathBuf, std::time::SystemTime> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.path().into(), entry.path().symlink_metadata().unwrap().modified().unwrap())).collect()
}

#[test]
fn a_second_run_touches_nothing() {
    let mut made = Made::new();
    made.library("app/lib/libx.so.1", Some("libx.so.1"), "x");
    made.apply();
    let before = times(&made.root());
    let changes = made.changes().unwrap();
    assert!(changes.0.iter().all(Change::is_none));
    changes.apply().unwrap();
    assert_eq!(times(&made.root()), before);
}

#[test]
fn stale_links_go_and_links_that_led_elsewhere_are_mended() {
    let mut made = Made::new();
    made.library("app/lib/libx.so", None, "x");
    made.library("app/lib/liby.so", None, "y");
    // As venvstacks leaves them, which names extension modules and dangling links, too.
    let dynlib = made.dynlib("app");
    fs::create_dir_all(&dynlib).unwrap();
    for (name, says) in
        [("libx.so", "../../../lib/libx.so"), ("liby.so", "/nowhere"), ("MPI.so", "../../../lib/MPI.so")]
    {
        std::os::unix::fs::symlink(says, dynlib.join(name)).unwrap();
    }
    let changes = made.changes().unwrap();
    let links = changes.0[0].links.as_ref().unwrap();
    let names = |names: &[&str]| names.iter().map(OsString::from).collect::<Vec<_>>();
    assert_eq!((&links.kept, &links.changed), (&names(&["libx.so"]), &names(&["liby.so"])));
    assert_eq!((&links.removed, &links.added), (&names(&["MPI.so"]), &names(&[])));
    changes.apply().unwrap();
    assert_eq!(made.read("app"), BTreeMap::from([("libx.so".into(), "x".into()), ("liby.so".into(), "y".into())]));
}

#[test]
fn leftovers_of_an_interrupted_run_are_cleared_away() {
    let made = Made::new();
    made.apply();
    let venv = made.root().join("app/share/venv");
    fs::create_dir(venv.join(".dynlib-new")).unwrap();
    std::os::unix::fs::symlink("x", venv.join(".dynlib-new/x")).unwrap();
    fs::write(made.root().join("app/bin/.dlcast-python"), "half of it").unwrap();
    std::os::unix::fs::symlink("x", made.root().join("app/bin/.dlcast-new")).unwrap();
    fs::write(made.root().join("app/.dlcast-pyvenv.cfg"), "half of it").unwrap();
    made.apply();
    let is_hidden = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(".d");
    assert_eq!(times(&made.root().join("app")).keys().filter(|path| is_hidden(path)).count(), 0);
}

#[test]
fn what_is_no_link_is_left_alone() {
    let made = Made::new();
    let dynlib = made.dynlib("fw");
    fs::create_dir_all(&dynlib).unwrap();
    fs::write(dynlib.join("mine"), "").unwrap();
    let said = made.changes().unwrap_err().to_string();
    assert!(
        said.contains("layer `fw`") && said.contains("dynlib/mine: not a link") && said.contains("move it away"),
        "{said}"
    );
    fs::remove_dir_all(&dynlib).unwrap();
    fs::write(&dynlib, "").unwrap();
    assert!(made.changes().unwrap_err().to_string().contains("dynlib: not a link"));
    // A folder that is somewhere else becomes one of the layer, and the other one stays.
    fs::remove_file(&dynlib).unwrap();
    fs::create_dir(made.root().join("other")).unwrap();
    std::os::unix::fs::symlink("x", made.root().join("other/x")).unwrap();
    std::os::unix::fs::symlink("../../../other", &dynlib).unwrap();
    made.apply();
    assert!(!dynlib.is_symlink() && made.root().join("other/x").is_symlink());
    assert!(made.changes().unwrap().0.iter().all(Change::is_none));
    // Relative links would not lead back to the layer.
    fs::rename(made.root().join("rt/share"), made.root().join("share")).unwrap();
    std::os::unix::fs::symlink("../share", made.root().join("rt/share")).unwrap();
    let said = made.changes().unwrap_err().to_string();
    assert!(said.contains("layer `rt`") && said.contains("rt/share: leads to"), "{said}");
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let made = Made::new();
    let changes = made.changes().unwrap();
    let other = fs::File::open(made.root().join("fw")).unwrap();
    other.lock().unwrap();
    let said = changes.apply().unwrap_err().to_string();
    assert!(said.contains("layer `fw`") && said.contains("another `dlcast layers link` is at work"), "{said}");
    assert!(!made.dynlib("app").exists());
    drop(other);
    changes.apply().unwrap();
}

#[test]
fn of_a_macos_layer_the_wrapper_is_made_and_links_stay() {
    let mut made = Made::new();
    made.stack.layers[0].platform = Platform::MacOs;
    let dynlib = made.dynlib("app");
    fs::create_dir_all(&dynlib).unwrap();
    std::os::unix::fs::symlink("../../../lib/libx.dylib", dynlib.join("libx.dylib")).unwrap();
    let changes = made.changes().unwrap();
    assert_eq!(changes.0[0].links, None);
    changes.apply().unwrap();
    assert!(dynlib.join("libx.dylib").is_symlink());
    let text = fs::read_to_string(made.root().join("app/bin/python")).unwrap();
    assert!(text.contains("export DYLD_LIBRARY_PATH="));
}
