//! The simulated communicator itself: what it takes for a mismatch, in which order it merges, what waits for what.

use crate::comm::sim::{Broadcasts, SimComm, World};
use crate::comm::{Agreed, Collective, Comm, CommError, MergeFn, Reply};

fn start(world: &World, rank: u32, collective: Collective) -> SimComm {
    let mut comm = world.comm(rank);
    comm.start(collective).unwrap();
    comm
}

fn finish(comm: &mut SimComm) -> Option<Reply> {
    (0..10).find_map(|_| comm.test().unwrap()).map(Agreed::into_inner)
}

#[test]
fn other_kinds_in_one_place_are_named_with_their_ranks() {
    let world = World::new(3, 1, Broadcasts::Eager, Vec::new());
    start(&world, 0, Collective::Max(vec![1, 2]));
    start(&world, 2, Collective::Broadcast { root: 0, len: 5, bytes: None });
    let said = world.failures();
    assert_eq!(
        said[0],
        "rank 2 started broadcast of 5 bytes from rank 0 where rank 0 started max of 2 words (collective 0)"
    );
    assert!(
        said.contains(&"stuck: rank 0 waits in max of 2 words (collective 0) for ranks 1, 2".to_string()),
        "{said:?}"
    );
}

#[test]
fn other_words_lengths_roots_and_functions_are_mismatches() {
    fn left(a: &[u8], _: &[u8]) -> Vec<u8> {
        a.to_vec()
    }
    fn right(_: &[u8], b: &[u8]) -> Vec<u8> {
        b.to_vec()
    }
    let receive = |root, len| Collective::Broadcast { root, len, bytes: None };
    let merge = |with| Collective::Merge { bytes: Vec::new(), with };
    let pairs = [
        (Collective::Max(vec![0; 2]), Collective::Max(vec![0; 3])),
        (receive(2, 5), receive(2, 6)),
        (receive(2, 5), receive(3, 5)),
        (merge(left as MergeFn), merge(right as MergeFn)),
    ];
    for (one, other) in pairs {
        let world = World::new(4, 1, Broadcasts::Eager, Vec::new());
        start(&world, 0, one);
        assert!(!world.broken());
        start(&world, 1, other);
        assert!(world.broken());
    }
}

#[test]
fn a_merge_is_in_the_order_of_the_ranks_whatever_the_order_of_arrival() {
    fn join(a: &[u8], b: &[u8]) -> Vec<u8> {
        [a, b].concat()
    }
    for size in 1..20 {
        let world = World::new(size, u64::from(size), Broadcasts::Eager, Vec::new());
        let share = |rank: u32| Collective::Merge { bytes: vec![rank as u8], with: join };
        let mut comms: Vec<SimComm> = (0..size).rev().map(|rank| start(&world, rank, share(rank))).collect();
        let whole: Vec<u8> = (0..size as u8).collect();
        assert!(comms.iter_mut().all(|comm| finish(comm) == Some(Reply::Bytes(whole.clone()))));
        assert!(!world.broken());
    }
}

#[test]
fn a_broadcast_waits_for_its_root_and_in_a_tree_for_those_between() {
    let send = Collective::Broadcast { root: 1, len: 1, bytes: Some(vec![7]) };
    let receive = || Collective::Broadcast { root: 1, len: 1, bytes: None };
    let world = World::new(4, 1, Broadcasts::Tree, Vec::new());
    // From rank 1 the tree goes 1 -> 2, 1 -> 3 -> 0.
    let mut leaf = start(&world, 0, receive());
    assert!(world.blocked(0) && finish(&mut leaf).is_none());
    start(&world, 1, send);
    assert!(world.blocked(0) && !world.blocked(1));
    start(&world, 3, receive());
    assert!(!world.blocked(0));
    assert_eq!(finish(&mut leaf), Some(Reply::Bytes(vec![7])));
}

#[test]
fn a_second_collective_before_the_first_is_complete_is_refused() {
    let world = World::new(2, 1, Broadcasts::Eager, Vec::new());
    let mut comm = start(&world, 0, Collective::Max(vec![0]));
    assert_eq!(comm.start(Collective::Max(vec![0])), Err(CommError::Busy));
    world.end(0);
    assert_eq!(world.failures().len(), 3);
}
