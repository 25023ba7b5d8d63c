//! What handlers share.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::cursor::Cursors;
use crate::failure::Failure;
use crate::node::Node;

/// The node, and what the API adds to it.
pub(super) struct Api {
    /// The node.
    pub(super) node: Arc<Node>,
    cursors: OnceCell<Cursors>,
}

impl Api {
    /// The API of a node.
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { node, cursors: OnceCell::new() }
    }

    /// The maker of list cursors. Its key comes from the store, so that cursors work on every node.
    pub(super) async fn cursors(&self) -> Result<&Cursors, Failure> {
        let key = async || Ok::<_, Failure>(Cursors::new(self.node.store.secret("cursor", rand::random()).await?));
        self.cursors.get_or_try_init(key).await
    }
}
