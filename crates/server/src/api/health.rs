//! Is it alive, is it ready, what does it count.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use sparrow_protocol::Code;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::openapi::Unavailable;
use super::state::Api;
use crate::failure::Failure;

/// The store has so long to answer before the node counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The health routes, which both listeners have.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz))
}

/// True while the process answers.
#[utoipa::path(
    get, path = "/livez", tag = "health",
    responses((status = 200, description = "It lives.", body = String, content_type = "text/plain")),
    security(()),
)]
async fn livez() -> &'static str {
    "ok\n"
}

/// True while the node can serve: its store answers.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200, description = "It is ready.", body = String, content_type = "text/plain"), Unavailable),
    security(()),
)]
async fn readyz(State(api): State<Arc<Api>>) -> Result<&'static str, Failure> {
    match tokio::time::timeout(READY_WITHIN, api.node.store.epoch()).await {
        Ok(Ok(_)) => Ok("ok\n"),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::new(Code::Unavailable, "The database does not answer; see the server's log.")),
    }
}

/// The node's metrics, in the text format of Prometheus.
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> impl IntoResponse {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    api.node.measure_queues();
    ([(CONTENT_TYPE, TYPE)], api.node.metrics.encode())
}
