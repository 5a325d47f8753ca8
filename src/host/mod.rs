//! What a process does with shared libraries: find out what a file is, open it, make it visible, park it.
//!
//! It knows one process only: which rank it is, and what the others have, is none of its business.
//!
//! # Layout
//! - [`search`] where plain dlopen would find a bare name
//! - [`identify`] a file's identity, read once; `digest` by several threads
//! - [`node`] digests shared by the ranks of one node; [`bell`] wakes those who wait for one
//! - [`dl`] the handles
//! - [`layered`] which libraries of layers go first
//! - [`code`] addresses, and code by name
//! - [`table`] plugin tables, read where [`memory`] can be read
//! - [`callback`] running one; [`inside`] a constructor or a callback
//! - [`runtime`] one dlcast a process
//! - [`program`] what execve and ld.so would make of a program; [`exec`] becoming it; [`needs`] what ld.so would
//!   load with it; [`probe`] asking an MPI, in a process of its own

pub mod bell;
pub mod callback;
pub mod code;
mod digest;
pub mod dl;
pub mod door;
pub mod exec;
pub mod identify;
pub mod inside;
pub mod layered;
pub mod memory;
pub mod needs;
pub mod node;
pub mod probe;
pub mod program;
pub mod python;
pub mod runtime;
pub mod search;
pub mod table;

use std::path::PathBuf;

use crate::outcome::Failure;
use crate::plan::{Item, Library};
use crate::request::OpenFlags;

/// Which inode is mapped at an address, if that is known.
pub type InodeAt = fn(usize) -> Option<u64>;

/// Opens libraries for a round. Implemented by [`dl::Host`], and by the simulation.
pub trait Opener {
    /// What the caller means by `spelling`; never fails: a library that cannot be found or read has no identity, and
    /// opening it says why. `opened`: the program has it open, and means that one.
    fn find(&mut self, spelling: &str, flags: OpenFlags, opened: bool) -> Library;
    /// The paths under which the program itself has opened copies of this library, if more than one.
    fn copies(&mut self, library: &Library) -> Vec<String>;
    /// Is there a file of the agreed identity? Opens nothing.
    fn stage(&mut self, item: &Item) -> Result<(), Failure>;
    /// Opens it so that nobody else sees its symbols, or finds it open.
    fn open(&mut self, library: &Library) -> Result<(), Failure>;
    /// Makes it as visible as its flags say.
    fn commit(&mut self, library: &Library) -> Result<(), Failure>;
    /// Tells of files that have been mapped by anybody since the last call: path and load base; `everything`: there are no others. `inode` tells which file is
    /// mapped at a load base, should that be in question; it is slow. Returns those that were opened by [`Opener::open`].
    fn note_mapped(&mut self, files: Vec<(PathBuf, usize)>, everything: bool, inode: InodeAt) -> Vec<PathBuf>;
}
