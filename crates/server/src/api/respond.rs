//! What every answer gets, whoever made it: a request id, the `Error` body, security headers, a span, a count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use crate::failure::Failure;
use crate::metrics::{Errors, HttpLabels, Metrics};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The route that is counted for requests to paths that do not exist.
const NO_ROUTE: &str = "none";

/// The outermost layer.
pub(super) async fn finish(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let request_id = uuid::Uuid::now_v7().simple().to_string();
    let method = request.method().to_string();
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("http", %method, %route, %request_id);

    let mut response = next.run(request).instrument(span.clone()).await;
    write_failure(&mut response, &request_id, &metrics.errors);
    write_headers(response.headers_mut(), &request_id);

    let (elapsed, status) = (begun.elapsed(), response.status().as_u16());
    span.in_scope(|| tracing::debug!(status, latency_us = elapsed.as_micros(), "answered"));
    metrics.http_seconds.observe(elapsed.as_secs_f64());
    metrics.http_requests.get_or_create(&HttpLabels { method: known(method), route, status }).inc();
    response
}

/// A method as a label: those this server has, so that an invented one makes no series of its own.
fn known(method: String) -> String {
    if matches!(method.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") {
        method
    } else {
        "other".to_owned()
    }
}

/// Replaces whatever an error answer carries by the `Error` message.
fn write_failure(response: &mut Response, request_id: &str, errors: &Errors) {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let failure = response.extensions_mut().remove::<Failure>().unwrap_or_else(|| super::refuse::from_status(status));
    errors.get_or_create(&failure.code.into()).inc();
    let mut error = failure.to_wire();
    request_id.clone_into(&mut error.request_id);
    let body = serde_json::to_vec(&error).unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(after) = failure.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    *response.status_mut() =
        StatusCode::from_u16(failure.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.body_mut() = Body::from(body);
}

/// A wait as `Retry-After` tells it: rounded up, so that whoever keeps to it is not refused again for the rest.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Headers on every answer. A handler that sets its own policy keeps it.
fn write_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
