//! The state, driven by events as the loop drives it.
