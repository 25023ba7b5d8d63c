//! What the parts of a node share.

use std::sync::Arc;

use sparrow_store::Store;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::limits::RateLimits;
use crate::messaging::Messaging;
use crate::metrics::Metrics;

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
