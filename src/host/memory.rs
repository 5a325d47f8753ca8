//! What of this process's memory can be read, and what holds code: asked before a plugin's pointers are followed.
//!
//! A snapshot, renewed where it says no. It judges addresses only, never content.

use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use procfs::process::{MMPermissions, Process};

/// The mapped areas of one moment, in the order of their addresses, neighbours of one kind joined.
#[derive(Default)]
pub struct Memory {
    readable: Vec<Range<usize>>,
    code: Vec<Range<usize>>,
}

static SEEN: RwLock<Memory> = RwLock::new(Memory { readable: Vec::new(), code: Vec::new() });

/// Looks anew (/proc/self/maps: some hundred microseconds): what was unmapped since is not believed any more.
pub fn look() {
    *SEEN.write().unwrap_or_else(PoisonError::into_inner) = Memory::now();
}

/// Asks the last snapshot; where that does not say yes, a new one.
pub fn ask<T>(question: impl Fn(&Memory) -> Option<T>) -> Option<T> {
    if let Some(answer) = question(&SEEN.read().unwrap_or_else(PoisonError::into_inner)) {
        return Some(answer);
    }
    look();
    question(&SEEN.read().unwrap_or_else(PoisonError::into_inner))
}

/// Whether `count` values of `T` can be read side by side from `address` on.
pub fn holds<T>(address: usize, count: usize) -> bool {
    let bytes = count.checked_mul(size_of::<T>()).filter(|_| address.is_multiple_of(align_of::<T>()));
    bytes.is_some_and(|bytes| ask(|memory| (memory.readable(address) >= bytes).then_some(())).is_some())
}

/// Whether there is code.
pub fn is_code(address: usize) -> bool {
    ask(|memory| memory.is_code(address).then_some(())).is_some()
}

/// Where the area that holds `address` ends; `address` itself where none does.
fn end_of(areas: &[Range<usize>], address: usize) -> usize {
    let first = areas.partition_point(|range| range.end <= address);
    areas.get(first).filter(|range| range.contains(&address)).map_or(address, |range| range.end)
}

impl Memory {
    /// How many bytes can be read from `address` on.
    pub fn readable(&self, address: usize) -> usize {
        end_of(&self.readable, address) - address
    }

    /// Whether there is code.
    pub fn is_code(&self, address: usize) -> bool {
        end_of(&self.code, address) > address
    }

    /// Empty where it cannot be read: then nothing is believed.
    fn now() -> Self {
        let mut memory = Memory::default();
        let Ok(maps) = Process::myself().and_then(|process| process.maps()) else { return memory };
        for map in maps {
            // Addresses of this very process.
            let range = map.address.0 as usize..map.address.1 as usize;
            for (areas, kind) in
                [(&mut memory.readable, MMPermissions::READ), (&mut memory.code, MMPermissions::EXECUTE)]
            {
                if !map.perms.contains(kind) {
                    continue;
                }
                match areas.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => areas.push(range.clone()),
                }
            }
        }
        memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_value_is_readable_and_no_code() {
        let value = Box::new([1_u64; 8]);
        let address = value.as_ptr().expose_provenance();
        assert!(holds::<u64>(address, 8));
        assert!(!holds::<u64>(address + 1, 1), "not aligned");
        assert!(!holds::<u64>(address, usize::MAX / 2));
        assert!(!holds::<u64>(address, 1 << 50));
        assert!(!is_code(address));
        assert!(is_code(look as *const () as usize));
        assert!(!holds::<u8>(8, 1));
    }
}
