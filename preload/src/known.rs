//! Names that need no telling: a table that is read and written without a lock.
//!
//! An entry is 64 bits of digest over the name, the flags, the state, and for bare names the place of the call, whose object
//! decides what a bare name means. Nothing is ever taken out. Two names of one digest would only mean that the hook does not tell of
//! the second: the look at the link maps finds it.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::state::State;

const SLOTS: usize = 1 << 13;
/// How many neighbours are tried; a table that is that full takes no more.
const PROBES: usize = 16;

/// Zero: empty. It lies in .bss, and costs memory by the page.
static TABLE: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

/// What stands for one way to call dlopen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// The key of a call; none where the same name may mean another file the next time: relative paths, and names with `$`.
    ///
    /// # Safety
    /// `name` is a C string.
    #[inline(always)]
    pub unsafe fn of(name: *const c_char, flags: c_int, caller: *const c_void, state: State) -> Option<Self> {
        // SAFETY: a C string; the searches stay within its length.
        let (length, has_token, has_slash) = unsafe {
            let length = libc::strlen(name);
            let has = |byte: u8| !libc::memchr(name.cast(), c_int::from(byte), length).is_null();
            (length, has(b'$'), has(b'/'))
        };
        // SAFETY: a C string has a first byte.
        let is_absolute = unsafe { *name } as u8 == b'/';
        if has_token || (has_slash && !is_absolute) {
            return None;
        }
        let place = if is_absolute { 0 } else { caller.addr() as u64 };
        let mut digest = mix(length as u64 ^ (flags as u32 as u64) << 32, place ^ ((state as u64) << 56));
        let words = length / 8;
        for at in 0..words {
            // SAFETY: eight bytes within the string.
            digest = mix(digest, unsafe { name.cast::<u64>().add(at).read_unaligned() });
        }
        for at in words * 8..length {
            // SAFETY: a byte of the string.
            digest = mix(digest, u64::from(unsafe { *name.add(at) } as u8));
        }
        // Zero means empty.
        Some(Self(digest | 1))
    }

    /// Whether it was put in.
    #[inline(always)]
    pub fn is_known(self) -> bool {
        for slot in self.slots() {
            match slot.load(Ordering::Relaxed) {
                0 => return false,
                digest if digest == self.0 => return true,
                _ => {}
            }
        }
        false
    }

    /// Needs no telling from now on.
    pub fn learn(self) {
        for slot in self.slots() {
            match slot.compare_exchange(0, self.0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(digest) if digest == self.0 => return,
                Err(_) => {}
            }
        }
    }

    #[inline(always)]
    fn slots(self) -> impl Iterator<Item = &'static AtomicU64> {
        let first = (self.0 >> 40) as usize;
        (0..PROBES).map(move |step| &TABLE[(first + step) % SLOTS])
    }
}

/// Both halves of a 128-bit product: every bit of both depends on every bit.
#[inline(always)]
fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left ^ 0x9e37_79b9_7f4a_7c15) * u128::from(right ^ 0xd6e8_feb8_6659_fd93);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &core::ffi::CStr, flags: c_int, caller: usize) -> Option<Key> {
        // SAFETY: a C string.
        unsafe { Key::of(name.as_ptr(), flags, core::ptr::without_provenance(caller), State::Eager) }
    }

    #[test]
    fn the_place_of_the_call_counts_for_bare_names_only() {
        assert!(key(c"/opt/libx.so", 1, 10) == key(c"/opt/libx.so", 1, 20));
        assert!(key(c"libx.so", 1, 10) != key(c"libx.so", 1, 20));
        assert!(key(c"libx.so", 1, 10) != key(c"libx.so", 0x101, 10));
        assert!(key(c"/opt/libx.so", 1, 0) != key(c"/opt/liby.so", 1, 0));
    }

    #[test]
    fn what_may_mean_something_else_next_time_has_no_key() {
        assert!(key(c"./libx.so", 1, 10).is_none());
        assert!(key(c"sub/libx.so", 1, 10).is_none());
        assert!(key(c"$ORIGIN/libx.so", 1, 10).is_none());
        assert!(key(c"/opt/$LIB/libx.so", 1, 10).is_none());
    }

    #[test]
    fn what_was_learnt_is_known_and_a_full_neighbourhood_stays_unknown() {
        let learnt = Key(0x1234_5600_0000_0001);
        assert!(!learnt.is_known());
        learnt.learn();
        assert!(learnt.is_known());
        let crowd = |n: u64| Key(0x0765_4300_0000_0001 | n << 1);
        (0..PROBES as u64 + 1).for_each(|n| crowd(n).learn());
        assert!((0..PROBES as u64).all(|n| crowd(n).is_known()));
        assert!(!crowd(PROBES as u64).is_known());
    }
}
