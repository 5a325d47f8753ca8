//! A file's BLAKE3 digest: a large file's by several threads.
//!
//! BLAKE3 is a tree: pieces are hashed apart and put together (`blake3::hazmat`), to the same digest. The threads are there
//! for that moment only; while one rank of a node reads, the others sleep and leave it their cores.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

/// A power of two, in which the tree of a larger file can be cut.
const PIECE: u64 = 1 << 20;
/// From here on a second thread is worth its start.
const LARGE: u64 = 4 * PIECE;
const MOST_THREADS: usize = 8;
/// What is read at once: large enough for BLAKE3's widest vectors, small enough for a cache.
const BUFFER: usize = 64 << 10;

/// Whether a file is read by several threads.
pub fn is_large(size: u64) -> bool {
    size >= LARGE
}

/// The digest of the first `size` bytes of a file, and none where it is shorter. The file's position stays.
///
/// # Errors
/// Of the system, while reading.
pub fn digest(file: &File, size: u64) -> io::Result<Option<[u8; 32]>> {
    if !is_large(size) {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; BUFFER.min(usize::try_from(size).unwrap_or(BUFFER))];
        return Ok(read(file, 0, size, &mut buffer, &mut hasher)?.then(|| *hasher.finalize().as_bytes()));
    }
    let pieces = usize::try_from(size.div_ceil(PIECE)).unwrap_or(usize::MAX);
    let threads = processors().min(MOST_THREADS).min(pieces);
    let next = AtomicUsize::new(0);
    let values: Mutex<Vec<Option<ChainingValue>>> = Mutex::new(vec![None; pieces]);
    let work = || -> io::Result<bool> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return Ok(true);
            }
            let start = piece as u64 * PIECE;
            let mut hasher = Hasher::new();
            hasher.set_input_offset(start);
            if !read(file, start, (size - start).min(PIECE), &mut buffer, &mut hasher)? {
                return Ok(false);
            }
            lock(&values)[piece] = Some(hasher.finalize_non_root());
        }
    };
    let whole = thread::scope(|scope| {
        // Where no thread can be had, this one does it all.
        let help = || {
            roam();
            work()
        };
        let helpers: Vec<_> =
            (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, help).ok()).collect();
        let mut outcome = work();
        for helper in helpers {
            let other = helper.join().unwrap_or_else(|_| Err(io::Error::other("a reading thread panicked")));
            outcome = outcome.and_then(|whole| Ok(whole & other?));
        }
        outcome
    })?;
    let values: Option<Vec<ChainingValue>> = std::mem::take(&mut *lock(&values)).into_iter().collect();
    let root = values.filter(|_| whole).map(|values| {
        let (left, right) = values.split_at(left_pieces(size));
        let value = |values, start| subtree(values, start, size);
        *merge_subtrees_root(&value(left, 0), &value(right, left.len()), Mode::Hash).as_bytes()
    });
    Ok(root)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processors of the machine: a rank is often bound to one of them.
fn processors() -> usize {
    // SAFETY: it only answers a question.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(count).unwrap_or(1).max(1)
}

/// Lets this thread run on every processor that the job has, and not only where its rank is bound: the other ranks of the node
/// sleep until the digest is there. (The system keeps it inside the job's cpuset.)
pub fn roam() {
    // SAFETY: a set of bits for which zero is valid, filled in and read by its size; 0 is this thread.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        (0..libc::CPU_SETSIZE as usize).for_each(|cpu| libc::CPU_SET(cpu, &mut all));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &all);
    }
}

/// Pieces in the left half of a tree over so many bytes.
fn left_pieces(bytes: u64) -> usize {
    (left_subtree_len(bytes) / PIECE) as usize
}

/// The value of the pieces from `start` on.
fn subtree(values: &[ChainingValue], start: usize, size: u64) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let bytes = (size - start as u64 * PIECE).min(values.len() as u64 * PIECE);
    let (left, right) = values.split_at(left_pieces(bytes));
    merge_subtrees_non_root(&subtree(left, start, size), &subtree(right, start + left.len(), size), Mode::Hash)
}

/// Feeds `length` bytes from `start` on; false where there are fewer.
fn read(file: &File, start: u64, length: u64, buffer: &mut [u8], hasher: &mut Hasher) -> io::Result<bool> {
    let mut done = 0;
    while done < length {
        let most = usize::try_from(length - done).unwrap_or(usize::MAX).min(buffer.len());
        match file.read_at(&mut buffer[..most], start + done) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                done += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_digest_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for size in [0, 1, 1023, PIECE, LARGE - 1, LARGE, LARGE + 1, 5 * PIECE, 7 * PIECE + 12_345, 11 * PIECE - 1] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let file = File::open(&path).unwrap();
            let expected = *blake3::hash(&bytes).as_bytes();
            assert_eq!(digest(&file, size).unwrap(), Some(expected), "{size} bytes");
            assert_eq!(digest(&file, size + 1).unwrap(), None, "a file of {size} bytes is shorter");
        }
    }
}
