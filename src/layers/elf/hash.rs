//! The symbol hash tables, by which other libraries find this one's symbols.
//!
//! It makes sure that no look-up leaves the table or never ends, and tells how many symbols can be reached. It looks nothing up.

use object::NativeEndian as NE;
use object::elf::{self, GnuHashHeader, HashHeader};
use object::endian::U32;
use object::read::ReadRef;

use super::dynamic::Dynamic;
use super::error::ElfError;
use super::image::{Extent, Image};
use super::symbols::MOST;

type Word = U32<NE>;

const WORD: u64 = 4;

const fn damaged(why: &'static str) -> ElfError {
    ElfError::Hash { why }
}

const OUTSIDE: ElfError = damaged("outside of the loaded segments");
const TOO_MANY: ElfError = damaged("for more symbols than a library exports");

/// Checks the table that ld.so uses, the GNU one if there are two. Gives the number of symbols that it reaches, and the place of
/// the table in memory.
pub fn check<'d, R: ReadRef<'d>>(image: &Image<R>, dynamic: &Dynamic) -> Result<(u64, Option<Extent>), ElfError> {
    let old = dynamic.value(elf::DT_HASH);
    if let Some(address) = old {
        image.rest_in_file(address, size_of::<HashHeader<NE>>() as u64).ok_or(OUTSIDE)?;
    }
    let (address, (count, size)) = match (dynamic.value(elf::DT_GNU_HASH), old) {
        (Some(address), _) => (address, gnu(image, address)?),
        (None, Some(address)) => (address, sysv(image, address)?),
        (None, None) => return Ok((0, None)),
    };
    let place = Extent { offset: address, size };
    Ok((count, Some(place)))
}

/// Count of symbols and size of the table.
fn gnu<'d, R: ReadRef<'d>>(image: &Image<R>, address: u64) -> Result<(u64, u64), ElfError> {
    let head_size = size_of::<GnuHashHeader<NE>>() as u64;
    let table = image.rest_in_file(address, head_size).ok_or(OUTSIDE)?;
    let head: GnuHashHeader<NE> = image.record(table.offset)?;
    let (buckets, base) = (head.bucket_count.get(NE), head.symbol_base.get(NE));
    let bloom = head.bloom_count.get(NE);
    if !bloom.is_power_of_two() {
        return Err(damaged("the filter's size is not a power of two"));
    }
    let first_bucket = head_size + u64::from(bloom) * 8;
    let first_chain = first_bucket + u64::from(buckets) * WORD;
    if first_chain > table.size {
        return Err(OUTSIDE);
    }
    if u64::from(buckets) > MOST {
        return Err(TOO_MANY);
    }
    let buckets = Extent { offset: table.offset + first_bucket, size: u64::from(buckets) * WORD };
    let mut last = 0;
    image.each(buckets, |_, bucket: &Word| {
        let bucket = bucket.get(NE);
        if bucket != 0 && bucket < base {
            return Err(damaged("a bucket points before the table"));
        }
        last = last.max(bucket);
        Ok(true)
    })?;
    if last == 0 {
        return Ok((0, first_chain));
    }
    // Each chain runs to the next end mark, so all of them end if the one that begins last does.
    let start = first_chain + u64::from(last - base) * WORD;
    let rest = table.size.saturating_sub(start).min(MOST * WORD);
    let chain = Extent { offset: table.offset.saturating_add(start), size: rest };
    let mut end = None;
    image.each(chain, |index, entry: &Word| {
        if entry.get(NE) & 1 == 1 {
            end = Some(index + 1);
        }
        Ok(end.is_none())
    })?;
    let end = end.ok_or(damaged("a chain has no end"))?;
    Ok((u64::from(last) + end, start + end * WORD))
}

/// Count of symbols and size of the table.
fn sysv<'d, R: ReadRef<'d>>(image: &Image<R>, address: u64) -> Result<(u64, u64), ElfError> {
    let head_size = size_of::<HashHeader<NE>>() as u64;
    let table = image.rest_in_file(address, head_size).ok_or(OUTSIDE)?;
    let head: HashHeader<NE> = image.record(table.offset)?;
    let (buckets, count) = (head.bucket_count.get(NE), head.chain_count.get(NE));
    let size = head_size + (u64::from(buckets) + u64::from(count)) * WORD;
    if size > table.size {
        return Err(OUTSIDE);
    }
    if size > MOST * WORD {
        return Err(TOO_MANY);
    }
    let whole = Extent { offset: table.offset + head_size, size: size - head_size };
    let mut starts = Vec::with_capacity(buckets as usize);
    let mut next = Vec::with_capacity(count as usize);
    image.each(whole, |index, entry: &Word| {
        let entry = entry.get(NE);
        if entry >= count && entry != 0 {
            return Err(damaged("an entry is no symbol"));
        }
        let list = if index < u64::from(buckets) { &mut starts } else { &mut next };
        list.push(entry);
        Ok(true)
    })?;
    // A symbol is in one chain only, so all chains together are no longer than the table; a ring would be.
    let mut steps = 0;
    for mut at in starts {
        while at != 0 {
            steps += 1;
            if steps > next.len() {
                return Err(damaged("a chain has no end"));
            }
            at = next.get(at as usize).copied().unwrap_or(0);
        }
    }
    Ok((u64::from(count), size))
}
