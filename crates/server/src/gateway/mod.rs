//! Connections: the two carriers, and one actor per connection for both.
//!
//! A connection passes its listener's [`entrance`]. [`websocket`] and [`tcp`] turn sockets into a [`carrier::Carrier`]; [`connection`] is the life of one
//! of them, [`actor`] its main part; [`session`] says, without sockets or `async`, what each frame means. Commands are carried out by `messaging`.

mod actor;
pub(crate) mod admission;
mod carrier;
mod connection;
pub(crate) mod entrance;
mod handshake;
mod heartbeat;
pub(crate) mod listener;
mod origin;
mod proxy;
mod session;
mod socket;
mod tcp;
pub(crate) mod tls;
mod websocket;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Span;
use tracing::field::Empty;

use crate::node::Node;

pub(crate) use origin::Origins;
pub use tls::CertificateError;
pub(crate) use websocket::upgrade;

/// What every connection needs to know of the node it belongs to.
#[derive(Clone)]
pub(crate) struct Gateway {
    /// The node.
    pub(crate) node: Arc<Node>,
    /// Which web pages may connect.
    pub(crate) origins: Arc<Origins>,
    /// Owns the tasks of all connections.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when connections are to answer what they accepted and leave.
    pub(crate) draining: CancellationToken,
    /// Cancelled when the time for that is over.
    pub(crate) over: CancellationToken,
}

impl Gateway {
    /// Runs a connection in a task of its own. Whatever happens in it costs nobody else anything: a panic is counted, told
    /// within `span`, and ends this connection alone.
    pub(crate) fn spawn(&self, span: Span, connection: impl Future<Output = ()> + Send + 'static) {
        let (over, metrics) = (self.over.clone(), self.node.metrics.clone());
        // Boxed here: each of the futures around it would hold room for it twice, once to be given it and once to run it.
        let contained = AssertUnwindSafe(Box::pin(connection)).catch_unwind();
        self.tasks.spawn(async move {
            if let Some(Err(_panic)) = over.run_until_cancelled_owned(contained).await {
                metrics.connection_panics.inc();
                span.in_scope(|| tracing::error!("a connection panicked; the others go on"));
            }
        });
    }
}

/// Around everything that is logged of a connection; whose it is, is filled in when that is known. Entered where something
/// may be logged and not with each frame, which would cost a busy node more than it tells.
fn connection_span() -> Span {
    tracing::info_span!("connection", user = Empty, device = Empty)
}

/// Counts one thing for as long as it lives.
#[derive(Debug)]
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::actor::Actor;
    use super::connection::Connection;
    use super::tcp::{self, TcpFrames};
    use tracing::Span;

    use super::websocket::WebSocketFrames;
    use crate::messaging::Session;

    fn future_bytes<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Every connection holds these as long as it lives: whoever lets them grow shall know it.
    #[test]
    fn an_idle_connection_is_small() {
        let sizes = [
            ("a WebSocket connection", size_of::<Connection<WebSocketFrames>>(), 512),
            ("a TCP connection", size_of::<Connection<TcpFrames>>(), 256),
            ("the future that runs one", future_bytes(Connection::<WebSocketFrames>::run), 256),
            (
                "the future that serves TCP",
                future_bytes(|(gateway, stream, place)| tcp::serve(gateway, stream, place, Span::none())),
                512,
            ),
            ("an actor", size_of::<Actor<'_, WebSocketFrames>>(), 320),
            ("a session", size_of::<Session>(), 320),
        ];
        for (what, bytes, most) in sizes {
            assert!(bytes <= most, "{what} takes {bytes} bytes");
        }
    }
}
