//! Which web pages may connect: those of the node's own addresses, and those that its operator names.
//!
//! Browsers put the page's origin into `Origin`; other clients leave it out and are let in. The token is in the first
//! frame, not in a cookie, so a foreign page has nothing to gain; this keeps it from trying.

use std::net::SocketAddr;

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use sparrow_protocol::Code;

use crate::config::Origin;
use crate::failure::Failure;

/// The origins whose pages may connect.
#[derive(Debug)]
pub(crate) struct Origins(Vec<Origin>);

impl Origins {
    /// Those that were configured, and those of the address that is listened on.
    pub(crate) fn new(configured: &[Origin], listen: SocketAddr) -> Self {
        let mut origins = configured.to_vec();
        let mut own = vec![listen.to_string()];
        if listen.ip().is_loopback() {
            own.push(format!("localhost:{}", listen.port()));
        }
        for authority in own {
            let of = |scheme: &&str| Origin::parse(&format!("{scheme}://{authority}"));
            origins.extend(["http", "https"].iter().filter_map(of));
        }
        Self(origins)
    }

    /// Lets a request in that names one of the origins, or none.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Failure> {
        for origin in headers.get_all(ORIGIN) {
            let known = origin.to_str().ok().and_then(Origin::parse).is_some_and(|origin| self.0.contains(&origin));
            if !known {
                let sentence = "Pages of this origin may not connect; the server's operator can add it to web.origins.";
                return Err(Failure::new(Code::Forbidden, sentence));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn allowed(origins: &Origins, values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ORIGIN, HeaderValue::from_static(value));
        }
        origins.check(&headers).is_ok()
    }

    #[test]
    fn only_whole_origins_match() {
        let configured = [Origin::parse("https://good.example").unwrap()];
        let origins = Origins::new(&configured, "127.0.0.1:7700".parse().unwrap());
        let own = ["http://127.0.0.1:7700", "http://localhost:7700"];
        for origin in ["https://good.example", "https://GOOD.example:443"].iter().chain(&own) {
            assert!(allowed(&origins, &[origin]), "{origin}");
        }
        for origin in ["https://good.example.evil", "http://good.example", "https://good.example:444", "null", ""] {
            assert!(!allowed(&origins, &[origin]), "{origin}");
        }
        assert!(allowed(&origins, &[]));
        assert!(!allowed(&origins, &["https://good.example", "https://evil.example"]));
    }
}
