//! Notes between simulated ranks: in order from one rank to another, late, and in any order otherwise.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::comm::{CommError, Control};
use crate::request::Lane;
use crate::wire::{self, Note};

/// Letters under way.
pub struct Network {
    random: fastrand::Rng,
    /// By receiver and sender.
    queues: Vec<Vec<VecDeque<Vec<u8>>>>,
    /// Nothing is late any more: to see whether anybody can go on at all.
    pub prompt: bool,
    /// Rings and wakes so far, by lane.
    pub words: [u64; 2],
}

/// The network as one rank has it.
pub struct Line {
    network: Rc<RefCell<Network>>,
    rank: u32,
}

impl Network {
    pub fn new(size: u32, seed: u64) -> Rc<RefCell<Network>> {
        let queues = (0..size).map(|_| vec![VecDeque::new(); size as usize]).collect();
        Rc::new(RefCell::new(Network { random: fastrand::Rng::with_seed(seed), queues, prompt: false, words: [0; 2] }))
    }

    pub fn line(network: &Rc<RefCell<Network>>, rank: u32) -> Line {
        Line { network: network.clone(), rank }
    }
}

impl Control for Line {
    fn post(&mut self, to: u32, note: &[u8]) -> Result<(), CommError> {
        let mut network = self.network.borrow_mut();
        let size = network.queues.len() as u32;
        if let Ok(Note::Ring(lane, _) | Note::Wake(lane, _)) = wire::decode::<Note>(note, size) {
            network.words[usize::from(lane == Lane::Python)] += 1;
        }
        network.queues[to as usize][self.rank as usize].push_back(note.to_vec());
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<(u32, Vec<u8>)>, CommError> {
        let network = &mut *self.network.borrow_mut();
        let queues = &mut network.queues[self.rank as usize];
        let waiting = queues.iter().filter(|queue| !queue.is_empty()).count();
        if waiting == 0 || (!network.prompt && network.random.u8(0..3) == 0) {
            return Ok(None);
        }
        let chosen = network.random.usize(..waiting);
        let from = (0..queues.len()).filter(|&from| !queues[from].is_empty()).nth(chosen).expect("it was counted");
        Ok(queues[from].pop_front().map(|note| (from as u32, note)))
    }
}
