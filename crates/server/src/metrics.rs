//! What a node counts. One documented struct, handed around in an `Arc`; no global registry.
//!
//! Names on `/metrics` begin with `sparrow_`. A new metric is a field here, registered in [`Metrics::new`].

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use sparrow_protocol::Code;

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
    /// Connections open on the WebSocket and TCP carriers, logged in or not.
    pub(crate) connections: Gauge,
    /// Sessions: connections that are logged in.
    pub(crate) sessions: Gauge,
    /// Connections that ended in a panic, which cost nobody else anything.
    pub(crate) connection_panics: Counter,
    /// Commands that make an entry, by what became of them.
    pub(crate) sends: Family<SendLabels, Counter>,
    /// Commands in one transaction of the append lane.
    pub(crate) batch_commands: Histogram,
    /// Time to store one batch durably, in seconds.
    pub(crate) commit_seconds: Histogram,
    /// Commands that waited for the append lane when the last batch was drained.
    pub(crate) lane_waiting: Gauge,
    /// Pushed frames queued for a session.
    pub(crate) pushes: Counter,
    /// Pushed frames dropped because their session was about to be told to resync.
    pub(crate) pushes_dropped: Counter,
    /// Times that a slow session's queued pushes were replaced by a `Resync`.
    pub(crate) resyncs: Counter,
    /// Cursors of an `Ack` that made no sense: unknown conversation, beyond the head.
    pub(crate) acks_ignored: Counter,
    /// Batches of receipts that were not told because too many were waiting.
    pub(crate) receipts_dropped: Counter,
    /// Cursors that devices acknowledged.
    pub(crate) acks: Counter,
    /// Requests that were refused, on connections and over HTTP, by error code.
    pub(crate) errors: Errors,
    /// What was refused because it came too often or too many were there, by limiter.
    pub(crate) limited: Family<LimiterLabels, Counter>,
    /// What waits in each bounded queue; set when it is asked for.
    pub(crate) queue_depth: Family<QueueLabels, Gauge>,
    /// Connections cut before they could speak.
    pub(crate) entrance_refusals: Family<EntranceLabels, Counter>,
    /// Times the certificate was read again because its files changed or somebody asked.
    pub(crate) certificate_reloads: Family<ReloadLabels, Counter>,
}

/// Refusals, by error code.
pub(crate) type Errors = Family<ErrorLabels, Counter>;

/// What tells refusals apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ErrorLabels {
    /// The error code.
    pub(crate) code: &'static str,
}

impl From<Code> for ErrorLabels {
    fn from(code: Code) -> Self {
        Self { code: code.as_str() }
    }
}

/// What tells limiters apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimiterLabels {
    /// The limiter.
    pub(crate) limiter: &'static str,
}

/// What tells queues apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct QueueLabels {
    /// The queue.
    pub(crate) queue: &'static str,
}

/// What tells those apart that do not get past a listener's entrance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct EntranceLabels {
    /// `tls`, `proxy`, `forwarded` or `late`.
    pub(crate) reason: &'static str,
}

/// What tells reloads of the certificate apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReloadLabels {
    /// `loaded` or `refused`.
    pub(crate) outcome: &'static str,
}

/// What tells the outcomes of commands apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SendLabels {
    /// `stored`, `duplicate`, or the error code of the refusal.
    pub(crate) outcome: &'static str,
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
            connections: Gauge::default(),
            sessions: Gauge::default(),
            connection_panics: Counter::default(),
            sends: Family::default(),
            batch_commands: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.5, 12)),
            lane_waiting: Gauge::default(),
            pushes: Counter::default(),
            pushes_dropped: Counter::default(),
            resyncs: Counter::default(),
            acks_ignored: Counter::default(),
            receipts_dropped: Counter::default(),
            acks: Counter::default(),
            errors: Family::default(),
            limited: Family::default(),
            queue_depth: Family::default(),
            entrance_refusals: Family::default(),
            certificate_reloads: Family::default(),
        };
        metrics.register_http();
        metrics.register_messaging();
        metrics.register_gateway();
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

    fn register_messaging(&mut self) {
        let registry = &mut self.registry;
        registry.register("sends", "Commands that make an entry, by outcome", self.sends.clone());
        registry.register("batch_commands", "Commands in one transaction", self.batch_commands.clone());
        registry.register("commit_seconds", "Seconds to store one batch durably", self.commit_seconds.clone());
        registry.register("lane_waiting", "Commands that waited for the append lane", self.lane_waiting.clone());
        registry.register("acks", "Cursors that devices acknowledged", self.acks.clone());
        registry.register("errors", "Refused requests, by error code", self.errors.clone());
        registry.register("acks_ignored", "Cursors of an Ack that made no sense", self.acks_ignored.clone());
        registry.register("receipts_dropped", "Batches of receipts that were not told", self.receipts_dropped.clone());
    }

    fn register_gateway(&mut self) {
        let registry = &mut self.registry;
        registry.register("connections", "Open WebSocket and TCP connections", self.connections.clone());
        registry.register("sessions", "Connections that are logged in", self.sessions.clone());
        registry.register("connection_panics", "Connections that ended in a panic", self.connection_panics.clone());
        registry.register("pushes", "Pushed frames queued for a session", self.pushes.clone());
        registry.register("pushes_dropped", "Pushed frames dropped before a Resync", self.pushes_dropped.clone());
        registry.register("resyncs", "Slow sessions told to resync", self.resyncs.clone());
        registry.register("limited", "What came too often or was too many, by limiter", self.limited.clone());
        registry.register("queue_depth", "What waits in each bounded queue", self.queue_depth.clone());
        registry.register(
            "entrance_refusals",
            "Connections cut before they could speak, by reason",
            self.entrance_refusals.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Times the certificate was read again, by outcome",
            self.certificate_reloads.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented() {
        const DOCUMENT: &str = include_str!("../../../docs/operations.md");
        let metrics = Metrics::new();
        // A family without a series is not written.
        let labels = HttpLabels { method: String::new(), route: String::new(), status: 200 };
        metrics.http_requests.get_or_create(&labels).inc();
        metrics.sends.get_or_create(&SendLabels { outcome: "stored" }).inc();
        metrics.errors.get_or_create(&Code::Internal.into()).inc();
        metrics.limited.get_or_create(&LimiterLabels { limiter: "frames" }).inc();
        metrics.queue_depth.get_or_create(&QueueLabels { queue: "append_lane" }).set(1);
        metrics.entrance_refusals.get_or_create(&EntranceLabels { reason: "tls" }).inc();
        metrics.certificate_reloads.get_or_create(&ReloadLabels { outcome: "loaded" }).inc();
        let text = metrics.encode();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let mut count = 0;
        for (name, kind) in types {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let shown = ["`", "{"].map(|end| format!("`{name}{suffix}{end}"));
            assert!(
                shown.iter().any(|shown| DOCUMENT.contains(shown)),
                "docs/operations.md does not name {name}{suffix}"
            );
            count += 1;
        }
        assert!(count >= 20, "{count}");
    }
}
