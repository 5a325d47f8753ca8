//! Both solvers, opened side by side as a host opens plugins: the same tasks, the same bits, the same errors.

use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

use dlcast_plugin::{Arguments, Returned, Typed, abi};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// An open solver; never closed.
struct Solver {
    table: &'static abi::Table,
}

impl Solver {
    fn open(path: &Path) -> Self {
        // SAFETY: the plugins under test; opening them runs registrations.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.unwrap();
        // SAFETY: this is the symbol's type, and a plugin's table lives as long as the plugin.
        let table = unsafe { library.get::<abi::TableFunction>(abi::TABLE_SYMBOL).unwrap()().as_ref() };
        std::mem::forget(library);
        Solver { table: table.expect("the plugin has a table") }
    }

    /// Names, signatures and functions.
    fn tasks(&self) -> Vec<(&'static str, &'static str, abi::Function)> {
        let mut found = Vec::new();
        let mut list = self.table.tasks;
        // SAFETY: a plugin's chain of segments, and entries up to the count.
        while let Some(segment) = unsafe { list.as_ref() } {
            for at in 0..segment.count.load(Ordering::Acquire) {
                // SAFETY: as above.
                let task = unsafe { *segment.entries.cast::<abi::Task>().add(at) };
                found.push((text(task.name), text(task.signature), task.function.unwrap()));
            }
            list = segment.next.load(Ordering::Acquire);
        }
        found.sort_by_key(|(name, ..)| *name);
        found
    }

    fn task<A: Arguments, R: Returned>(&self, name: &str) -> Typed<A, R> {
        let (_, signature, function) = self.tasks().into_iter().find(|(other, ..)| *other == name).unwrap();
        // SAFETY: the signature came with the function, and the tests call it with blocks of the size they say.
        unsafe { Typed::new(function, signature) }.unwrap()
    }

    fn init(&self, block: &mut Block, first: u64, height: u64) -> Result<(), String> {
        let task = self.task::<(*mut f64, u64, u64, u64, u64), ()>("init");
        said(task.call((block.cells.as_mut_ptr(), block.rows, block.columns, first, height)))
    }

    fn step(&self, from: &Block, to: &mut Block, rate: f64) -> Result<f64, String> {
        let task = self.task::<(*const f64, *mut f64, u64, u64, f64), f64>("step");
        said(task.call((from.cells.as_ptr(), to.cells.as_mut_ptr(), from.rows, from.columns, rate)))
    }

    fn total(&self, block: &Block) -> Result<f64, String> {
        said(self.task::<(*const f64, u64, u64), f64>("total").call((block.cells.as_ptr(), block.rows, block.columns)))
    }
}

/// A message without the name of the exception's type, which only C++ has.
fn said<T>(result: Result<T, dlcast_plugin::TaskError>) -> Result<T, String> {
    result.map_err(|error| error.message.trim_start_matches("std::invalid_argument: ").to_owned())
}

fn text(text: *const c_char) -> &'static str {
    // SAFETY: names and signatures of a plugin end in a NUL and live as long as it.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

/// Rows with a halo row on either side.
#[derive(Clone)]
struct Block {
    rows: u64,
    columns: u64,
    cells: Vec<f64>,
}

impl Block {
    fn new(rows: u64, columns: u64) -> Self {
        Block { rows, columns, cells: vec![0.0; ((rows + 2) * columns) as usize] }
    }

    fn row(&mut self, row: u64) -> &mut [f64] {
        &mut self.cells[(row * self.columns) as usize..][..self.columns as usize]
    }

    /// Fills a halo row with what is next to it in the domain.
    fn halo(&mut self, row: u64, next: &[f64]) {
        self.row(row).copy_from_slice(next);
    }

    fn bits(&self) -> Vec<u64> {
        self.cells.iter().map(|cell| cell.to_bits()).collect()
    }
}

/// The library of this very crate, which cargo builds beside its tests.
fn rust() -> Solver {
    let tests = std::env::current_exe().unwrap();
    Solver::open(&tests.with_file_name("libheat_rust.so"))
}

/// The twin, compiled with `flags`; the folder goes with the test, the mapping stays.
fn cpp(flags: &[&str]) -> Solver {
    let folder = tempfile::tempdir().unwrap();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let library = folder.path().join("libheat_cpp.so");
    let status = Command::new("c++")
        .args(["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffp-contract=off", "-fPIC", "-shared"])
        .args(flags)
        .arg("-I")
        .arg(root.join("include"))
        .arg(root.join("plugins/heat-cpp/heat.cpp"))
        .arg("-o")
        .arg(&library)
        .status()
        .unwrap_or_else(|error| panic!("cannot run c++: {error}; apt-get install g++"));
    assert!(status.success(), "the twin does not compile");
    Solver::open(&library)
}

const HEIGHT: u64 = 45;
const WIDTH: u64 = 77;
const STEPS: usize = 50;
const RATE: f64 = 0.23;

