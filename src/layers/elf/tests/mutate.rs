//! Mutations that know ELF: they find headers, dynamic section and tables of a library, damaged as it may be already, and damage them
//! where it tells. Shared with the package in `fuzz/`.

use fastrand::Rng;

/// In the last byte of the identification, which nobody reads: how many bytes of holes follow the content, by number.
pub const HOLES_AT: usize = 15;

/// The bytes of holes.
pub const HOLES: [u64; 6] = [0, 1 << 12, 8 << 20, 1 << 32, 1 << 39, 1 << 50];

const HEADER: usize = 64;
const SEGMENT: usize = 56;
const SECTION: usize = 64;
const ENTRY: usize = 16;
const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;
const NOTE: u64 = 4;

/// Offset and width of the fields of the header, of a program header, of a section header.
const HEADER_FIELDS: [(usize, usize); 13] =
    [(4, 1), (5, 1), (16, 2), (18, 2), (20, 4), (24, 8), (32, 8), (40, 8), (52, 2), (54, 2), (56, 2), (58, 2), (60, 2)];
const SEGMENT_FIELDS: [(usize, usize); 8] = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)];
const SECTION_FIELDS: [(usize, usize); 6] = [(4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4)];

/// Tags of the dynamic section: needs, tables, their sizes, flags, versions, hashes.
const TAGS: [u64; 44] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    20,
    21,
    22,
    23,
    24,
    25,
    26,
    27,
    28,
    29,
    30,
    32,
    33,
    35,
    36,
    37,
    0x6fff_fef5,
    0x6fff_fef6,
    0x6fff_fef7,
    0x6fff_fff0,
    0x6fff_fff9,
    0x6fff_fffb,
    0x6fff_fffc,
    0x6fff_fffd,
    0x6fff_fffe,
    0x6fff_ffff,
    0x7fff_fffd,
];

/// Tags whose values are addresses of tables.
const TABLES: [u64; 15] = [4, 5, 6, 7, 12, 13, 23, 25, 26, 36, 0x6fff_fef5, 0x6fff_fff0, 0x6fff_fffc, 0x6fff_fffe, 3];

/// What names of libraries and search paths are not made of.
const TEXTS: [&[u8]; 9] = [
    b"\x1b[31m\x07",
    b"\xff\xfe\x80",
    b"\n\r\t",
    b"$ORIGIN/../$LIB:${PLATFORM}",
    b"::::",
    b"../../../../etc/passwd",
    b"\xc3\xa4\xe2\x82\xac",
    b"PyInit_x",
    b"%s%n{}",
];

/// The parts of a file, as far as it has them.
struct Layout {
    segments: Vec<usize>,
    sections: Vec<usize>,
    entries: Vec<usize>,
    tables: Vec<usize>,
}

