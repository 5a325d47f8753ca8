//! What a scan finds.
