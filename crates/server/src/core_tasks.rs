//! The tasks without which a node is none: the lane and the fan-out. If one of them panics or ends by itself, the node
//! has failed, and whoever runs it has to end it; a node that goes on would accept what it never pushes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Owns the tasks; a cheap handle.
#[derive(Debug, Clone, Default)]
pub(crate) struct CoreTasks {
    tasks: TaskTracker,
    stopping: CancellationToken,
    failed: Arc<SetOnce<&'static str>>,
}

impl CoreTasks {
    /// Runs a task that is to go on until [`CoreTasks::stopping`] is cancelled. `name` says in the log which one failed.
    pub(crate) fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let Self { stopping, failed, .. } = self.clone();
        self.tasks.spawn(async move {
            let panicked = AssertUnwindSafe(work).catch_unwind().await.is_err();
            // The first to fail may take others along; only the first is the cause.
            if (panicked || !stopping.is_cancelled()) && failed.set(name).is_ok() {
                tracing::error!(task = name, panicked, "a task that the node cannot do without has ended");
            }
        });
    }

    /// Cancelled when the tasks are to finish what they accepted and end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Lets the tasks finish what they accepted, and waits until they have. Cancel-safe.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits until a task fails; answers its name.
    pub(crate) async fn failed(&self) -> &'static str {
        self.failed.wait().await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_by_itself_fails_the_node_and_the_first_one_is_named() {
        let core = CoreTasks::default();
        core.spawn("patient", pending());
        core.spawn("panicking", async { panic!("on purpose") });
        assert_eq!(core.failed().await, "panicking");
        core.spawn("ending", async {});
        core.tasks.close();
        assert_eq!(core.failed().await, "panicking");

        let core = CoreTasks::default();
        core.spawn("ending", async {});
        assert_eq!(core.failed().await, "ending");
    }

    #[tokio::test]
    async fn tasks_that_end_when_they_are_told_to_have_not_failed() {
        let core = CoreTasks::default();
        let stopping = core.stopping().clone();
        core.spawn("obedient", async move { stopping.cancelled().await });
        core.stop().await;
        assert!(core.failed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_panic_while_stopping_is_a_failure_too() {
        let core = CoreTasks::default();
        let stopping = core.stopping().clone();
        core.spawn("last", async move {
            stopping.cancelled().await;
            panic!("on purpose");
        });
        core.stop().await;
        assert_eq!(core.failed().now_or_never(), Some("last"));
    }
}
