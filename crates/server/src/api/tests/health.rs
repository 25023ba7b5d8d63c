//! Health, metrics, documentation, and the headers on everything.

use axum::Router;
use axum::routing::get;
use reqwest::Method;
use serde_json::Value;

use super::{Site, serve};
use crate::api::router::{document, layered};
use crate::{Config, Server};

#[tokio::test]
async fn both_listeners_tell_their_health() {
    let site = Site::start().await;
    for base in [&site.url, &site.admin_url] {
        for path in ["/livez", "/readyz"] {
            assert_eq!(site.client.get(format!("{base}{path}")).send().await.unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let site = Site::start().await;
    site.get("/v1/users/@nobody").whole().await;
    site.get("/no/such/path").whole().await;
    site.ask(Method::from_bytes(b"INVENTED").unwrap(), "/v1/me").whole().await;
    let metrics = site.client.get(format!("{}/metrics", site.admin_url)).send().await.unwrap().text().await.unwrap();
    for line in [
        "sparrow_http_requests_total{method=\"GET\",route=\"/v1/users/{user}\",status=\"401\"} 1",
        "sparrow_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "sparrow_http_requests_total{method=\"other\",route=\"/v1/me\",status=\"405\"} 1",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
}

#[tokio::test]
async fn every_answer_protects_itself() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    for path in ["/v1/me", "/nothing", "/", "/docs/", "/openapi.json", "/livez"] {
        let (_, headers, _) = site.get(path).by(&alice).whole().await;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"), "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"), "{path}");
        assert!(!headers["x-request-id"].is_empty(), "{path}");
    }
    let (_, headers, _) = site.get("/v1/me").by(&alice).whole().await;
    assert_eq!(headers["cache-control"], "no-store");
    let (_, headers, _) = site.get("/v1/me").whole().await;
    assert_eq!(headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn the_documentation_is_served() {
    let site = Site::start().await;
    let served: Value = site.get("/openapi.json").answer(200).await;
    assert_eq!(served, document());
    for path in ["/", "/docs/", "/docs/swagger-ui-bundle.js", "/docs/swagger-initializer.js"] {
        assert_eq!(site.get(path).whole().await.0, 200, "{path}");
    }
    let (_, _, initializer) = site.get("/docs/swagger-initializer.js").whole().await;
    assert!(initializer.contains("/openapi.json"));
}

/// A documented operation exists: it answers something other than "no such path" or "no such method".
#[tokio::test]
async fn every_documented_operation_is_routed() {
    let site = Site::start().await;
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace("{user}", "@nobody").replace(['{', '}'], "");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let (status, _, body) = site.ask(method.clone(), &path).whole().await;
            assert!(!matches!(status, 404 | 405), "{method} {path}: {body}");
        }
    }
}

#[tokio::test]
async fn a_panic_costs_one_answer_and_is_counted() {
    let site = Site::start().await;
    let broken: Router<_> = Router::new().route("/broken", get(async || -> &'static str { panic!("on purpose") }));
    let (url, server) = serve(layered(broken, site.node.clone())).await;
    let response = site.client.get(format!("{url}/broken")).send().await.unwrap();
    assert_eq!(response.status(), 500);
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["code"], "internal");
    assert_eq!(site.node.metrics.http_panics.get(), 1);
    assert_eq!(site.client.get(format!("{url}/nothing")).send().await.unwrap().status(), 404);
    server.abort();
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let site = Site::start_with(|config| config.limits.http_timeout = std::time::Duration::from_millis(20)).await;
    let stuck: Router<_> = Router::new().route("/stuck", get(std::future::pending::<&'static str>));
    let (url, server) = serve(layered(stuck, site.node.clone())).await;
    let response = site.client.get(format!("{url}/stuck")).send().await.unwrap();
    assert_eq!(response.status(), 503);
    let error: Value = response.json().await.unwrap();
    assert_eq!((&error["code"], &error["retryable"]), (&"unavailable".into(), &true.into()));
    server.abort();
}

#[tokio::test]
async fn a_websocket_request_that_is_none_is_refused_like_any_other() {
    let data = tempfile::TempDir::new().unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let config =
        Config { listen: any, tcp_listen: any, admin_listen: any, data: data.path().to_owned(), ..Config::default() };
    let server = Server::start(config).await.unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let response = reqwest::get(format!("http://{}/v1/ws", server.addresses().http)).await.unwrap();
    assert_eq!(response.status(), 400);
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["code"], "invalid_request");
    server.shutdown().await;
}
