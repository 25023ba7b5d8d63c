//! The routes of both listeners, and the layers around them.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;

use super::state::Api;
use super::{accounts, conversations, devices, docs, health, members, messages, openapi, respond, users};
use crate::node::Node;

/// What the public listener serves. `websocket` is the route of the other carrier, whose refusals are answered like
/// everybody's.
pub(crate) fn router(node: Arc<Node>, websocket: Router) -> Router {
    let (routes, _) = documented_routes().split_for_parts();
    let pages = docs::routes(document().to_string());
    layered(routes.merge(pages).merge(websocket.with_state(())), node)
}

/// What the admin listener serves.
pub(crate) fn admin_router(node: Arc<Node>) -> Router {
    let (routes, _) = health::routes().split_for_parts();
    layered(routes.route("/metrics", get(health::metrics)), node)
}

/// The description of the HTTP API.
pub(super) fn document() -> serde_json::Value {
    let (_, document) = documented_routes().split_for_parts();
    openapi::complete(&document)
}

fn documented_routes() -> OpenApiRouter<Arc<Api>> {
    openapi::documented()
        .merge(accounts::routes())
        .merge(devices::routes())
        .merge(users::routes())
        .merge(conversations::routes())
        .merge(members::routes())
        .merge(messages::routes())
        .merge(health::routes())
}

/// Around every route, the outermost first: headers and error bodies, the panic guard, the time limit.
pub(super) fn layered(routes: Router<Arc<Api>>, node: Arc<Node>) -> Router {
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
        .with_state(Arc::new(Api::new(node)))
}
