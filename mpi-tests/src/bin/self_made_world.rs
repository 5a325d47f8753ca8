//! dlcast starts MPI itself where nobody has, and ends it with the program.

use dlcast::{OpenFlags, Options, Session};
use mpi_tests::{Fixture, assert_answers, process, text};

fn main() {
    let session = Session::world(Options::default()).expect("dlcast starts MPI");
    // The ranks share no folder that MPI could have told them of: each builds its own copy, and they are equal.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let apple = Fixture::new("counted.c", "apple").build(folder.path());
    let library = session.load_global(text(&apple), OpenFlags::NOW).expect("every rank can open it");
    assert_answers(&library, "apple");
    assert_eq!((process::times_mapped("libapple.so"), process::constructed("apple")), (1, 1));
    println!("rank {}: ok", session.rank());
}
