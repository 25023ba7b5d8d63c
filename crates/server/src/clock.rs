//! The server's clock, injected so that tests can turn it.

use std::sync::Arc;

use sparrow_protocol::Timestamp;

/// Tells the server's time.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub(crate) fn system() -> Self {
        Self(Arc::new(|| {
            let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
            Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        }))
    }

    /// A clock that shows, in milliseconds, what a test writes.
    #[cfg(test)]
    pub(crate) fn manual(time: Arc<std::sync::atomic::AtomicI64>) -> Self {
        Self(Arc::new(move || Timestamp::from_millis(time.load(std::sync::atomic::Ordering::SeqCst))))
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}
