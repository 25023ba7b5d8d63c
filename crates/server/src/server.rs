//! The life of a node: open the store, start the parts, listen; and the way back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use sparrow_store::sqlite::{OpenError, Options};
use sparrow_store::{Sqlite, Store};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::core_tasks::CoreTasks;
use crate::faults::{Step, failpoint};
use crate::gateway::admission::Admission;
use crate::gateway::{self, Gateway, Origins, listener};
use crate::limits::RateLimits;
use crate::messaging::Messaging;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::{api, lobby};

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
    /// The lane and the fan-out.
    core: CoreTasks,
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
    /// If the database is in use or damaged, or an address is taken.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let http = listen("listen", config.listen).await?;
        let tcp = listen("tcp_listen", config.tcp_listen).await?;
        let admin = listen("admin_listen", config.admin_listen).await?;
        let addresses = Addresses { http: http.1, tcp: tcp.1, admin: admin.1 };

        let clock = Clock::system();
        let store = open_store(&config, &clock).await?;
        let core = CoreTasks::default();
        let node = build(config, clock, store.clone(), &core);
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
            messaging: node.messaging.clone(),
            store,
        };
        let websocket =
            axum::Router::new().route("/v1/ws", get(gateway::upgrade)).with_state(Arc::new(gateway.clone()));
        let app = api::router(node.clone(), websocket);
        let tasks = &server.connections;
        let public = Admission::public(&node.config.limits, node.metrics.clone());
        let reserved = Admission::admin(node.metrics.clone());
        tasks.spawn(listener::serve_http(gateway.clone(), public.clone(), http.0, app));
        tasks.spawn(listener::serve_http(gateway.clone(), reserved, admin.0, api::admin_router(node)));
        tasks.spawn(listener::serve_tcp(gateway, public, tcp.0));
        Ok(server)
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

fn build(config: Config, clock: Clock, store: Sqlite, core: &CoreTasks) -> Arc<Node> {
    let (config, store, metrics) = (Arc::new(config), Arc::new(store) as Arc<dyn Store>, Arc::new(Metrics::new()));
    let limits = Arc::new(RateLimits::new(&config.rates, metrics.clone()));
    let messaging = Messaging::start(
        store.clone(),
        store.clone(),
        &config.limits,
        limits.clone(),
        clock.clone(),
        metrics.clone(),
        core,
    );
    let accounts =
        Accounts::new(config.clone(), clock.clone(), metrics.clone(), limits.clone(), store.clone(), messaging.clone());
    Arc::new(Node { config, clock, metrics, limits, store, accounts, messaging })
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
