//! A `CodeRef` made on the last rank (at most 3) is called on every rank: a static function, a hidden one, a template
//! instance, a lambda, an exported one by symbol, one of the main program. The library is on no other rank until then.

use dlcast::{CodeRef, wire};
use mpi::traits::*;
use mpi_tests::{Fixture, Job, NOW, process, text};

/// Not exported, and of the main program.
extern "C" fn of_main(x: i32) -> i32 {
    x + 6
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let path = job.build(&Fixture::new("code.cpp", "code"));
    let maker = job.last().min(3);
    let mut references: Vec<Vec<u8>> = Vec::new();
    if job.rank == maker {
        process::open_globally(&path);
        let here = |address| {
            wire::encode(&CodeRef::of(address, "c:int(int)").expect("it is in a file").with_payload(*b"with it"))
        };
        for kind in [c"static", c"hidden", c"template", c"lambda"] {
            references.push(here(process::function("code_function", kind)));
        }
        let symbol = CodeRef::symbol(text(&path), "code_exported", "c:int(int)").expect("it is there");
        references.push(wire::encode(&symbol.with_payload(*b"with it")));
        references.push(here(of_main as *const () as *const _));
    }
    for plus in [101, 102, 103, 104, 105, 6] {
        let mut length = references.first().map_or(0, Vec::len);
        let root = job.world.process_at_rank(maker);
        root.broadcast_into(&mut length);
        let mut bytes = if job.rank == maker { references.remove(0) } else { vec![0; length] };
        root.broadcast_into(&mut bytes[..]);
        let code: CodeRef = wire::decode(&bytes, job.size as u32).expect("it was sent");
        let found = session.resolve(&code, Some("c:int(int)")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&found.payload[..], b"with it", "{code}");
        let function = found.function.expect("it is a function");
        // SAFETY: what the signature says.
        let function: extern "C" fn(i32) -> i32 = unsafe { std::mem::transmute(function.as_ptr()) };
        assert_eq!(function(job.rank), job.rank + plus, "{code}");
        let error = session.resolve(&code, Some("c:double(double)")).expect_err("another signature");
        assert!(error.to_string().contains("expected was `c:double(double)`"), "{error}");
    }
    // What was opened on the fly comes along with the next round.
    let report = session.sync().expect("the ranks meet");
    assert!(report.undone.is_empty(), "{:?}", report.undone);
    assert_eq!((process::times_mapped("libcode.so"), process::constructed("code")), (1, 1));
    if job.size > 1 {
        assert_eq!(report.committed.len(), 1, "{:?}", report.committed);
    }
    session.load_global(text(&path), NOW).expect("it is there");

    let heap = Box::new([0xc3_u8; 16]);
    let error = CodeRef::of(heap.as_ptr().cast(), "").expect_err("the heap is no file").to_string();
    assert!(error.contains("register a callback of a library with the code"), "{error}");
    job.done();
}
