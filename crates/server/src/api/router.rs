//! The routes of both listeners, and the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::{health, respond};
use crate::node::Node;

/// What the public listener serves besides WebSocket.
pub(crate) fn router(node: Arc<Node>) -> Router {
    let routes = Router::new().route("/livez", get(health::livez)).route("/readyz", get(health::readyz));
    layered(routes, node)
}

/// What the admin listener serves.
pub(crate) fn admin_router(node: Arc<Node>) -> Router {
    let routes = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics));
    layered(routes, node)
}

/// Around every route, the outermost first: headers and error bodies, the panic guard, the time limit.
fn layered(routes: Router<Arc<Node>>, node: Arc<Node>) -> Router {
    let metrics = node.metrics.clone();
    let panics = node.metrics.http_panics.clone();
    let on_panic = move |_panic| -> Response {
        panics.inc();
        tracing::error!("an HTTP handler panicked");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    };
    routes
        .fallback(async || StatusCode::NOT_FOUND)
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, node.config.limits.http_timeout))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(middleware::from_fn_with_state(metrics, respond::finish))
        .with_state(node)
}
