//! HTTP: `/v1`, health, metrics and the documentation. Handlers are thin: they parse the request into types, call a
//! feature, and write its answer; what may be done is decided in the features.
//!
//! Every answer with an error status is written by [`respond`], in the wire's `Error` form, whoever refused.

mod accounts;
mod conversations;
mod cursor;
mod devices;
mod docs;
mod extract;
mod health;
mod members;
mod messages;
mod openapi;
mod paging;
mod refuse;
mod respond;
mod router;
mod state;
#[cfg(test)]
mod tests;
mod users;
mod wire;

pub(crate) use router::{admin_router, router};

/// The description of the HTTP API, as `/openapi.json` serves it, laid out for a file.
pub fn openapi() -> String {
    format!("{:#}\n", router::document())
}
