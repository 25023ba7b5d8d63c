//! Is it alive, is it ready, what does it count.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use sparrow_protocol::Code;

use crate::failure::Failure;
use crate::node::Node;

/// The store has so long to answer before the node counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The process runs and answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// The node can serve: its store answers.
pub(super) async fn readyz(State(node): State<Arc<Node>>) -> Result<&'static str, Failure> {
    match tokio::time::timeout(READY_WITHIN, node.store.epoch()).await {
        Ok(Ok(_)) => Ok("ok\n"),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::new(Code::Unavailable, "The database does not answer; see the server's log.")),
    }
}

/// The node's metrics, in the Prometheus text format.
pub(super) async fn metrics(State(node): State<Arc<Node>>) -> impl IntoResponse {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, TYPE)], node.metrics.encode())
}
