//! What a node counts. One documented struct, handed around in an `Arc`; no global registry.
//!
//! Names on `/metrics` begin with `sparrow_`. A new metric is a field here, registered in [`Metrics::new`].

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What tells HTTP requests apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct HttpLabels {
    /// The method.
    pub(crate) method: String,
    /// The route's pattern, never the path as asked, so that the number of series is bounded.
    pub(crate) route: String,
    /// The status of the answer.
    pub(crate) status: u16,
}

/// The node's counters and gauges, and the registry that writes them out.
pub(crate) struct Metrics {
    registry: Registry,
    /// HTTP requests answered.
    pub(crate) http_requests: Family<HttpLabels, Counter>,
    /// Time from an HTTP request's header to the header of its answer, in seconds.
    pub(crate) http_seconds: Histogram,
    /// HTTP requests whose handler panicked.
    pub(crate) http_panics: Counter,
    /// Password hashes computed, for registrations and log-ins.
    pub(crate) password_hashes: Counter,
    /// Registrations and log-ins refused because too many were waiting to be hashed.
    pub(crate) password_hashes_refused: Counter,
}

impl Metrics {
    /// All metrics at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("sparrow"),
            http_requests: Family::default(),
            http_seconds: Histogram::new(exponential_buckets(0.001, 2.5, 10)),
            http_panics: Counter::default(),
            password_hashes: Counter::default(),
            password_hashes_refused: Counter::default(),
        };
        metrics.register_http();
        metrics
    }

    fn register_http(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "HTTP requests answered", self.http_requests.clone());
        registry.register("http_seconds", "Seconds to answer an HTTP request", self.http_seconds.clone());
        registry.register("http_panics", "HTTP requests whose handler panicked", self.http_panics.clone());
        registry.register("password_hashes", "Password hashes computed", self.password_hashes.clone());
        registry.register(
            "password_hashes_refused",
            "Registrations and log-ins refused because too many were waiting",
            self.password_hashes_refused.clone(),
        );
    }

    /// All metrics in the Prometheus text format.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics could not be written");
        }
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}
