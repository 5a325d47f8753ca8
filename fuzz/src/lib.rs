//! What the fuzzers have in common: mutations that know ELF, and files with holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

#[path = "../../src/layers/elf/tests/mutate.rs"]
mod mutate;

/// Mutates `data[..size]` in place, in half of the cases as libFuzzer does by itself; gives the new size, at most `most`.
pub fn mutated(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let mut random = fastrand::Rng::with_seed(seed.into());
    if random.bool() {
        return libfuzzer_sys::fuzzer_mutate(data, size, most);
    }
    let mut bytes = data[..size].to_vec();
    mutate::mutate(&mut bytes, most, &mut random);
    let size = bytes.len().min(most);
    data[..size].copy_from_slice(&bytes[..size]);
    size
}

/// How many bytes of holes a file with this content gets behind it.
pub fn holes(data: &[u8]) -> u64 {
    let number = data.get(mutate::HOLES_AT).copied().unwrap_or_default();
    mutate::HOLES.get(usize::from(number)).copied().unwrap_or_default()
}

/// Gives a file this content, and holes behind it; gives its length.
///
/// # Errors
///
/// What writing it fails with.
pub fn fill(file: &File, data: &[u8]) -> io::Result<u64> {
    let length = data.len() as u64 + holes(data);
    file.set_len(0)?;
    file.write_all_at(data, 0)?;
    file.set_len(length)?;
    Ok(length)
}
