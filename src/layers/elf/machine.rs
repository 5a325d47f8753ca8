//! What this machine is, and what its loader can do: names and the table of relocations. Data only.

use object::elf;

/// The machine that dlcast was built for.
pub const HERE: &str = if cfg!(target_arch = "x86_64") {
    "x86-64"
} else if cfg!(target_arch = "aarch64") {
    "aarch64"
} else if cfg!(target_arch = "riscv64") {
    "riscv"
} else {
    "another machine"
};

/// Tells whether `e_machine` names the machine that dlcast was built for.
pub fn is_here(machine: u16) -> bool {
    own().is_none_or(|own| own.0 == machine)
}

fn own() -> Option<elf::Machine> {
    if cfg!(target_arch = "x86_64") {
        Some(elf::EM_X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(elf::EM_AARCH64)
    } else if cfg!(target_arch = "riscv64") {
        Some(elf::EM_RISCV)
    } else {
        None
    }
}

/// Names a machine for people, with its word size and byte order where they are not what one expects of it.
pub fn describe(machine: u16, class: u8, big: bool) -> String {
    let (name, word, order_is_big) = match elf::Machine(machine) {
        elf::EM_X86_64 => ("x86-64", 64, false),
        elf::EM_386 => ("i386", 32, false),
        elf::EM_AARCH64 => ("aarch64", 64, false),
        elf::EM_ARM => ("arm", 32, false),
        elf::EM_PPC64 => ("ppc64", 64, big),
        elf::EM_RISCV => ("riscv", 64, false),
        elf::EM_S390 => ("s390", 64, true),
        elf::EM_LOONGARCH => ("loongarch", 64, false),
        _ => return format!("machine number {machine}"),
    };
    let class = match class {
        1 => 32,
        2 => 64,
        _ => 0,
    };
    let mut text = name.to_string();
    match class {
        0 => text.push_str(" with an unknown word size"),
        class if class != word => text.push_str(&format!(" with {class}-bit words")),
        _ => {}
    }
    if big != order_is_big {
        text.push_str(if big { ", big-endian" } else { ", little-endian" });
    }
    text
}

/// Whether [`effect`] has a table for this machine. Where it has none, relocations are not checked.
pub const KNOWS_RELOCATIONS: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// What ld.so does for a type of relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Writes so many bytes: base plus addend.
    Relative,
    /// Writes so many bytes, computed from the symbol.
    Symbol(u64),
    /// Writes so many bytes: the symbol's size.
    Size(u64),
    /// Writes so many bytes about the symbol's thread-local storage.
    Tls(u64),
    /// Calls the code at base plus addend, and writes what it returns.
    Call,
}

/// What ld.so does for relocations of `kind` on this machine; None if it refuses them (`elf_machine_rela` in glibc's
/// `sysdeps/*/dl-machine.h`). A copy relocation is not among them: only a program may have one.
pub fn effect(kind: elf::RelocationType) -> Option<Effect> {
    if cfg!(target_arch = "x86_64") {
        Some(match kind {
            elf::R_X86_64_NONE => Effect::None,
            elf::R_X86_64_RELATIVE => Effect::Relative,
            elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT => Effect::Symbol(8),
            elf::R_X86_64_32 | elf::R_X86_64_PC32 => Effect::Symbol(4),
            elf::R_X86_64_SIZE64 => Effect::Size(8),
            elf::R_X86_64_SIZE32 => Effect::Size(4),
            elf::R_X86_64_DTPMOD64 | elf::R_X86_64_DTPOFF64 | elf::R_X86_64_TPOFF64 => Effect::Tls(8),
            elf::R_X86_64_TLSDESC => Effect::Tls(16),
            elf::R_X86_64_IRELATIVE => Effect::Call,
            _ => return None,
        })
    } else if cfg!(target_arch = "aarch64") {
        Some(match kind {
            elf::R_AARCH64_NONE => Effect::None,
            elf::R_AARCH64_RELATIVE => Effect::Relative,
            elf::R_AARCH64_ABS64 | elf::R_AARCH64_GLOB_DAT | elf::R_AARCH64_JUMP_SLOT => Effect::Symbol(8),
            elf::R_AARCH64_TLS_DTPMOD | elf::R_AARCH64_TLS_DTPREL | elf::R_AARCH64_TLS_TPREL => Effect::Tls(8),
            elf::R_AARCH64_TLSDESC => Effect::Tls(16),
            elf::R_AARCH64_IRELATIVE => Effect::Call,
            _ => return None,
        })
    } else {
        None
    }
}
