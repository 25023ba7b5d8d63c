//! What the parts of a node share.

use std::sync::Arc;

use sparrow_store::Store;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::core_tasks::CoreTasks;
use crate::limits::RateLimits;
use crate::messaging::Messaging;
use crate::metrics::{Metrics, QueueLabels};

/// The parts of a node, made once by `Server::start` and handed to `gateway` and `api` as `Arc<Node>`.
pub(crate) struct Node {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Arc<RateLimits>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) accounts: Accounts,
    pub(crate) messaging: Messaging,
}

impl Node {
    /// Puts the parts together; what works in the background works as tasks of `core`.
    pub(crate) fn assemble(
        config: Config,
        clock: Clock,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        core: &CoreTasks,
    ) -> Self {
        let config = Arc::new(config);
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
        let accounts = Accounts::new(
            config.clone(),
            clock.clone(),
            metrics.clone(),
            limits.clone(),
            store.clone(),
            messaging.clone(),
        );
        Self { config, clock, metrics, limits, store, accounts, messaging }
    }

    /// Notes how much waits in each bounded queue, for an operator who asks.
    pub(crate) fn measure_queues(&self) {
        let depths = self.messaging.depths();
        let queues = [
            ("append_lane", depths.lane),
            ("fanout", depths.fanout),
            ("asides", depths.asides),
            ("cursors", depths.cursors),
            ("password_hashes", self.accounts.hashes_waiting()),
            ("session_frames", depths.sessions.frames),
            ("session_bytes", depths.sessions.bytes),
            ("fullest_session_frames", depths.fullest_session),
        ];
        for (queue, depth) in queues {
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            self.metrics.queue_depth.get_or_create(&QueueLabels { queue }).set(depth);
        }
    }
}
