//! Why a file is not a library that this process can open. It holds messages, no checks.

/// Why a file is refused. The message says what is wrong and, where there is one, the way out; the caller adds the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// A folder, a device or a pipe.
    #[error("not a regular file")]
    NotAFile,
    /// An ELF file that ends within its header.
    #[error("truncated: {len} bytes are too few for an ELF header; copy the file again")]
    Short {
        /// Length of the file.
        len: u64,
    },
    /// A text that `ld` understands and ld.so does not.
    #[error("a linker script (`{start}`), not a library; give the library that it names")]
    LinkerScript {
        /// How the text begins.
        start: String,
    },
    /// Some other text.
    #[error("a text file (`{start}`), not a library")]
    Text {
        /// How the text begins.
        start: String,
    },
    /// Neither ELF nor text.
    #[error("not an ELF file: it begins with {start}")]
    NotElf {
        /// The first bytes, in hexadecimal.
        start: String,
    },
    /// A library for another machine, word size or byte order.
    #[error("made for {file}; this machine is {here}")]
    Machine {
        /// What the file was made for.
        file: String,
        /// What this process runs on.
        here: &'static str,
    },
    /// A program, position-independent or not.
    #[error("an executable, which dlopen refuses; link it with -shared")]
    Executable,
    /// Another kind of ELF file, such as an object file.
    #[error("{kind}, not a shared library; link it with -shared")]
    Kind {
        /// What it is.
        kind: &'static str,
    },
    /// What `objcopy --only-keep-debug` leaves.
    #[error("only debug information, without the library's content; give the library it belongs to")]
    DebugOnly,
    /// The file is shorter than it says.
    #[error("truncated: {what} ends at byte {end}, the file has {len}; copy the file again")]
    Truncated {
        /// What is cut off.
        what: &'static str,
        /// Where it should end.
        end: u64,
        /// Where the file ends.
        len: u64,
    },
    /// The ELF header contradicts itself.
    #[error("damaged ELF header: {why}")]
    Header {
        /// What is wrong.
        why: &'static str,
    },
    /// A program header that ld.so would trust, wrongly.
    #[error("damaged program header {index}: {why}")]
    Segment {
        /// Its place in the table.
        index: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// An entry of the dynamic section that ld.so would trust, wrongly.
    #[error("damaged dynamic section: {tag} {why}")]
    Dynamic {
        /// The entry.
        tag: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A symbol hash table that would lead ld.so astray.
    #[error("damaged symbol hash table: {why}")]
    Hash {
        /// What is wrong.
        why: &'static str,
    },
    /// A symbol that would lead ld.so astray.
    #[error("damaged symbol {index}: {why}")]
    Symbol {
        /// Its place in the table.
        index: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// Version tables that would lead ld.so astray.
    #[error("damaged version tables: {why}")]
    Version {
        /// What is wrong.
        why: &'static str,
    },
    /// A versioned dependency that is no dependency: ld.so aborts on it.
    #[error("versions of `{file}` are required, but the library does not need that file; relink it")]
    VersionOfStranger {
        /// The file that the versions are of.
        file: String,
    },
    /// A relocation that ld.so would carry out, wrongly.
    #[error("damaged relocation {index} of {table}: {why}")]
    Relocation {
        /// The tag of its table.
        table: &'static str,
        /// Its place in the table.
        index: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// An initialiser or finaliser that is not code.
    #[error("entry {index} of {table} does not point at code")]
    NotCode {
        /// The tag of its table.
        table: &'static str,
        /// Its place in the table.
        index: u64,
    },
    /// The file system did not give what the file has.
    #[error("cannot read {size} bytes at byte {offset}")]
    Unreadable {
        /// Where.
        offset: u64,
        /// How many.
        size: u64,
    },
}