fn get(data: &[u8], at: usize, width: usize) -> u64 {
    let bytes = at.checked_add(width).and_then(|end| data.get(at..end)).unwrap_or_default();
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn set(data: &mut [u8], at: usize, width: usize, value: u64) {
    if let Some(bytes) = at.checked_add(width).and_then(|end| data.get_mut(at..end)) {
        bytes.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

impl Layout {
    fn of(data: &[u8]) -> Layout {
        let len = data.len() as u64;
        let table = |start: u64, count: u64, record: usize| -> Vec<usize> {
            let fits = |at: &u64| *at < len && len - *at >= record as u64;
            let places = (0..count.min(64)).map(|index| start.saturating_add(index * record as u64));
            places.take_while(fits).map(|at| at as usize).collect()
        };
        let segments = table(get(data, 32, 8), get(data, 56, 2), SEGMENT);
        let sections = table(get(data, 40, 8), get(data, 60, 2), SECTION);
        let of_kind = |kind: u64| segments.iter().copied().filter(move |at| get(data, *at, 4) == kind);
        let mut entries: Vec<usize> =
            of_kind(DYNAMIC).flat_map(|at| table(get(data, at + 8, 8), get(data, at + 32, 8) / 16, ENTRY)).collect();
        if let Some(end) = entries.iter().position(|at| get(data, *at, 8) == 0) {
            entries.truncate(end + 1);
        }
        let in_file = |address: u64| {
            of_kind(LOAD).find_map(|at| {
                let within =
                    address.checked_sub(get(data, at + 16, 8)).filter(|within| *within < get(data, at + 32, 8))?;
                within.checked_add(get(data, at + 8, 8)).filter(|offset| *offset < len)
            })
        };
        let named = entries.iter().filter(|at| TABLES.contains(&get(data, **at, 8)));
        let mut tables: Vec<usize> =
            named.filter_map(|at| in_file(get(data, at + 8, 8))).map(|at| at as usize).collect();
        tables.extend(of_kind(NOTE).filter_map(|at| in_file(get(data, at + 16, 8))).map(|at| at as usize));
        Layout { segments, sections, entries, tables }
    }

    fn of_tag(&self, data: &[u8], tag: u64) -> Option<usize> {
        self.entries.iter().copied().find(|at| get(data, *at, 8) == tag)
    }
}

/// A number that is near a limit of something.
fn number(data: &[u8], random: &mut Rng) -> u64 {
    let len = data.len() as u64;
    match random.u8(..8) {
        0 => 0,
        1 => random.u64(..16),
        2 => 1 << random.u32(..64),
        3 => (1u64 << random.u32(1..64)) - 1,
        4 => u64::MAX - random.u64(..64),
        5 => len.wrapping_add(random.u64(..16)).wrapping_sub(8),
        6 => random.u64(..len.max(1)) & !7,
        _ => random.u64(..1 << 20) * 24,
    }
}

fn one<T: Copy>(of: &[T], random: &mut Rng) -> Option<T> {
    if of.is_empty() { None } else { Some(of[random.usize(..of.len())]) }
}

/// Damages a file in one to four ways, within `most` bytes.
pub fn mutate(data: &mut Vec<u8>, most: usize, random: &mut Rng) {
    for _ in 0..random.usize(1..=4) {
        if data.is_empty() {
            return;
        }
        once(data, most, random);
    }
}

fn once(data: &mut Vec<u8>, most: usize, random: &mut Rng) {
    let layout = Layout::of(data);
    let value = number(data, random);
    match random.u8(..32) {
        0 => data.truncate(random.usize(..data.len())),
        1 => {
            // Cut off where something begins, or just within it.
            let all = [&layout.segments, &layout.sections, &layout.entries, &layout.tables];
            let list = all[random.usize(..all.len())];
            let at = one(list, random).unwrap_or(HEADER);
            data.truncate(at + random.usize(..4));
        }
        2 => {
            let more = random.usize(..4096).min(most.saturating_sub(data.len()));
            let byte = if random.bool() { 0 } else { random.u8(..) };
            data.resize(data.len() + more, byte);
        }
        3 => {
            if let Some(byte) = data.get_mut(HOLES_AT) {
                *byte = if random.u8(..4) == 0 { random.u8(..HOLES.len() as u8) } else { 0 };
            }
        }
        4 => stretch(data, &layout, random),
        5..=7 => {
            let (at, width) = HEADER_FIELDS[random.usize(..HEADER_FIELDS.len())];
            set(data, at, width, value);
        }
        8..=11 => {
            if let Some(at) = one(&layout.segments, random) {
                let (field, width) = SEGMENT_FIELDS[random.usize(..SEGMENT_FIELDS.len())];
                let near = get(data, at + field, width).wrapping_add(random.u64(..0x3000)).wrapping_sub(0x1800);
                set(data, at + field, width, if random.bool() { near } else { value });
            }
        }
        12 | 13 => {
            if let Some(at) = one(&layout.sections, random) {
                let (field, width) = SECTION_FIELDS[random.usize(..SECTION_FIELDS.len())];
                set(data, at + field, width, value);
            }
        }
        // One header over another one: overlaps, and kinds that come twice.
        14 => {
            if let (Some(from), Some(to)) = (one(&layout.segments, random), one(&layout.segments, random)) {
                data.copy_within(from..from + SEGMENT, to);
            }
        }
        15..=17 => {
            if let Some(at) = one(&layout.entries, random) {
                set(data, at + 8, 8, value);
            }
        }
        18 => {
            if let Some(at) = one(&layout.entries, random) {
                set(data, at, 8, TAGS[random.usize(..TAGS.len())]);
            }
        }
        // Two tables in one place, or one a little beside the other.
        19 | 20 => {
            if let (Some(from), Some(to)) = (one(&layout.entries, random), one(&layout.entries, random)) {
                let place = get(data, from + 8, 8);
                let beside = place.wrapping_add(random.u64(..64)).wrapping_sub(32);
                set(data, to + 8, 8, if random.bool() { place } else { beside });
            }
        }
        21 => {
            let strings = layout.of_tag(data, 5).map(|at| get(data, at + 8, 8) as usize);
            if let Some(strings) = strings.filter(|strings| *strings < data.len()) {
                let text = TEXTS[random.usize(..TEXTS.len())];
                let at = strings + random.usize(..(data.len() - strings).min(512));
                let end = (at + text.len()).min(data.len());
                data[at..end].copy_from_slice(&text[..end - at]);
            }
        }
        22..=28 => {
            // Within a table: a bit, a number, or what stands elsewhere in it, so that chains run in circles.
            if let Some(table) = one(&layout.tables, random) {
                let size = (data.len() - table).min(1 << random.u32(3..12));
                let at = table + random.usize(..size);
                let width = [1, 2, 4, 8][random.usize(..4)];
                let at = at - (at - table) % width;
                let from = table + random.usize(..(data.len() - table).min(256));
                match random.u8(..3) {
                    0 => data[at] ^= 1 << random.u8(..8),
                    1 => set(data, at, width, value),
                    _ => {
                        let other = get(data, from, width);
                        set(data, at, width, other);
                    }
                }
            }
        }
        _ => {
            let at = random.usize(..data.len());
            data[at] ^= 1 << random.u8(..8);
        }
    }
}

/// The last segment goes on into holes, and a table of impossible size with it.
fn stretch(data: &mut [u8], layout: &Layout, random: &mut Rng) {
    let last = layout.segments.iter().copied().rfind(|at| get(data, *at, 4) == LOAD);
    let Some(last) = last else { return };
    let holes = random.usize(1..HOLES.len());
    data[HOLES_AT.min(data.len() - 1)] = holes as u8;
    let offset = get(data, last + 8, 8);
    let size = (data.len() as u64).saturating_add(HOLES[holes]).saturating_sub(offset);
    set(data, last + 32, 8, size);
    set(data, last + 40, 8, size);
    // Sizes of tables, and the tables themselves somewhere in the holes.
    for tag in [2, 8, 10, 25, 27, 28, 35] {
        if let Some(at) = layout.of_tag(data, tag).filter(|_| random.bool()) {
            set(data, at + 8, 8, random.u64(..size.max(1)) / 24 * 24);
        }
    }
    if let (Some(entry), true) = (one(&layout.entries, random), random.bool()) {
        let start = get(data, last + 16, 8);
        set(data, entry + 8, 8, start.wrapping_add((data.len() as u64).saturating_sub(offset)).next_multiple_of(8));
    }
}
