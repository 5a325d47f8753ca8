//! What was seen: the difference of the link maps, and where a thread is ([`frames`]). Mechanism ([`maps`]) apart from policy
//! ([`policy`]).

pub mod frames;
pub mod maps;
pub mod policy;
