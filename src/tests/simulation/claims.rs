//! What dlcast promises, one scenario a promise.
