//! Identities shared by the ranks of one node: the first that needs a file reads it, the others take its word.
//!
//! A file of records in memory (`/dev/shm`), under a name that only the ranks of one session know and without that name
//! once all have opened it. Ranks in other containers have another file: they see other files, too. It is a cache: where
//! it fails, a rank reads for itself.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::bell::{self, Bell};
use super::identify::Stamp;
use crate::identity::Identity;
use crate::wire;

/// How long the lock is waited for: a rank that was stopped while it held it must not stop the others.
const PATIENCE: Duration = Duration::from_secs(20);
/// Read in one piece; larger than any record.
const AT_ONCE: usize = 1 << 14;
/// The rank that reads rings when it is through; should it die over it, the others find out after this long.
const SLEEP: Duration = Duration::from_millis(100);
/// Instead of that where there is no bell.
const NAP: Duration = Duration::from_millis(1);
/// A record is small; a larger one was not written by us.
const MOST_RECORD: usize = 1 << 13;

/// What a look into the cache came to.
enum Found {
    Identity(Identity),
    /// This rank is to read the file, and holds the lock.
    Lock,
    /// The cache cannot be used.
    Nothing,
}

/// One session's cache on this node.
pub struct NodeCache {
    file: File,
    bell: Option<Bell>,
    name: Option<PathBuf>,
    read_up_to: u64,
    buffer: Box<[u8]>,
    known: HashMap<Stamp, Identity>,
}

impl NodeCache {
    /// Opens or creates the cache `name` in `folder`; `None` where that is not possible.
    pub fn open(folder: &Path, name: &str) -> Option<Self> {
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        // The name is random and unknown to others; a link put there all the same is not followed.
        options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path).ok()?;
        Some(NodeCache {
            bell: Bell::in_file(&file),
            file,
            name: Some(path),
            read_up_to: bell::SIZE,
            buffer: vec![0; AT_ONCE].into(),
            known: HashMap::new(),
        })
    }

    /// Every rank has it open: the name goes, so that nothing is left behind however the job ends.
    pub fn unlink(&mut self) {
        if let Some(name) = self.name.take() {
            // Another rank of the node may have been faster.
            let _gone = std::fs::remove_file(name);
        }
    }

    /// What the node knows of `stamp`, or what `read` finds out, for all. Errors are not shared: they may be this rank's.
    pub fn get_or<E>(&mut self, stamp: Stamp, read: &mut impl FnMut() -> Result<Identity, E>) -> Result<Identity, E> {
        match self.look_or_lock(stamp) {
            Found::Identity(identity) => Ok(identity),
            Found::Nothing => read(),
            Found::Lock => {
                // The rank that had the lock may just have read this file.
                self.catch_up();
                let found = match self.known.get(&stamp) {
                    Some(identity) => Ok(identity.clone()),
                    None => read().inspect(|identity| self.append(stamp, identity)),
                };
                let _unlocked = self.file.unlock();
                if let Some(bell) = &self.bell {
                    bell.ring();
                }
                found
            }
        }
    }

    /// Reading needs no lock: records are appended whole. Only who finds nothing queues up to be the one that reads.
    fn look_or_lock(&mut self, stamp: Stamp) -> Found {
        let mut start = None;
        loop {
            let heard = self.bell.as_ref().map(Bell::rings);
            if !self.known.contains_key(&stamp) {
                self.catch_up();
            }
            if let Some(identity) = self.known.get(&stamp) {
                return Found::Identity(identity.clone());
            }
            match self.file.try_lock() {
                Ok(()) => return Found::Lock,
                Err(TryLockError::WouldBlock) if start.get_or_insert_with(Instant::now).elapsed() < PATIENCE => {
                    match (&self.bell, heard) {
                        (Some(bell), Some(heard)) => bell.sleep(heard, SLEEP),
                        _ => std::thread::sleep(NAP),
                    }
                }
                Err(_) => return Found::Nothing,
            }
        }
    }

    /// Reads what other ranks have appended.
    fn catch_up(&mut self) {
        loop {
            let Ok(read) = self.file.read_at(&mut self.buffer, self.read_up_to) else { return };
            let mut rest = &self.buffer[..read];
            while let Some((stamp, identity, after)) = take_record(rest) {
                self.known.insert(stamp, identity);
                rest = after;
            }
            let taken = read - rest.len();
            self.read_up_to += taken as u64;
            // Less than a buffer was there, or what is there is no record: that is all for now.
            if read < AT_ONCE || taken == 0 {
                return;
            }
        }
    }

    fn append(&mut self, stamp: Stamp, identity: &Identity) {
        let body = wire::encode(identity);
        let mut record = Vec::with_capacity(60 + body.len());
        stamp.0.iter().for_each(|word| record.extend_from_slice(&word.to_le_bytes()));
        record.extend_from_slice(&(body.len() as u32).to_le_bytes());
        record.extend_from_slice(&body);
        if self.file.write_all(&record).is_ok() {
            self.known.insert(stamp, identity.clone());
        }
    }
}

fn take_record(bytes: &[u8]) -> Option<(Stamp, Identity, &[u8])> {
    let (head, rest) = bytes.split_at_checked(60)?;
    let mut words = head.chunks_exact(8).map(|chunk| {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let mut stamp = [0; 7];
    stamp.iter_mut().for_each(|word| *word = words.next().unwrap_or(0));
    let mut len = [0; 4];
    len.copy_from_slice(&head[56..]);
    let len = u32::from_le_bytes(len) as usize;
    if len > MOST_RECORD {
        return None;
    }
    let (body, rest) = rest.split_at_checked(len)?;
    Some((Stamp(stamp), wire::decode(body, 1).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(size: u64) -> Identity {
        Identity { name: "libx.so.1".into(), size, build_id: Some(vec![1, 2]), digest: [7; 32] }
    }

    #[test]
    fn one_rank_of_a_node_reads_and_the_others_take_its_word() {
        let folder = tempfile::tempdir().unwrap();
        let mut reads = 0;
        for rank in 0..4u64 {
            let mut cache = NodeCache::open(folder.path(), "cache").unwrap();
            for file in 0..3u64 {
                let found: Result<Identity, ()> = cache.get_or(Stamp([file; 7]), &mut || {
                    reads += 1;
                    Ok(identity(file))
                });
                assert_eq!(found, Ok(identity(file)), "rank {rank}");
            }
        }
        assert_eq!(reads, 3);
    }

    #[test]
    fn a_failed_read_is_not_shared() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = NodeCache::open(folder.path(), "cache").unwrap();
        assert_eq!(cache.get_or(Stamp([1; 7]), &mut || Err("denied")), Err("denied"));
        assert_eq!(cache.get_or::<()>(Stamp([1; 7]), &mut || Ok(identity(1))), Ok(identity(1)));
    }

    #[test]
    fn a_spoiled_cache_is_read_around() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cache"), [0xff; 100]).unwrap();
        let mut cache = NodeCache::open(folder.path(), "cache").unwrap();
        assert_eq!(cache.get_or::<()>(Stamp([1; 7]), &mut || Ok(identity(1))), Ok(identity(1)));
    }

    #[test]
    fn nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = NodeCache::open(folder.path(), "cache").unwrap();
        let mut two = NodeCache::open(folder.path(), "cache").unwrap();
        one.unlink();
        two.unlink();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
