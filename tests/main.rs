//! End-to-end tests against the real binary, one module per promise.
