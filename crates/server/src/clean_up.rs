//! Forgetting what is over: expired tokens and keys, old deletions. Hour by hour, in steps so small that nobody waits for
//! one, with a pause after each.

use std::sync::Arc;
use std::time::Duration;

use sparrow_store::Store;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// How often what is over is looked for.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows of each kind that one step forgets; it takes the writer about a millisecond.
const ROWS: usize = 100;
/// After each step others have the writer for so long.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs until `stopping`.
pub(crate) async fn run(store: Arc<dyn Store>, clock: Clock, stopping: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        if stopping.run_until_cancelled(forget_all(&*store, &clock)).await.is_none() {
            return;
        }
    }
}

async fn forget_all(store: &dyn Store, clock: &Clock) {
    loop {
        match store.forget_expired(clock.now(), ROWS).await {
            Ok(true) => sleep(PAUSE).await,
            Ok(false) => return,
            Err(error) => return tracing::warn!(%error, "what is over could not be forgotten; it is tried again later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use sparrow_protocol::{Timestamp, Username};
    use sparrow_store::Sqlite;
    use sparrow_store::directory::{Directory as _, NewUser};
    use sparrow_store::log::OwnState;
    use sparrow_store::sqlite::Options;

    use super::*;

    const DELETIONS: usize = 3 * ROWS + 1;
    const YEAR: i64 = 365 * 24 * 60 * 60 * 1_000;

    #[tokio::test]
    async fn what_is_over_is_forgotten_while_the_node_runs() {
        let data = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(1_000));
        let clock = Clock::manual(time.clone());
        let store = Sqlite::open(data.path(), &Options::default(), clock.now()).unwrap();
        let name = Username::parse("ann").unwrap();
        let new = NewUser { name, display_name: "Ann".to_owned(), password_hash: None };
        let ann = store.create_user(new, clock.now()).await.unwrap().unwrap().user;
        for number in 0..DELETIONS {
            let deletion = OwnState { kind: "draft".to_owned(), key: number.to_string(), value: String::new() };
            store.set_own_state(ann, deletion, clock.now()).await.unwrap();
        }
        let stopping = CancellationToken::new();
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        let task = tokio::spawn(run(shared, clock, stopping.clone()));
        // The first look finds nothing. Now a year passes, and time stands still for the test until the next look.
        assert!(!store.forget_expired(Timestamp::from_millis(1_000), 1).await.unwrap());
        time.store(YEAR, Ordering::SeqCst);
        tokio::time::pause();
        tokio::time::advance(EVERY).await;
        tokio::time::resume();
        let left = async || store.forget_expired(Timestamp::from_millis(YEAR), 1).await.unwrap();
        // Each look of the test forgets one itself: far fewer than there are.
        let mut looks = 0;
        while left().await {
            looks += 1;
            sleep(PAUSE).await;
        }
        assert!(looks < DELETIONS / 4, "{looks}");
        stopping.cancel();
        task.await.unwrap();
    }
}
