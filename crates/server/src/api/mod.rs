//! HTTP: `/v1`, health, metrics and the documentation. Handlers are thin: they parse the request into types, call a
//! feature, and write its answer; what may be done is decided in the features.
//!
//! Every answer with an error status is written by [`respond`], in the wire's `Error` form, whoever refused.

mod health;
mod refuse;
mod respond;
mod router;

pub(crate) use router::{admin_router, router};
