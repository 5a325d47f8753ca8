//! A library of a layer in JSON, the same in every subcommand.

use serde_json::{Value, json};

use crate::layers::explain::{Place, State};

/// Where it is, and whether those who look for it find it there.
pub fn json(place: &Place) -> Value {
    let state = match &place.state {
        State::Offered => "offered",
        State::NotUsed => "not used",
        State::Excluded => "excluded",
        State::Broken(_) => "broken",
    };
    let what = match &place.state {
        State::Broken(what) => Some(what),
        _ => None,
    };
    json!({ "layer": place.layer, "path": super::shown(&place.path), "state": state, "what": what })
}
