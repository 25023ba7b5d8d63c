//! One fan-out worker: puts entries in order, finds who may see them, and pushes.

use std::sync::Arc;
use std::time::Duration;

use sparrow_protocol::{ConversationId, v1};
use sparrow_store::log::Stored;
use sparrow_store::{Log, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::group::groups;
use super::{Aside, Committed};
use crate::collections::HashMap;
use crate::faults::{Step, failpoint};
use crate::messaging::members::{LATEST, MemberList, MemberLists};
use crate::messaging::push::Shared;
use crate::messaging::sessions::Sessions;
use crate::messaging::stage::Stage;
use crate::messaging::wire::Trust;
use crate::messaging::{receipts, signals, sync};
use crate::metrics::Metrics;

/// How often quiet stages and lists are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// A stage without entries for so long is forgotten.
const STAGE_QUIET: Duration = Duration::from_secs(60);
/// Asides that are taken out of the queue at once; a member list is read once for all of one conversation.
const BURST: usize = 256;
/// How often a member list is asked for before the entries are given up to a `Resync`.
const TRIES: u32 = 3;
/// The pause between those.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the conversations that hash to it.
pub(super) struct Worker {
    store: Arc<dyn Log>,
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
    lists: MemberLists,
    stages: HashMap<ConversationId, Stage<Committed>>,
    /// Conversations with a hole, and when it has to be read.
    holes: HashMap<ConversationId, Instant>,
}

impl Worker {
    pub(super) fn new(store: Arc<dyn Log>, sessions: Arc<Sessions>, metrics: Arc<Metrics>) -> Self {
        let lists = MemberLists::new(store.clone());
        Self { store, sessions, metrics, lists, stages: HashMap::default(), holes: HashMap::default() }
    }

    /// Works until the lane is gone and everything it handed over is done.
    pub(super) async fn run(mut self, mut entries: mpsc::Receiver<Vec<Committed>>, mut asides: mpsc::Receiver<Aside>) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let hole = self.holes.values().min().copied();
            tokio::select! {
                biased;
                batch = entries.recv() => match batch {
                    Some(batch) => self.deliver(batch).await,
                    None => return,
                },
                () = sleep_until(hole.unwrap_or_else(Instant::now)), if hole.is_some() => self.serve_holes().await,
                Some(aside) = asides.recv() => {
                    let mut burst = vec![aside];
                    burst.extend(std::iter::from_fn(|| asides.try_recv().ok()).take(BURST));
                    self.tell(burst).await;
                }
                now = sweep.tick() => self.sweep(now),
            }
        }
    }

    async fn deliver(&mut self, batch: Vec<Committed>) {
        failpoint(Step::Fanout);
        let mut by_conversation: HashMap<ConversationId, Vec<Committed>> = HashMap::default();
        for committed in batch {
            by_conversation.entry(committed.stored.entry.conversation).or_default().push(committed);
        }
        for (conversation, entries) in by_conversation {
            self.offer(conversation, entries).await;
        }
    }

    /// Passes entries through the stage, and on what is due.
    async fn offer(&mut self, conversation: ConversationId, entries: Vec<Committed>) {
        let now = Instant::now();
        let mut ready = Vec::with_capacity(entries.len());
        for committed in entries {
            let seq = committed.stored.entry.seq;
            let stage = self.stages.entry(conversation).or_insert_with(|| Stage::new(seq, now));
            stage.offer(seq, committed, now, &mut ready);
        }
        self.note_hole(conversation);
        self.pass(conversation, &ready).await;
    }

    fn note_hole(&mut self, conversation: ConversationId) {
        match self.stages.get(&conversation).and_then(Stage::hole_due) {
            Some(due) => self.holes.insert(conversation, due),
            None => self.holes.remove(&conversation),
        };
    }

    /// Reads the holes whose time has come from the log; what is not there is passed over.
    async fn serve_holes(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.holes.iter().filter(|(_, due)| **due <= now).map(|(id, _)| *id).collect();
        for conversation in due {
            let Some((from, to)) = self.stages.get(&conversation).and_then(Stage::hole) else {
                self.holes.remove(&conversation);
                continue;
            };
            let found = match self.store.entries(conversation, from, to).await {
                Ok((members_version, found)) => found
                    .into_iter()
                    .map(|entry| Committed {
                        stored: Stored { entry, members_version, own_states: Vec::new() },
                        origin: None,
                        trust: Trust::Read,
                    })
                    .collect(),
                Err(error) => {
                    tracing::warn!(%error, "a hole could not be read");
                    Vec::new()
                }
            };
            self.offer(conversation, found).await;
            let mut ready = Vec::new();
            if let Some(stage) = self.stages.get_mut(&conversation)
                && stage.hole().is_some_and(|(still, _)| still == from)
            {
                self.sessions.resync_all(now);
                stage.skip_hole(now, &mut ready);
            }
            self.note_hole(conversation);
            self.pass(conversation, &ready).await;
        }
    }

    /// Pushes entries to whoever may see them.
    async fn pass(&mut self, conversation: ConversationId, entries: &[Committed]) {
        failpoint(Step::Stage);
        let Some(version) = entries.iter().map(|entry| entry.stored.members_version).max() else { return };
        let list = match list_at_least(&mut self.lists, conversation, version).await {
            Ok(Some(list)) => list,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "members could not be read; sessions have to resync");
                self.sessions.resync_all(Instant::now());
                return;
            }
        };
        let now = Instant::now();
        for mut group in groups(entries) {
            self.sessions.each_among(&list.places, |session, place| {
                group.push_to(session, place, now, &self.metrics);
            });
            for committed in group.entries() {
                tell_own_states(&self.sessions, &committed.stored, now, &self.metrics);
            }
        }
    }

    /// Tells cursors and signals. A cursor is told to the members of its transaction or later ones, so a cached list often
    /// does; for signals the list is read once per conversation, so that whoever was removed before this burst hears
    /// nothing of it.
    async fn tell(&mut self, burst: Vec<Aside>) {
        let mut by_conversation: HashMap<ConversationId, Tells> = HashMap::default();
        for aside in burst {
            match aside {
                Aside::Cursors(moved) => {
                    for moved in moved {
                        by_conversation.entry(moved.conversation).or_default().cursors.push(moved);
                    }
                }
                Aside::Signal(job) => by_conversation.entry(job.conversation).or_default().signals.push(job),
            }
        }
        for (conversation, Tells { cursors, signals }) in by_conversation {
            let version = cursors.iter().map(|moved| moved.members_version).max().unwrap_or_default();
            let wanted = if signals.is_empty() { version } else { LATEST };
            let list = match self.lists.at_least(conversation, wanted).await {
                Ok(list) => list,
                Err(error) => {
                    let failure = crate::failure::Failure::from(error);
                    signals.iter().for_each(|job| job.answer(Err(failure.clone())));
                    continue;
                }
            };
            let now = Instant::now();
            for job in &signals {
                signals::deliver(&self.sessions, list, job, now, &self.metrics);
            }
            let Some(list) = list else { continue };
            for moved in &cursors {
                receipts::tell(&self.sessions, list, moved, now, &self.metrics);
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.lists.sweep(now);
        self.stages.retain(|_, stage| !stage.is_quiet(now, STAGE_QUIET));
    }
}

/// What is told about one conversation.
#[derive(Default)]
struct Tells {
    cursors: Vec<receipts::CursorMoved>,
    signals: Vec<signals::SignalJob>,
}

async fn list_at_least(
    lists: &mut MemberLists,
    conversation: ConversationId,
    version: i64,
) -> Result<Option<&MemberList>, StoreError> {
    for _ in 1..TRIES {
        match lists.at_least(conversation, version).await {
            Ok(_) => break,
            Err(error) => {
                tracing::warn!(%error, "members could not be read; trying again");
                sleep(PAUSE).await;
            }
        }
    }
    lists.at_least(conversation, version).await
}

fn tell_own_states(sessions: &Sessions, stored: &Stored, now: Instant, metrics: &Metrics) {
    for (user, state) in &stored.own_states {
        if !sessions.is_online(*user) {
            continue;
        }
        let states = vec![sync::own_state(state.clone())];
        if let Some(mut shared) = Shared::new(&v1::StateChanged { states }) {
            sessions.each_of(*user, |session| session.push(&mut shared, now, metrics));
        }
    }
}
