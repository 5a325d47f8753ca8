//! The wrappers that C++ templates make: signatures, results, and what is thrown.

use std::ffi::{c_char, c_void};

use dlcast_plugin::{Portable, Returned, Signature, Typed, abi};
use libloading::os::unix::{Library, RTLD_NOW};

use crate::compiler::{Build, FAMILIES, source};
use crate::plugin::{Plugin, run, run_with, symbols, text, typed};
use crate::{ONLY, several};

#[test]
fn what_is_thrown_becomes_the_message() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let path = Build::new(family, "c++17").flags(["-O1"]).library(folder.path(), "thrown", &several());
        let plugin = Plugin::open(&path);
        let thrown = typed::<(i32,), bool>(&plugin, "thrown");
        let message = |what: i32| thrown.call((what,)).unwrap_err().message;
        assert_eq!(thrown.call((-1,)), Ok(true));
        assert_eq!(message(0), "std::runtime_error: n is zero");
        assert_eq!(message(1), "int: 42");
        assert_eq!(message(2), "char const*: a literal");
        assert!(
            message(3).starts_with("std::")
                && message(3).ends_with("string<char, std::char_traits<char>, std::allocator<char> >: a string")
        );
        assert_eq!(message(4), "(anonymous namespace)::thrower");
        assert_eq!(
            message(5),
            "std::logic_error: grid; caused by std::runtime_error: row 3; caused by std::out_of_range: cell 7"
        );
        assert_eq!(message(6).len(), abi::MESSAGE_LEAST - 1);
        let viewed = plugin.callbacks()[0].function.unwrap();
        assert_eq!(run(viewed, "grün".as_bytes(), 1).unwrap_err(), "std::runtime_error: grün");
        // The room ends inside the u umlaut.
        assert_eq!(run_with(viewed, "grün".as_bytes(), 1, 24).unwrap_err(), "std::runtime_error: gr");
        assert_eq!(run_with(viewed, b"x", 1, 1).unwrap_err(), "");
        assert_eq!(run(viewed, b"x", 0), Ok(()));
    }
}

#[test]
fn without_exceptions_a_guard_only_calls() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let build = Build::new(family, "c++17").flags(["-fno-exceptions", "-fno-rtti"]);
        let path = build.library(folder.path(), "quiet", &several());
        assert_eq!(symbols(&path), ONLY);
        let plugin = Plugin::open(&path);
        assert_eq!(plugin.names().len(), 10);
        assert_eq!(typed::<(i32,), bool>(&plugin, "thrown").call((0,)), Ok(false));
        assert_eq!(run(plugin.callbacks()[0].function.unwrap(), b"", 1), Ok(()));
    }
}

#[test]
fn rust_and_cpp_derive_equal_signatures() {
    type Pointers = (*mut f64, *const f64, *const *mut f32, *mut *const f32);
    struct Grid;
    impl dlcast_plugin::Pointee for Grid {}
    let f = <f64 as Portable>::NAME;
    assert_eq!((f.as_str(), <f64 as Returned>::SUFFIX.as_str()), ("f64", "->f64"));
    let mut wanted = [
        ("nothing", Signature::<(), ()>::TEXT),
        ("integers", Signature::<(i8, i16, i32), i64>::TEXT),
        ("naturals", Signature::<(u8, u16, u32), u64>::TEXT),
        ("reals", Signature::<(f32, f64), f64>::TEXT),
        ("longs", Signature::<(i64, u64, u64, i32, u32, i16, u16), i64>::TEXT),
        ("truth", Signature::<(bool, *const bool), bool>::TEXT),
        ("sizes", Signature::<(isize, *const usize), usize>::TEXT),
        ("characters", Signature::<(i8, u8, *const c_char), c_char>::TEXT),
        ("pointers", Signature::<Pointers, *const f64>::TEXT),
        ("unknown", Signature::<(*const c_void, *mut Grid, *const Grid, *mut Grid, *mut Grid), *mut Grid>::TEXT),
        ("eight", Signature::<(f64, f64, f64, f64, f64, f64, f64, *const *const f64), ()>::TEXT),
    ];
    wanted.sort_unstable_by_key(|&(name, _)| name);
    let wanted: Vec<_> = wanted.iter().map(|(name, text)| (*name, text.as_str())).collect();
    for family in FAMILIES {
        for standard in ["c++17", "c++20"] {
            let folder = tempfile::tempdir().unwrap();
            let path = Build::new(family, standard).library(folder.path(), "signatures", &[source("signatures.cpp")]);
            assert_eq!(Plugin::open(&path).names(), wanted, "{family:?} {standard}");
        }
    }
}

#[test]
fn code_that_registers_nothing_needs_no_name() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let path = Build::new(family, "c++17").library(folder.path(), "program", &[source("program.cpp")]);
        assert!(symbols(&path).is_empty());
        // SAFETY: the library has no constructors of its own.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW) }.unwrap();
        // SAFETY: these are the types of the functions in program.cpp.
        let (guarded_half, guarded_setup) = unsafe {
            (
                *library.get::<unsafe extern "C" fn(*mut *const c_char) -> abi::Function>(b"guarded_half\0").unwrap(),
                *library.get::<unsafe extern "C" fn() -> abi::Callback>(b"guarded_setup\0").unwrap(),
            )
        };
        let mut signature = std::ptr::null();
        // SAFETY: there is a place for the signature.
        let half = unsafe { guarded_half(&raw mut signature) };
        // SAFETY: the signature came with the function.
        let half = unsafe { Typed::<(f64,), f64>::new(half, text(signature)) }.unwrap();
        assert_eq!(half.call((3.0,)), Ok(1.5));
        // SAFETY: it only returns a pointer.
        let setup = unsafe { guarded_setup() };
        assert_eq!(run(setup, b"", 0), Ok(()));
    }
}
