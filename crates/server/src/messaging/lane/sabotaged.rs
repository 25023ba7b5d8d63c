//! How the lane breaks its rules when it is told to. Nothing here is in a build without the feature `sabotage`.

use std::pin::Pin;

use sparrow_protocol::ClientMsgId;
use sparrow_store::log::Batch;

use super::Job;
use super::worker::Worker;
use crate::faults::{Rule, broken};

/// [`Rule::OrderByTimestamp`]: commands by the millisecond in their ids, ties as they fall.
pub(super) fn reorder(jobs: &mut [Job]) {
    if broken(Rule::OrderByTimestamp) {
        jobs.reverse();
        jobs.sort_by_key(|job| milliseconds(job.append.client_msg_id));
    }
}

/// The time in an id as UUIDv7 has it.
fn milliseconds(id: ClientMsgId) -> u64 {
    id.as_bytes()[..6].iter().fold(0, |time, byte| time << 8 | u64::from(*byte))
}

impl Worker {
    /// What is done to a batch, or ahead of it, before it is run again because it is unknown whether it is stored.
    pub(super) fn after_unknown<'a>(
        &'a mut self,
        batch: &'a mut Batch,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if broken(Rule::RetryWithNewId) {
                for command in &mut batch.commands {
                    let other = command.client_msg_id.as_bytes().map(|byte| !byte);
                    command.client_msg_id = ClientMsgId::new(other).unwrap_or(command.client_msg_id);
                }
            }
            if broken(Rule::NextBatchAfterUnknown)
                && let Ok(first) = self.queue.try_recv()
            {
                let next = self.gather(Some(first));
                self.store(next, Vec::new()).await;
            }
        })
    }
}
