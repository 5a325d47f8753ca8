//! Two different libraries with one SONAME and one file name are two libraries, whoever names which.

use dlcast::Library;
use mpi_tests::{Fixture, Job, NOW, assert_answers, process, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    let paths = ["apple", "pear"].map(|name| {
        let built = job.build(&Fixture::new("counted.c", name).flag("-Wl,-soname,libsame.so"));
        let path = job.scratch.join(name).join("libsame.so");
        job.once(|| {
            std::fs::create_dir(job.scratch.join(name)).expect("the folder is writable");
            std::fs::rename(built, &path).expect("the folder is writable");
        });
        path
    });
    let load = |turn: i32| -> (Library, &str) {
        let number = ((job.rank + turn) % 2) as usize;
        (session.load_global(text(&paths[number]), NOW).expect("every rank can open both"), ["apple", "pear"][number])
    };
    for (library, name) in [load(0), load(1)] {
        assert_answers(&library, name);
    }
    assert_eq!(process::times_mapped("libsame.so"), 2);
    assert_eq!((process::constructed("apple"), process::constructed("pear")), (1, 1));
    job.done();
}
