//! Bounded waits that say what they waited for.

use std::time::Duration;

use tokio::time::{Instant, timeout};

/// Long enough for anything that should happen on a busy machine; reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for a future.
///
/// # Panics
/// After 30 s, with what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}

/// Asks again and again until the answer is `Some`. For what has no event of its own, such as a counter on `/metrics`.
///
/// # Panics
/// After 30 s, with what was waited for.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = ask().await {
            return value;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
