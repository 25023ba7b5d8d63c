//! The life of a node: open the store, start the parts, listen; and the way back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use sparrow_store::Sqlite;
use sparrow_store::sqlite::{OpenError, Options};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::core_tasks::CoreTasks;
use crate::faults::{Step, failpoint};
use crate::gateway::admission::Admission;
use crate::gateway::entrance::Entrance;
use crate::gateway::tls::Certificates;
use crate::gateway::{self, CertificateError, Gateway, Origins, listener};
use crate::messaging::Messaging;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::{api, clean_up, lobby};

/// The part of the shutdown deadline that is kept for the lane and the store.
const FLUSH_SHARE: u32 = 4;

/// A running node. It runs until [`Server::shutdown`]; dropping it without that ends it with whatever is under way.
pub struct Server {
    addresses: Addresses,
    shutdown_deadline: Duration,
    /// Listeners and connections.
    connections: TaskTracker,
    draining: CancellationToken,
    over: CancellationToken,
    /// The lane and the fan-out, and what else a node cannot do without.
    core: CoreTasks,
    /// Where the public listeners speak TLS.
    certificates: Option<Arc<Certificates>>,
    /// Held to the end: the lane works as long as somebody could still give it commands.
    messaging: Messaging,
    pub(crate) store: Sqlite,
}

/// Where a node listens; the ports are the real ones, also where 0 was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP and WebSocket.
    pub http: SocketAddr,
    /// The TCP protocol.
    pub tcp: SocketAddr,
    /// Health, metrics and administration.
    pub admin: SocketAddr,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {error}; stop what uses it, or choose another address with {setting}")]
    Listen {
        /// The setting.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// A first step failed; the log says more.
    #[error("cannot prepare the database: {0}")]
    Prepare(String),
}

impl Server {
    /// Opens the store, starts every part and listens. Nothing is served before everything is ready.
    ///
    /// # Errors
    /// If the database is in use or damaged, an address is taken, or the certificate cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let certificates = load_certificates(&config, &metrics).await?;
        let http = listen("listen", config.listen).await?;
        let tcp = listen("tcp_listen", config.tcp_listen).await?;
        let admin = listen("admin_listen", config.admin_listen).await?;
        let addresses = Addresses { http: http.1, tcp: tcp.1, admin: admin.1 };

        let clock = Clock::system();
        let store = open_store(&config, &clock).await?;
        let core = CoreTasks::default();
        let node = Arc::new(Node::assemble(config, clock, Arc::new(store.clone()), metrics, &core));
        core.spawn("clean-up", clean_up::run(node.store.clone(), node.clock.clone(), core.stopping().clone()));
        lobby::open(&node.messaging).await.map_err(|failure| StartError::Prepare(failure.message))?;

        let gateway = Gateway {
            node: node.clone(),
            origins: Arc::new(Origins::new(&node.config.web.origins, addresses.http)),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            over: CancellationToken::new(),
        };
        let server = Self {
            addresses,
            shutdown_deadline: node.config.limits.shutdown_deadline,
            connections: gateway.tasks.clone(),
            draining: gateway.draining.clone(),
            over: gateway.over.clone(),
            core,
            certificates,
            messaging: node.messaging.clone(),
            store,
        };
        let websocket =
            axum::Router::new().route("/v1/ws", get(gateway::upgrade)).with_state(Arc::new(gateway.clone()));
        let app = api::router(node.clone(), websocket);
        let tasks = &server.connections;
        let public = server.entrances(&node)?;
        tasks.spawn(listener::serve_http(gateway.clone(), public.http, http.0, app));
        tasks.spawn(listener::serve_http(gateway.clone(), public.admin, admin.0, api::admin_router(node)));
        tasks.spawn(listener::serve_tcp(gateway, public.tcp, tcp.0));
        Ok(server)
    }

    /// The ways in; with TLS, from here on its files are watched.
    fn entrances(&self, node: &Node) -> Result<Entrances, StartError> {
        let (config, metrics) = (&node.config, node.metrics.clone());
        let acceptor = |protocol| {
            let certificates = self.certificates.as_ref();
            certificates.map(|certificates| certificates.acceptor(protocol)).transpose()
        };
        let http = Entrance {
            admission: Admission::public(&config.limits, metrics.clone()),
            proxies: Arc::new(config.proxies.clone()),
            tls: acceptor(Some("http/1.1"))?,
            within: config.limits.handshake_within,
            metrics: metrics.clone(),
        };
        let tcp = Entrance { tls: acceptor(None)?, ..http.clone() };
        let (admission, proxies) = (Admission::admin(metrics), Arc::default());
        let admin = Entrance { admission, proxies, tls: None, ..http.clone() };
        if let Some(certificates) = self.certificates.clone() {
            self.core.spawn("certificates", certificates.watch(self.core.stopping().clone()));
        }
        Ok(Entrances { http, tcp, admin })
    }

    /// True if the public listeners speak TLS.
    pub fn speaks_tls(&self) -> bool {
        self.certificates.is_some()
    }

    /// Reads the certificate and its key again, for connections from now on. What cannot be used is logged and changes
    /// nothing.
    pub fn reload_certificates(&self) {
        match &self.certificates {
            Some(certificates) => certificates.reload(),
            None => tracing::info!("there is no certificate to read again: tls.certificate and tls.key are not set"),
        }
    }

    /// Where the node listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Waits until the node fails, because a task that it cannot do without panicked or ended; answers that task's name.
    /// The log says so already. What to do then is to end the process: whatever was acknowledged is stored.
    pub async fn failed(&self) -> &'static str {
        self.core.failed().await
    }

    /// Ends the node: stops accepting, answers what was accepted, says goodbye to every session with a moment to come
    /// back at, flushes, and closes the store. Whoever has not taken their answers by `shutdown_deadline` is cut off.
    pub async fn shutdown(self) {
        let begun = Instant::now();
        let end = begun + self.shutdown_deadline;
        if let Err(error) = self.messaging.note_all_seen(Clock::system().now()).await {
            tracing::warn!(%error, "it was not noted who was here last");
        }
        self.connections.close();
        failpoint(Step::ShutdownDrain);
        self.draining.cancel();
        let connections_end = end - self.shutdown_deadline / FLUSH_SHARE;
        if timeout_at(connections_end, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "not everybody took their answers in time");
            self.over.cancel();
            self.connections.wait().await;
        }
        failpoint(Step::ShutdownFlush);
        if timeout_at(end, self.core.stop()).await.is_err() {
            tracing::error!("the lane was not done in time; what it holds was not acknowledged");
        }
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "the store could not be closed in order");
        }
        tracing::info!(took = ?begun.elapsed(), "node ended");
    }
}

/// The ways into the three listeners.
struct Entrances {
    http: Entrance,
    tcp: Entrance,
    admin: Entrance,
}

async fn load_certificates(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<Certificates>>, StartError> {
    let (settings, metrics) = (config.tls.clone(), metrics.clone());
    let loaded = tokio::task::spawn_blocking(move || Certificates::load(&settings, metrics)).await;
    Ok(loaded.map_err(|error| StartError::Prepare(error.to_string()))??)
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { setting, address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn open_store(config: &Config, clock: &Clock) -> Result<Sqlite, StartError> {
    let (data, now) = (config.data.clone(), clock.now());
    let options = Options { group_members: config.limits.group_members, ..Options::default() };
    let opened = tokio::task::spawn_blocking(move || Sqlite::open(&data, &options, now)).await;
    Ok(opened.map_err(|error| StartError::Prepare(error.to_string()))??)
}
