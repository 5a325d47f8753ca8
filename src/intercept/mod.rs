//! What was seen: the difference of the link maps. Mechanism ([`maps`]) apart from policy ([`policy`]).

pub mod maps;
pub mod policy;
