//! A load on every rank, written by hand: as many collectives as a round has, one digest a node, one dlopen a rank.
//!
//! It is what somebody would write who knows that all ranks behave: nothing is checked against a deadline, nothing is
//! undone, an error is a panic. So it is below what any honest version can cost.

use std::ffi::{CString, c_int};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mpi::ffi;
use mpi::raw::AsRaw;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::job::Job;

/// Which calls of MPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The same as dlcast's, each followed by MPI_Wait.
    NonBlocking,
    /// MPI_Allreduce and MPI_Bcast, which can wait for nothing else and know no deadline.
    Blocking,
}

/// Words of the allreduce that agrees: as many as dlcast's.
const AGREE: usize = 13;

/// Who names a library that the others do not know: a rank that leads its node.
pub const ROOT: i32 = 0;

/// A communicator for the loads by hand.
pub struct Floor {
    comm: SimpleCommunicator,
    rank: i32,
    leads: bool,
}

impl Floor {
    /// # Collective
    /// All ranks.
    pub fn new(job: &Job) -> Self {
        Floor { comm: job.world.duplicate(), rank: job.rank, leads: job.leads }
    }

    /// Nobody wants anything, on which all agree.
    ///
    /// # Collective
    /// All ranks.
    pub fn nobody_names_any(&self, style: Style) {
        assert_eq!(self.max(style, [0; AGREE]), [0; AGREE]);
    }

    /// All ranks know the library: its name and its digest are agreed on, every rank opens it, the outcome is agreed on.
    ///
    /// # Collective
    /// All ranks.
    pub fn all_name_it(&self, style: Style, path: &Path) {
        let mut words = [0; AGREE];
        if self.leads {
            words[..4].copy_from_slice(&digest(path));
        }
        // The digest is that of the leaders' files: without the name a rank that means another one would go unnoticed.
        let name = number(path);
        words[4..6].copy_from_slice(&[name, !name]);
        let agreed = self.max(style, words);
        assert_eq!(agreed[4], !agreed[5], "two ranks have different names");
        assert!(!self.leads || agreed[..4] == words[..4], "two nodes have different files");
        let opened = open(path);
        assert_eq!(self.max(style, [u64::from(!opened), 0, 0, 0, 0, 0]), [0; 6], "dlopen failed");
    }

    /// One rank knows the library: that it does is agreed on, it tells which, every node looks at its file, every rank
    /// opens it, the outcome is agreed on.
    ///
    /// # Collective
    /// All ranks.
    pub fn one_names_it(&self, style: Style, path: &Path) {
        let mut words = [0; AGREE];
        let mut message = Vec::new();
        if self.rank == ROOT {
            let digest = digest(path);
            words[..4].copy_from_slice(&digest);
            digest.iter().for_each(|word| message.extend(word.to_le_bytes()));
            message.extend(path.as_os_str().as_bytes());
            words[12] = message.len() as u64;
        }
        let agreed = self.max(style, words);
        message.resize(usize::try_from(agreed[12]).expect("the root has told a length"), 0);
        self.broadcast(style, &mut message);
        let (digest_sent, name) = message.split_at(32);
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name));
        // The root has read it for its own node; for another node its first rank does.
        let same = match self.leads && self.rank != ROOT {
            true => digest(&path).iter().flat_map(|word| word.to_le_bytes()).eq(digest_sent.iter().copied()),
            false => path.metadata().is_ok(),
        };
        assert_eq!(self.max(style, [u64::from(!same)]), [0], "a rank has another file");
        let opened = open(&path);
        assert_eq!(self.max(style, [u64::from(!opened), 0, 0, 0, 0, 0]), [0; 6], "dlopen failed");
    }

    fn max<const N: usize>(&self, style: Style, words: [u64; N]) -> [u64; N] {
        let mut answer = [0u64; N];
        let (from, to) = (words.as_ptr().cast(), answer.as_mut_ptr().cast());
        let (count, comm) = (N as c_int, self.comm.as_raw());
        // SAFETY: both arrays hold N words and outlive the operation, which is complete when this returns.
        let code = unsafe {
            match style {
                Style::Blocking => ffi::MPI_Allreduce(from, to, count, ffi::RSMPI_UINT64_T, ffi::RSMPI_MAX, comm),
                Style::NonBlocking => {
                    let mut request = ffi::RSMPI_REQUEST_NULL;
                    let (words, max) = (ffi::RSMPI_UINT64_T, ffi::RSMPI_MAX);
                    ffi::MPI_Iallreduce(from, to, count, words, max, comm, &mut request)
                        | ffi::MPI_Wait(&mut request, ffi::RSMPI_STATUS_IGNORE)
                }
            }
        };
        assert_eq!(code, 0, "MPI failed");
        answer
    }

    fn broadcast(&self, style: Style, bytes: &mut [u8]) {
        let count = c_int::try_from(bytes.len()).expect("a short message");
        let (buffer, comm) = (bytes.as_mut_ptr().cast(), self.comm.as_raw());
        // SAFETY: the buffer has `count` bytes on every rank and outlives the operation.
        let code = unsafe {
            match style {
                Style::Blocking => ffi::MPI_Bcast(buffer, count, ffi::RSMPI_UINT8_T, ROOT, comm),
                Style::NonBlocking => {
                    let mut request = ffi::RSMPI_REQUEST_NULL;
                    ffi::MPI_Ibcast(buffer, count, ffi::RSMPI_UINT8_T, ROOT, comm, &mut request)
                        | ffi::MPI_Wait(&mut request, ffi::RSMPI_STATUS_IGNORE)
                }
            }
        };
        assert_eq!(code, 0, "MPI failed");
    }
}

fn digest(path: &Path) -> [u64; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).expect("the library was just written")).expect("it can be read");
    let digest = *hasher.finalize().as_bytes();
    std::array::from_fn(|at| u64::from_le_bytes(std::array::from_fn(|byte| digest[8 * at + byte])))
}

/// Of a name (FNV-1a).
fn number(path: &Path) -> u64 {
    let step = |number: u64, byte: &u8| (number ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn open(path: &Path) -> bool {
    let name = CString::new(path.as_os_str().as_bytes()).expect("a path without NUL");
    // SAFETY: a NUL-terminated path of a library without constructors of its own.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    !handle.is_null()
}
