//! What a library registers when it is a plugin, what callbacks do, and the requests for them.

use super::scenario::{Content, identity, path};
use crate::code::{CodePlace, CodeRef, Home};
use crate::request::Request;

/// The table that a plugin's constructors fill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugin {
    /// Unique among what a session has loaded, or an error.
    pub name: String,
    /// How many; their names follow from the plugin's.
    pub tasks: u32,
    /// Tags of its callbacks, in order.
    pub callbacks: Vec<u64>,
    /// What its constructors ask for.
    pub requests: Vec<Request>,
}

/// How a callback goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calling {
    /// It works.
    Works,
    /// It says that it failed.
    Fails,
    /// It panics.
    Panics,
}

impl Plugin {
    /// The plugin that a content is, unless a scenario says otherwise.
    pub fn of(content: Content, tasks: u32) -> Self {
        Plugin { name: format!("plugin{content}"), tasks, ..Plugin::default() }
    }

    /// With a callback.
    #[must_use]
    pub fn calls(mut self, tag: u64) -> Self {
        self.callbacks.push(tag);
        self
    }

    /// With a request.
    #[must_use]
    pub fn asks(mut self, request: Request) -> Self {
        self.requests.push(request);
        self
    }
}

/// The only native function of a library, with a tag.
pub fn native(content: Content, tag: u64) -> Request {
    let library = Home { identity: identity(content), path: path(content) };
    let place = CodePlace::Symbol { library, symbol: "setup".into() };
    Request::Callback { code: CodeRef::new(place, ""), tag }
}

/// The only function of Python, with a tag.
pub fn python(tag: u64) -> Request {
    let place = CodePlace::Python { module: "pkg".into(), qualname: "setup".into() };
    Request::Callback { code: CodeRef::new(place, ""), tag }
}

/// That a library's registrations go.
pub fn unload(content: Content) -> Request {
    Request::Unload { spelling: path(content) }
}
