//! Tests of the whole: scenarios on simulated ranks, the wire under fire, the house rules, the generated header.

#[cfg(test)]
mod header;
