//! Spaces, letters of other scripts, a relative path and a long one: a path is what the file system takes.

use std::fs;

use dlcast::CallError;
use mpi_tests::{Job, NOW, process, series, text};

fn main() {
    let job = Job::start();
    let session = job.attach();
    job.once(|| series(&job.scratch, 4));
    let long = format!("{}/{}", "d".repeat(200), "e".repeat(200));
    let places = ["with space/a b.so", "größe/библиотека.so", &format!("{long}/deep.so"), "relative.so"];
    job.once(|| {
        for (number, place) in places.iter().enumerate() {
            let path = job.scratch.join(place);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("the folder is writable");
            fs::rename(job.scratch.join(format!("libunit{number:04}.so")), path).expect("the folder is writable");
        }
    });
    std::env::set_current_dir(&job.scratch).expect("the folder exists");
    for (number, place) in places.iter().enumerate() {
        let path = if number == 3 { format!("./{place}") } else { text(&job.scratch.join(place)).to_owned() };
        if job.rank == number as i32 % job.size {
            session.load_global(&path, NOW).unwrap_or_else(|error| panic!("{path}: {error}"));
        } else {
            // The other ranks stand elsewhere: the path is the caller's.
            std::env::set_current_dir("/").expect("the folder exists");
            session.sync().expect("one round");
            std::env::set_current_dir(&job.scratch).expect("the folder exists");
        }
        assert_eq!(process::constructed(&format!("unit{number:04}")), 1, "{path}");
    }
    // No file has such a name: refused or undone, but never a wait for others.
    let error = session.load_global("lib\0apple.so", NOW).expect_err("no path has a zero byte");
    assert!(matches!(error, CallError::Invalid(_) | CallError::Undone(_)), "{error}");
    job.done();
}
