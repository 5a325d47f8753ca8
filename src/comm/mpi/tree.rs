//! Merging variable bytes up a binomial tree in the order of the ranks, and the result down again: two messages for
//! every rank but one, whatever the sizes. MPI has no reduction of variable length.
//!
//! It does not look into the bytes.

use std::ffi::c_int;

use mpi::ffi;

use super::call::{Incoming, Request, improbe, isend};
use crate::comm::{CommError, MergeFn};

/// Tags on dlcast's own communicator. Messages between two ranks do not overtake, and both ends do one merge after the
/// other, so that two tags suffice.
const UP: c_int = 1;
const DOWN: c_int = 2;

/// A merge under way.
pub struct Tree {
    comm: ffi::MPI_Comm,
    rank: u32,
    with: MergeFn,
    /// This subtree's share, later the whole.
    bytes: Vec<u8>,
    /// Ranks whose subtrees follow this rank, nearest first: merging them in this order keeps the order of the ranks.
    children: Vec<u32>,
    /// How many of them have been merged.
    merged: usize,
    incoming: Option<Incoming>,
    sent_up: Option<Request>,
    sent_down: Vec<Request>,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Collecting,
    SendingUp,
    Awaiting,
    SendingDown,
}

impl Tree {
    pub fn start(comm: ffi::MPI_Comm, rank: u32, size: u32, bytes: Vec<u8>, with: MergeFn) -> Self {
        Tree {
            comm,
            rank,
            with,
            bytes,
            children: children(rank, size),
            merged: 0,
            incoming: None,
            sent_up: None,
            sent_down: Vec::new(),
            stage: Stage::Collecting,
        }
    }

    /// The whole, once [`Tree::test`] has said true.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Moves it on as far as it goes without blocking.
    pub fn test(&mut self) -> Result<bool, CommError> {
        if self.stage == Stage::Collecting {
            while let Some(&child) = self.children.get(self.merged) {
                let Some(theirs) = self.receive(child, UP)? else { return Ok(false) };
                self.bytes = (self.with)(&self.bytes, &theirs);
                self.merged += 1;
            }
            match parent(self.rank) {
                Some(parent) => {
                    self.sent_up = Some(isend(self.comm, parent, UP, &self.bytes)?);
                    self.stage = Stage::SendingUp;
                }
                None => self.send_down()?,
            }
        }
        if self.stage == Stage::SendingUp {
            if let Some(request) = &mut self.sent_up
                && !request.test()?
            {
                return Ok(false);
            }
            self.stage = Stage::Awaiting;
        }
        if self.stage == Stage::Awaiting
            && let Some(parent) = parent(self.rank)
        {
            let Some(whole) = self.receive(parent, DOWN)? else { return Ok(false) };
            self.bytes = whole;
            self.send_down()?;
        }
        for request in &mut self.sent_down {
            if !request.test()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn send_down(&mut self) -> Result<(), CommError> {
        self.stage = Stage::SendingDown;
        // Farthest first: its subtree is the largest.
        for &child in self.children.iter().rev() {
            self.sent_down.push(isend(self.comm, child, DOWN, &self.bytes)?);
        }
        Ok(())
    }

    fn receive(&mut self, from: u32, tag: c_int) -> Result<Option<Vec<u8>>, CommError> {
        if self.incoming.is_none() {
            self.incoming = improbe(self.comm, Some(from), tag)?;
        }
        match &mut self.incoming {
            Some(incoming) => match incoming.request.test()? {
                true => Ok(self.incoming.take().map(|incoming| incoming.bytes)),
                false => Ok(None),
            },
            None => Ok(None),
        }
    }
}

/// The rank without its lowest set bit.
fn parent(rank: u32) -> Option<u32> {
    (rank != 0).then(|| rank & (rank - 1))
}

/// The ranks of which `rank` is the parent, ascending; the subtree of each is a run of ranks.
fn children(rank: u32, size: u32) -> Vec<u32> {
    let most = if rank == 0 { u32::BITS - 1 } else { rank.trailing_zeros() };
    (0..most).map(|bit| rank + (1 << bit)).take_while(|&child| child < size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_reaches_every_rank_once_in_order() {
        fn walk(rank: u32, size: u32, seen: &mut Vec<u32>) {
            seen.push(rank);
            for child in children(rank, size) {
                assert_eq!(parent(child), Some(rank));
                walk(child, size, seen);
            }
        }
        for size in 1..200 {
            let mut seen = Vec::new();
            walk(0, size, &mut seen);
            assert_eq!(seen, (0..size).collect::<Vec<_>>());
        }
    }
}
