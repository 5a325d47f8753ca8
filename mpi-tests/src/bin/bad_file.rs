//! A file that is no library, on one rank or on all: the same error everywhere, and nothing of it is to be seen.
//!
//! Arguments: the kind (see `bad::Kind`), and `one` for the last rank alone or `all`.

use std::fs;

use dlcast::{CallError, OpenFlags};
use mpi_tests::bad::Kind;
use mpi_tests::{Job, process, text};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (word, one) = (arguments.next().expect("a kind"), arguments.next().expect("`one` or `all`") == "one");
    let job = Job::start();
    let session = job.attach();
    let good = fs::read(job.library("apple")).expect("it was just built");
    job.barrier();
    job.once(|| fs::remove_file(job.scratch.join("libapple.so")).expect("the folder is writable"));
    let own_folder = job.enter_own_folder();
    job.barrier();
    // Root reads everything; the file system asks for the effective user.
    let as_nobody = word == "unreadable" && change_user(65534);
    for (turn, kind) in Kind::named(&word, &good).into_iter().enumerate() {
        let file = format!("libapple{turn}.so");
        let (place, path) = if one {
            (own_folder.join(&file), format!("/proc/self/cwd/{file}"))
        } else {
            (job.scratch.join(&file), text(&job.scratch.join(&file)).to_owned())
        };
        let written_here = one || job.rank == 0;
        if as_nobody {
            change_user(0);
        }
        if written_here && one && job.rank != job.last() {
            fs::write(&place, &good).expect("the folder is writable");
        } else if written_here {
            kind.make(&place, &good);
        }
        if as_nobody {
            change_user(65534);
        }
        job.barrier();

        let error = session.load_global(&path, OpenFlags::NOW | OpenFlags::GLOBAL).expect_err("one file is bad");
        let CallError::Undone(undone) = &error else { panic!("{kind:?}: {error}") };
        let mut failing: Vec<u32> = undone.failures.iter().flat_map(|failure| failure.ranks.clone()).collect();
        failing.sort_unstable();
        failing.dedup();
        let expected: Vec<u32> = if one { vec![job.last() as u32] } else { (0..job.size as u32).collect() };
        if let Kind::Flipped(_) = kind {
            // Both files are libraries, as far as anybody can tell: which of them is the wrong one?
            assert!(undone.to_string().matches("blake3 ").count() >= 2, "both identities: {undone}");
        } else {
            assert_eq!(failing, expected, "{kind:?}: {undone}");
            job.assert_same("the error", &undone.to_string());
        }
        job.assert_untouched("apple");
        assert!(job.fixtures_mapped().is_empty(), "{kind:?}: {:?}", job.fixtures_mapped());
        // Opening a FIFO, even to look, waits for a writer.
        assert!(kind == Kind::Fifo || !process::is_open(&place), "{kind:?}");
        if job.rank == 0 {
            job.say(&format!("{kind:?}: {undone}"));
        }
    }
    if as_nobody {
        change_user(0);
    }
    job.done();
}

/// Changes the effective user, if the program runs as root; says whether it does.
fn change_user(user: libc::uid_t) -> bool {
    // SAFETY: both calls take and return numbers.
    unsafe { libc::getuid() == 0 && libc::seteuid(user) == 0 }
}
