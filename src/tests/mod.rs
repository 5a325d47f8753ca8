//! Tests of the whole: scenarios on simulated ranks, the wire under fire, the house rules, the generated header.

mod architecture;
mod header;
mod simulation;
mod wire;
