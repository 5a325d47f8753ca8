//! Rank 0 generates C source while the program runs, 1 MiB of it, and sends it as the payload of a callback: every rank compiles
//! and opens it, and its functions are tasks, under the same ids everywhere, beside those that were there before.

use std::fmt::Write;

use dlcast::{CallError, CodeRef, Session};
use mpi_tests::{Fixture, Job, ids, text};

const MIB: usize = 1 << 20;

/// Coefficients of the polynomials that are generated: exact in binary and in the text.
struct Generator {
    polynomials: Vec<Vec<f64>>,
    source: String,
}

impl Generator {
    /// As many polynomials as fill `size` bytes of source, to the byte.
    fn fill(prefix: &str, size: usize) -> Generator {
        let mut random = fastrand::Rng::with_seed(size as u64);
        let mut made = Generator { polynomials: Vec::new(), source: "#include <stddef.h>\n".into() };
        made.source.push_str("typedef struct { const char *name, *signature; void (*function)(void); } task;\n");
        let mut table = String::new();
        let mut next = made.function(prefix, &mut random);
        while made.source.len() + next.1.len() + table.len() + 200 < size {
            let number = made.polynomials.len();
            made.source.push_str(&next.1);
            writeln!(table, "  {{\"{prefix}{number}\", \"c:double(double)\", (void (*)(void)){prefix}{number}}},")
                .unwrap();
            made.polynomials.push(next.0);
            next = made.function(prefix, &mut random);
        }
        let count = made.polynomials.len();
        write!(
            made.source,
            "const task generated_tasks[] = {{\n{table}}};\nconst size_t generated_count = {count};\n//"
        )
        .unwrap();
        let left = size - made.source.len();
        made.source.extend(std::iter::repeat_n('.', left));
        made
    }

    /// The next polynomial and its source: Horner, a line a coefficient.
    fn function(&self, prefix: &str, random: &mut fastrand::Rng) -> (Vec<f64>, String) {
        let coefficients: Vec<f64> = (0..40).map(|_| f64::from(random.i32(-4096..4096)) / 1024.0).collect();
        let mut source = format!("static double {prefix}{}(double x) {{\n  double y = 0;\n", self.polynomials.len());
        for coefficient in &coefficients {
            writeln!(source, "  y = y * x + {coefficient:.10};").unwrap();
        }
        source.push_str("  return y;\n}\n");
        (coefficients, source)
    }
}

fn main() {
    let job = Job::start();
    let session = job.attach();
    let compiler = job.build(&Fixture::sample("generated-code/compiler.c", "compiler"));
    let compile = CodeRef::symbol(text(&compiler), "compile_and_add", "").expect("it was just built");
    // Every rank could generate it; only the first sends it.
    let large = Generator::fill("large", MIB);
    assert_eq!(large.source.len(), MIB);
    assert!(large.polynomials.len() >= 500, "{} functions", large.polynomials.len());
    let record = |source: &str| {
        if job.rank == 0 {
            session.record_callback(&compile, source.as_bytes(), 0).expect("recording is local");
        }
        session.sync().expect("the ranks meet")
    };
    let report = record(&large.source);
    assert!(report.undone.is_empty(), "{:?}", report.undone);
    check(&session, "large", &large);
    let before = ids(&session);
    job.assert_same("ids", &before);
    job.say(&format!("{} functions of {} bytes of source", large.polynomials.len(), large.source.len()));

    // A second one: the table grows, and what was there stays where it was.
    let small = Generator::fill("small", 10_000);
    let report = record(&small.source);
    assert!(report.undone.is_empty(), "{:?}", report.undone);
    check(&session, "small", &small);
    check(&session, "large", &large);
    let after = ids(&session);
    job.assert_same("ids", &after);
    let tasks = |ids: &str| ids.split_once(':').map(|(_, tasks)| tasks.trim_end().to_owned()).expect("one plugin");
    assert!(tasks(&after).starts_with(&tasks(&before)), "ids do not move");

    // What does not compile is an error of the call, and adds nothing.
    let report = record("this is not C;\n");
    let [undone] = &report.undone[..] else { panic!("{report:?}") };
    assert!(undone.error.contains("the compiler ended with status 1: "), "{}", undone.error);
    assert!(undone.error.contains("unknown type name"), "what the compiler said: {}", undone.error);
    assert_eq!(ids(&session), after);
    let error = session.register_global(&compile, b"int nothing;\n", 0).expect_err("it has no tasks");
    let CallError::Undone(undone) = &error else { panic!("{error}") };
    assert!(undone.to_string().contains("the source defines no generated_tasks"), "{undone}");
    job.assert_same("the verdict", &undone.to_string());
    assert_eq!(ids(&session), after);
    check(&session, "large", &large);
    job.done();
}

/// Calls every generated function by its name; the result is that of the same arithmetic here.
fn check(session: &Session, prefix: &str, generated: &Generator) {
    let tasks = session.tasks();
    for (number, coefficients) in generated.polynomials.iter().enumerate() {
        let task = tasks.find("compiler", &format!("{prefix}{number}")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(task.entry.signature, "c:double(double)");
        // SAFETY: what the signature says, and what the source defines.
        let function: extern "C" fn(f64) -> f64 = unsafe { std::mem::transmute(task.entry.function.as_ptr()) };
        let expected = coefficients.iter().fold(0.0, |y, coefficient| y * 0.75 + coefficient);
        assert_eq!(function(0.75), expected, "{prefix}{number}");
    }
}
