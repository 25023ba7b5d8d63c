//! Pages for people: the front page, `/openapi.json`, and `/docs`, a viewer for it that is compiled in.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The viewer runs its own scripts and reads this server; nothing else is loaded from anywhere.
const VIEWER_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const FRONT_PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Sparrow</title>\n<h1>Sparrow ",
    env!("CARGO_PKG_VERSION"),
    "</h1>\n<p>This is a Sparrow messaging server. In a terminal, make an account and chat:</p>\n",
    "<pre>sparrow chat --server ADDRESS --user NAME --register</pre>\n",
    "<p>ADDRESS is that of this page. The HTTP interface is described at <a href=\"/docs/\">/docs</a>.</p>\n</html>\n",
);

/// The routes of this file, serving this document.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(document: String) -> Router<S> {
    let document: Arc<str> = document.into();
    let json = async move || ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], document.to_string());
    let viewer = SwaggerUi::new("/docs").config(Config::from("/openapi.json").use_base_layout());
    let viewer: Router<S> = viewer.into();
    Router::new()
        .route("/", get(async || Html(FRONT_PAGE)))
        .route("/openapi.json", get(json))
        .merge(viewer.layer(middleware::from_fn(viewer_policy)))
}

async fn viewer_policy(request: Request, next: Next) -> Response {
    let headers = [(CONTENT_SECURITY_POLICY, VIEWER_POLICY), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    (headers, next.run(request).await).into_response()
}
