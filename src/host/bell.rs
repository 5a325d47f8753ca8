//! A bell in a file that several processes have open: one rings it, all who sleep wake.
//!
//! A word at the beginning of the file, mapped by each of them, is a futex that counts the rings. It says nothing but that
//! something has happened: who wakes looks for himself, and nobody sleeps longer than he was told to.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Bytes at the beginning of the file that belong to the bell.
pub const SIZE: u64 = 64;

/// A mapped bell.
pub struct Bell(&'static AtomicU32);

impl Bell {
    /// In a file that can be read and written. `None` where the system refuses: then nobody is woken.
    pub fn in_file(file: &File) -> Option<Bell> {
        let size = usize::try_from(SIZE).ok()?;
        // SAFETY: the descriptor is open. A longer file stays as it is.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, SIZE.cast_signed()) } != 0 {
            return None;
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), size, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        // SAFETY: aligned to a page, `size` bytes of the file are there, nobody shortens it, and it is mapped until the bell
        // is dropped; the other processes touch it with atomic operations, too.
        (at != libc::MAP_FAILED).then(|| Bell(unsafe { &*at.cast::<AtomicU32>() }))
    }

    /// How often it has been rung: taken before one looks whether it is necessary to sleep.
    pub fn rings(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Sleeps until it is rung, `most` at the longest; not at all if it was rung since [`Bell::rings`] was `heard`.
    pub fn sleep(&self, heard: u32, most: Duration) {
        let most = libc::timespec {
            tv_sec: libc::time_t::try_from(most.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(most.subsec_nanos().cast_signed()),
        };
        // SAFETY: both addresses are good for the length of the call. A signal, a ring that came first and an old kernel all
        // end it early, which is allowed.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), libc::FUTEX_WAIT, heard, &raw const most) };
    }

    /// Wakes all.
    pub fn ring(&self) {
        self.0.fetch_add(1, Ordering::Release);
        // SAFETY: the address is good for the length of the call.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // SAFETY: mapped by `in_file`, and nobody has the reference any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), SIZE as usize) };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_ring_wakes_a_sleeper_in_another_mapping() {
        let file = tempfile::tempfile().unwrap();
        let (one, two) = (Bell::in_file(&file).unwrap(), Bell::in_file(&file).unwrap());
        let heard = one.rings();
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                two.ring();
            });
            while one.rings() == heard {
                one.sleep(heard, Duration::from_secs(60));
            }
        });
        assert!(start.elapsed() < Duration::from_secs(30));
        one.sleep(heard, Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30), "a ring that came first is not slept through");
    }

    #[test]
    fn nobody_sleeps_longer_than_told() {
        let file = tempfile::tempfile().unwrap();
        let bell = Bell::in_file(&file).unwrap();
        bell.sleep(bell.rings(), Duration::from_millis(5));
    }

    #[test]
    fn what_is_in_the_file_stays() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1000).unwrap();
        let _bell = Bell::in_file(&file).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1000);
    }
}
