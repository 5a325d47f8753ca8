//! Must fail: a callback that panics. The wrapper of `#[callback]` catches it, and what it said becomes the message.
//! Must say: panicked: index out of bounds: the len is 4 but the index is 7

dlcast_plugin::plugin!("panics");

#[dlcast_plugin::callback(payload = b"cell")]
fn run(payload: &[u8], _tag: u64) -> Result<(), String> {
    let last = payload[usize::from(payload[0] % 4 + payload.len() as u8)];
    Err(format!("the last is {last}"))
}
