use std::cell::RefCell;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::*;

/// What libraries look like that call back: HOOK is the address of the function to call.
const CONSTRUCTOR: &str = "__attribute__((constructor)) static void c(void) { HOOK(); }";
const DESTRUCTOR: &str = "__attribute__((destructor)) static void d(void) { HOOK(); }";
const OUTER: &str = "#include <dlfcn.h>
static void *inner;
__attribute__((constructor)) static void c(void) { inner = dlopen(INNER, RTLD_NOW); HOOK(); }
__attribute__((destructor)) static void d(void) { dlclose(inner); }";
const PLAIN: &str = "void lazy(void (*back)(void)) { back(); }
void through(void (*back)(void)) { lazy(back); }
extern _Thread_local int local; _Thread_local int local = 7;
int touched(void (*back)(void)) { local++; back(); return local; }";
const IFUNC: &str = "static int found(void) { return 42; }
static void *resolve(void) { HOOK(); return (void *)found; }
int chosen(void) __attribute__((ifunc(\"resolve\")));
int use(void) { return chosen(); }";
const JOINED: &str = "#include <pthread.h>
static void *run(void *a) { HOOK(); return a; }
__attribute__((constructor)) static void c(void) {
  pthread_t t; pthread_create(&t, 0, run, 0); pthread_join(t, 0);
}";

thread_local! {
    /// What `hook` saw on this thread.
    static SEEN: RefCell<Vec<Inside>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn see() {
    SEEN.with_borrow_mut(|seen| seen.push(inside()));
}

fn seen() -> Vec<Inside> {
    SEEN.take()
}

const IN_LOADER: Inside = Inside { loader: true, import: false };
const NOWHERE: Inside = Inside { loader: false, import: false };

/// A folder of libraries that call `hook`.
struct Libraries {
    folder: tempfile::TempDir,
    hook: extern "C" fn(),
}

impl Libraries {
    fn new(hook: extern "C" fn()) -> Self {
        Libraries { folder: tempfile::tempdir().unwrap(), hook }
    }

    fn compile(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let (c, out) = (self.folder.path().join(format!("{name}.c")), self.folder.path().join(name));
        std::fs::write(&c, source).unwrap();
        let output = Command::new("cc")
            .args(["-fPIC", "-O1", "-fno-optimize-sibling-calls", "-shared", "-pthread", "-o"])
            .arg(&out)
            .arg(&c)
            .arg(format!("-DHOOK=((void (*)(void)){:#x}UL)", self.hook as usize))
            .args(flags)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        out
    }
}

/// A library, closed in the end: its inode is free when the folder goes, and the loader would take the next file for this one.
struct Opened(*mut c_void);

impl Opened {
    fn new(path: &Path, flags: c_int) -> Self {
        let name = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the tests' own libraries.
        let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
        assert!(!handle.is_null(), "{}", path.display());
        Opened(handle)
    }

    fn symbol(&self, name: &str) -> *const c_void {
        let name = CString::new(name).unwrap();
        // SAFETY: a handle that is open.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null());
        found
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: the handle is closed once, and nothing of the library is used any more.
        unsafe { libc::dlclose(self.0) };
    }
}

#[test]
fn a_plain_call_is_inside_nothing() {
    assert_eq!(inside(), NOWHERE);
    assert!(loader().is_some_and(|text| text.len() > 0x1000), "ld.so was not found");
    std::thread::spawn(|| assert_eq!(inside(), NOWHERE)).join().unwrap();
}

#[test]
fn a_constructor_is_inside_whoever_opens() {
    let libraries = Libraries::new(see);
    let _open = Opened::new(&libraries.compile("a.so", CONSTRUCTOR, &[]), libc::RTLD_NOW);
    assert_eq!(seen(), [IN_LOADER]);
    assert_eq!(inside(), NOWHERE);
    // On a thread of its own, and lazily.
    let path = libraries.compile("b.so", CONSTRUCTOR, &[]);
    let on_thread = std::thread::spawn(move || {
        let _open = Opened::new(&path, libc::RTLD_LAZY | libc::RTLD_GLOBAL);
        seen()
    });
    assert_eq!(on_thread.join().unwrap(), [IN_LOADER]);
}

#[test]
fn nested_constructors_are_inside() {
    let libraries = Libraries::new(see);
    let inner = libraries.compile("inner.so", CONSTRUCTOR, &[]);
    let define = format!("-DINNER=\"{}\"", inner.display());
    let _open = Opened::new(&libraries.compile("outer.so", OUTER, &[&define]), libc::RTLD_NOW);
    assert_eq!(seen(), [IN_LOADER, IN_LOADER], "the inner one, then the rest of the outer one");
}

#[test]
fn a_constructor_of_a_needed_library_is_inside() {
    let libraries = Libraries::new(see);
    let needed = libraries.compile("needed.so", CONSTRUCTOR, &[]);
    let needs = libraries.compile("needs.so", PLAIN, &["-Wl,--no-as-needed", needed.to_str().unwrap()]);
    let _open = Opened::new(&needs, libc::RTLD_NOW);
    assert_eq!(seen(), [IN_LOADER]);
}

#[test]
fn a_destructor_at_dlclose_is_inside() {
    let libraries = Libraries::new(see);
    let open = Opened::new(&libraries.compile("d.so", DESTRUCTOR, &[]), libc::RTLD_NOW);
    assert_eq!(seen(), []);
    drop(open);
    assert_eq!(seen(), [IN_LOADER]);
}

#[test]
fn a_call_through_a_lazy_trampoline_is_inside_nothing() {
    let libraries = Libraries::new(see);
    let path = libraries.compile("lazy.so", PLAIN, &["-Wl,-z,lazy"]);
    let open = Opened::new(&path, libc::RTLD_LAZY);
    type Through = extern "C" fn(extern "C" fn());
    // SAFETY: the type of `through` in the source above.
    let through: Through = unsafe { std::mem::transmute(open.symbol("through")) };
    // The first call of `lazy` goes through ld.so's trampoline, the second does not.
    through(see);
    through(see);
    assert_eq!(seen(), [NOWHERE, NOWHERE]);
}

#[test]
fn what_touches_a_thread_local_of_a_late_library_is_inside_nothing() {
    let libraries = Libraries::new(see);
    let path = libraries.compile("tls.so", PLAIN, &["-ftls-model=global-dynamic"]);
    let open = Opened::new(&path, libc::RTLD_NOW);
    type Touched = extern "C" fn(extern "C" fn()) -> c_int;
    // SAFETY: the type of `touched` in the source above.
    let touched: Touched = unsafe { std::mem::transmute(open.symbol("touched")) };
    assert_eq!(std::thread::spawn(move || (touched(see), seen())).join().unwrap(), (8, vec![NOWHERE]));
}

#[test]
fn the_resolver_of_an_indirect_function_is_inside_when_it_runs_lazily() {
    let libraries = Libraries::new(see);
    let lazily = Opened::new(&libraries.compile("lazily.so", IFUNC, &["-Wl,-z,lazy"]), libc::RTLD_LAZY);
    assert_eq!(seen(), []);
    // SAFETY: the type of `use` in the source above.
    let used: extern "C" fn() -> c_int = unsafe { std::mem::transmute(lazily.symbol("use")) };
    assert_eq!((used(), seen()), (42, vec![IN_LOADER]));
    // The known limit: while a library is relocated the unwinder does not know it yet.
    let _at_once = Opened::new(&libraries.compile("at_once.so", IFUNC, &[]), libc::RTLD_NOW);
    assert_eq!(seen(), [NOWHERE]);
}

#[test]
fn a_callback_of_the_list_of_objects_is_inside_nothing() {
    extern "C" fn once(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
        see();
        1
    }
    // SAFETY: the callback has the type that is asked for.
    unsafe { libc::dl_iterate_phdr(Some(once), std::ptr::null_mut()) };
    assert_eq!(seen(), [NOWHERE]);
}

/// The known limit: the thread's own stack says nothing of who waits for it.
#[test]
fn a_thread_that_a_constructor_joins_is_not_seen() {
    static SAW: AtomicU32 = AtomicU32::new(0);
    // Neither a thread-local that is dropped nor a thread of Rust's is begun here: glibc notes both under the loader's lock.
    extern "C" fn tell() {
        SAW.store(if inside() == NOWHERE { 1 } else { 2 }, Ordering::Relaxed);
    }
    let libraries = Libraries::new(tell);
    let _open = Opened::new(&libraries.compile("joined.so", JOINED, &[]), libc::RTLD_NOW);
    assert_eq!(SAW.load(Ordering::Relaxed), 1);
}

/// Were it otherwise, a thread could not find out where it is while another one is in a slow constructor.
#[test]
fn another_threads_constructor_is_not_waited_for() {
    // 1: the one who asks is ready; 2: the constructor runs; 3: the answer is there; 4: the constructor may end.
    static STAGE: AtomicU32 = AtomicU32::new(0);
    fn reach(stage: u32) -> bool {
        let end = Instant::now() + Duration::from_secs(10);
        while STAGE.load(Ordering::Acquire) < stage && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        STAGE.load(Ordering::Acquire) >= stage
    }
    extern "C" fn hold() {
        STAGE.store(2, Ordering::Release);
        reach(4);
    }
    let libraries = Libraries::new(hold);
    let path = libraries.compile("slow.so", CONSTRUCTOR, &[]);
    let asking = std::thread::spawn(|| {
        STAGE.store(1, Ordering::Release);
        let begun = reach(2);
        let (here, text) = (inside(), maps::loader_text());
        STAGE.store(3, Ordering::Release);
        (begun, here, text.is_some())
    });
    assert!(reach(1));
    let slow = std::thread::spawn(move || drop(Opened::new(&path, libc::RTLD_NOW)));
    // The constructor waits for this, and so it was running all the time.
    let in_time = reach(3);
    STAGE.store(4, Ordering::Release);
    slow.join().unwrap();
    assert!(in_time, "it waited for the constructor");
    assert_eq!(asking.join().unwrap(), (true, NOWHERE, true));
}

#[test]
fn a_deep_stack_is_walked_to_its_end() {
    extern "C" fn dive() {
        fn down(depth: u32) -> Inside {
            let found = if depth == 0 { inside() } else { down(depth - 1) };
            std::hint::black_box(found)
        }
        assert_eq!(down(300), IN_LOADER);
        see();
    }
    let libraries = Libraries::new(dive);
    let _open = Opened::new(&libraries.compile("deep.so", CONSTRUCTOR, &[]), libc::RTLD_NOW);
    assert_eq!(seen(), [IN_LOADER]);
}

/// As in Debian's Python, where an import goes through code that lies apart from the beginning of its function.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_function_is_known_by_its_rare_part_as_well() {
    static FUNCTION: AtomicUsize = AtomicUsize::new(0);
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn tell() {
        let function = FUNCTION.load(Ordering::Relaxed);
        let (begun, whole) = (walk(None, [function, 0]), walk(None, [function, cold_part(function)]));
        FOUND.store(1 + usize::from(begun.import) + 2 * usize::from(whole.import), Ordering::Relaxed);
    }
    const SPLIT: &str = "__attribute__((cold, noinline)) static int rare(int n) { HOOK(); return n * 2; }
int split(int n) { int more = 0; if (__builtin_expect(n > 3, 0)) { more = rare(n); more += rare(n + more); } return n + more; }";
    let libraries = Libraries::new(tell);
    let open = Opened::new(&libraries.compile("split.so", SPLIT, &["-O2"]), libc::RTLD_NOW);
    let split = open.symbol("split");
    FUNCTION.store(split.addr(), Ordering::Relaxed);
    // SAFETY: the type of `split` in the source above.
    let split: extern "C" fn(c_int) -> c_int = unsafe { std::mem::transmute(split) };
    assert_eq!(split(1), 1);
    assert_eq!(FOUND.load(Ordering::Relaxed), 0, "the rare part did not run");
    assert_eq!(split(4), 4 + 8 + 24);
    assert_eq!(FOUND.load(Ordering::Relaxed), 3, "2 or 4: by its beginning; 1: not at all");
    assert_eq!(cold_part(libc::getpid as *const () as usize), 0);
}