/// The whole domain after 50 steps, and the largest change in each.
fn whole(solver: &Solver) -> (Block, Vec<u64>) {
    let mut from = Block::new(HEIGHT, WIDTH);
    solver.init(&mut from, 0, HEIGHT).unwrap();
    let mut changes = Vec::new();
    for _ in 0..STEPS {
        let (top, bottom) = (from.row(1).to_vec(), from.row(HEIGHT).to_vec());
        from.halo(0, &top);
        from.halo(HEIGHT + 1, &bottom);
        let mut to = from.clone();
        changes.push(solver.step(&from, &mut to, RATE).unwrap().to_bits());
        from = to;
    }
    (from, changes)
}

#[test]
fn the_twins_have_the_same_tasks_and_other_names() {
    let (rust, cpp) = (rust(), cpp(&[]));
    assert_eq!((text(rust.table.name), text(cpp.table.name)), ("heat_rust", "heat_cpp"));
    assert_eq!(text(rust.table.version), text(cpp.table.version));
    let names = |solver: &Solver| solver.tasks().iter().map(|task| (task.0, task.1)).collect::<Vec<_>>();
    assert_eq!(names(&rust), names(&cpp));
    assert_eq!(
        names(&rust),
        [
            ("init", "(*mut f64,u64,u64,u64,u64)"),
            ("step", "(*const f64,*mut f64,u64,u64,f64)->f64"),
            ("total", "(*const f64,u64,u64)->f64"),
        ]
    );
}

#[test]
fn fifty_steps_of_the_twins_are_the_same_to_the_last_bit() {
    let rust = rust();
    let (expected, changes) = whole(&rust);
    let heat = rust.total(&expected).unwrap();
    assert!(heat > 100.0 && f64::from_bits(changes[0]) > 0.1 && f64::from_bits(changes[STEPS - 1]) < 0.1);
    for flags in [&["-O0"][..], &["-O3"], &["-O3", "-march=native"]] {
        let cpp = cpp(flags);
        let (found, found_changes) = whole(&cpp);
        assert_eq!(found.bits(), expected.bits(), "{flags:?}");
        assert_eq!(found_changes, changes, "{flags:?}");
        assert_eq!(cpp.total(&found).unwrap().to_bits(), heat.to_bits(), "{flags:?}");
    }
}

#[test]
fn blocks_of_both_twins_side_by_side_are_the_whole_domain() {
    let (rust, cpp) = (rust(), cpp(&["-O2"]));
    let (expected, _) = whole(&rust);
    // Uneven parts, one of a single row: each with the solver that computes it.
    let parts = [(&rust, 0, 20), (&cpp, 20, 1), (&rust, 21, 7), (&cpp, 28, 17)];
    let mut blocks = parts.map(|(solver, first, rows)| {
        let mut block = Block::new(rows, WIDTH);
        solver.init(&mut block, first, HEIGHT).unwrap();
        block
    });
    for _ in 0..STEPS {
        let edges = blocks.clone().map(|mut block| (block.row(1).to_vec(), block.row(block.rows).to_vec()));
        for (at, block) in blocks.iter_mut().enumerate() {
            let end = block.rows + 1;
            block.halo(0, if at == 0 { &edges[at].0 } else { &edges[at - 1].1 });
            block.halo(end, edges.get(at + 1).map_or(&edges[at].1, |below| &below.0));
            let from = block.clone();
            parts[at].0.step(&from, block, RATE).unwrap();
        }
    }
    for ((_, first, rows), block) in parts.iter().zip(&mut blocks) {
        for row in 0..*rows {
            assert_eq!(block.row(row + 1), expected.clone().row(first + row + 1), "row {}", first + row);
        }
    }
}

#[test]
fn the_twins_refuse_the_same_with_the_same_words() {
    let messages = [rust(), cpp(&[])].map(|solver| {
        let mut block = Block::new(3, 4);
        let good = block.clone();
        let sized = |rows, columns| {
            let mut bad = Block { rows, columns, cells: vec![0.0; 1] };
            [solver.total(&bad).unwrap_err(), solver.init(&mut bad, 0, 9).unwrap_err()]
        };
        let sizes = [(0, 4), (3, 0), (u64::MAX, 1), (1, u64::MAX), (1 << 33, 1 << 33)];
        let mut said: Vec<String> = sizes.into_iter().flat_map(|(rows, columns)| sized(rows, columns)).collect();
        said.extend([(1, 3), (u64::MAX, 9)].map(|(first, height)| solver.init(&mut block, first, height).unwrap_err()));
        said.extend([0.0, -1.0, 0.3].map(|rate| solver.step(&good, &mut block, rate).unwrap_err()));
        assert!(solver.step(&good, &mut block, f64::NAN).is_err());
        let step = solver.task::<(*const f64, *mut f64, u64, u64, f64), f64>("step");
        let place = block.cells.as_mut_ptr();
        let null = std::ptr::null_mut();
        for (from, to) in [(place, place), (null, place), (place, null), (null, null)] {
            said.push(self::said(step.call((from, to, 3, 4, 0.1))).unwrap_err());
        }
        said
    });
    assert_eq!(messages[0], messages[1]);
    assert_eq!(messages[0][0], "a block of 0 rows of 4 cells is empty");
    assert_eq!(messages[0].last().unwrap(), "the block is a null pointer");
}
