//! How much waits in the bounded queues of messaging. Looked at when an operator asks, so that no send pays for it.

use super::Messaging;
use super::outbound::Waiting;

/// What waits now, in each queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Depths {
    /// Commands and read cursors that wait for the append lane.
    pub(crate) lane: usize,
    /// Batches of entries that wait for the fan-out.
    pub(crate) fanout: usize,
    /// Signals and batches of cursors that wait for the fan-out.
    pub(crate) asides: usize,
    /// Delivered cursors that wait for a transaction.
    pub(crate) cursors: usize,
    /// Frames that wait in all sessions, and their bytes.
    pub(crate) sessions: Waiting,
    /// Frames that wait in the session with the most of them.
    pub(crate) fullest_session: usize,
}

impl Messaging {
    /// What waits now. Looks at every session.
    pub(crate) fn depths(&self) -> Depths {
        let (fanout, asides) = self.signals.waiting();
        let (lane, cursors) = self.lane.waiting();
        let mut depths = Depths { lane, fanout, asides, cursors, ..Depths::default() };
        self.sessions.each(|session| {
            let waiting = session.outbound.waiting();
            depths.sessions.frames += waiting.frames;
            depths.sessions.bytes += waiting.bytes;
            depths.fullest_session = depths.fullest_session.max(waiting.frames);
        });
        depths
    }
}
