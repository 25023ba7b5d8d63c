//! What waits to be written to one session: replies, which are always kept, and pushes, which are bounded.
//!
//! A session that does not read fast enough loses its queued pushes and gets one `Resync` instead. Nothing here knows
//! sockets; the connection takes frames out and says when the clock allows the next.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::EndReason;
use crate::faults::{Rule, Step, broken, failpoint};

/// So many `Resync` within [`RESYNC_WINDOW`] are given at once; the next one is held back.
const RESYNCS_AT_ONCE: usize = 2;
/// The time over which `Resync` are counted.
const RESYNC_WINDOW: Duration = Duration::from_secs(60);
/// How long a `Resync` is held back once there were too many. Pushes are dropped meanwhile.
const RESYNC_HOLD: Duration = Duration::from_secs(20);
/// A drained queue larger than this gives its memory back.
const KEPT_CAPACITY: usize = 8;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Pushed frames.
    pub(crate) frames: usize,
    /// Bytes of pushed frames.
    pub(crate) bytes: usize,
}

/// The next thing for the connection to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Write this frame.
    Frame(Bytes),
    /// Write a `Resync`. Pushes are taken again from now on.
    Resync,
    /// Say goodbye; nothing else matters any more.
    End(EndReason),
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits to be written.
    Queued,
    /// It was dropped: the session is gone or about to be told to resync.
    Dropped,
    /// It did not fit; it and all queued pushes were given up for a `Resync`.
    Resync,
}

/// What waits to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Frames.
    pub(crate) frames: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
}

/// The queue of one session.
#[derive(Debug)]
pub(crate) struct Outbound {
    bounds: Bounds,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    pushes: usize,
    push_bytes: usize,
    /// Requests taken from the client whose answer was not yet handed to the socket.
    unanswered: usize,
    flow: Flow,
    /// When the last `Resync` were decided, oldest first.
    resyncs: [Option<Instant>; RESYNCS_AT_ONCE],
    ended: Option<EndReason>,
    closed: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Item {
    Reply(Bytes),
    Push(Bytes),
    Resync,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Pushes are taken.
    #[default]
    Open,
    /// A `Resync` waits in the queue; pushes are dropped.
    Announced,
    /// A `Resync` is due at that time; pushes are dropped.
    Held(Instant),
}

impl Outbound {
    /// An empty queue.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, queue: Mutex::default() }
    }

    /// Counts a request that will get exactly one [`Outbound::reply`].
    pub(crate) fn accept_request(&self) {
        self.lock().unanswered += 1;
    }

    /// Requests whose answer was not yet handed to the socket.
    pub(crate) fn unanswered(&self) -> usize {
        self.lock().unanswered
    }

    /// True if no answer is owed and nothing waits to be written.
    pub(crate) fn is_idle(&self) -> bool {
        let queue = self.lock();
        queue.unanswered == 0 && queue.items.is_empty()
    }

    /// What waits to be written.
    pub(crate) fn waiting(&self) -> Waiting {
        let queue = self.lock();
        let bytes = queue.items.iter().map(|item| match item {
            Item::Reply(frame) | Item::Push(frame) => frame.len(),
            Item::Resync => 0,
        });
        Waiting { frames: queue.items.len(), bytes: bytes.sum() }
    }

    /// Queues the answer to an accepted request. Answers are bounded by the number of requests that are accepted.
    pub(crate) fn reply(&self, frame: Bytes) {
        let mut queue = self.lock();
        if !queue.closed {
            queue.items.push_back(Item::Reply(frame));
            queue.wake();
        }
    }

    /// Queues a push, if there is room.
    pub(crate) fn push(&self, frame: &Bytes, now: Instant) -> Pushed {
        let mut queue = self.lock();
        if queue.closed || queue.flow != Flow::Open {
            return Pushed::Dropped;
        }
        let fits = queue.pushes < self.bounds.frames && queue.push_bytes + frame.len() <= self.bounds.bytes;
        // A single frame larger than the bound still gets through an empty queue, else it never would.
        if !fits && queue.pushes > 0 && !broken(Rule::UnboundedQueue) {
            if broken(Rule::PushWithoutReconcile) {
                return Pushed::Dropped;
            }
            queue.give_up_pushes(now);
            return Pushed::Resync;
        }
        queue.pushes += 1;
        queue.push_bytes += frame.len();
        queue.items.push_back(Item::Push(frame.clone()));
        queue.wake();
        Pushed::Queued
    }

    /// Gives up the queued pushes for a `Resync`, because pushes of this session were lost elsewhere.
    pub(crate) fn resync(&self, now: Instant) {
        let mut queue = self.lock();
        if !queue.closed && queue.flow == Flow::Open {
            queue.give_up_pushes(now);
        }
    }

    /// Asks the connection to end. The first reason stays.
    pub(crate) fn end(&self, reason: EndReason) {
        let mut queue = self.lock();
        queue.ended.get_or_insert(reason);
        queue.wake();
    }

    /// Drops what waits and takes nothing more: the connection is gone.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        *queue = Queue { closed: true, ended: queue.ended, ..Queue::default() };
    }

    /// The next thing to do. Cancel-safe; one task polls it.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>, now: Instant) -> Poll<Outgoing> {
        let mut queue = self.lock();
        if let Some(reason) = queue.ended {
            return Poll::Ready(Outgoing::End(reason));
        }
        if let Flow::Held(due) = queue.flow
            && now >= due
        {
            queue.flow = Flow::Announced;
            queue.items.push_back(Item::Resync);
        }
        let Some(item) = queue.items.pop_front() else {
            if !queue.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                queue.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        if queue.items.is_empty() && queue.items.capacity() > KEPT_CAPACITY {
            queue.items = VecDeque::new();
        }
        Poll::Ready(match item {
            Item::Reply(frame) => {
                queue.unanswered = queue.unanswered.saturating_sub(1);
                Outgoing::Frame(frame)
            }
            Item::Push(frame) => {
                queue.pushes -= 1;
                queue.push_bytes -= frame.len();
                Outgoing::Frame(frame)
            }
            Item::Resync => {
                queue.flow = Flow::Open;
                Outgoing::Resync
            }
        })
    }

    /// When [`Outbound::poll_next`] has something by the clock alone.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.lock().flow {
            Flow::Held(due) => Some(due),
            Flow::Open | Flow::Announced => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, and a half-done queue would still be a queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn give_up_pushes(&mut self, now: Instant) {
        failpoint(Step::Resync);
        self.items.retain(|item| !matches!(item, Item::Push(_)));
        self.pushes = 0;
        self.push_bytes = 0;
        let oldest = self.resyncs[0];
        self.resyncs.rotate_left(1);
        self.resyncs[RESYNCS_AT_ONCE - 1] = Some(now);
        if oldest.is_some_and(|at| now.duration_since(at) < RESYNC_WINDOW) {
            self.flow = Flow::Held(now + RESYNC_HOLD);
        } else {
            self.flow = Flow::Announced;
            self.items.push_back(Item::Resync);
        }
        // Also when the `Resync` is held back: the connection has to set its timer.
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { frames: 4, bytes: 1000 };

    fn take(outbound: &Outbound, now: Instant) -> Option<Outgoing> {
        match outbound.poll_next(&mut Context::from_waker(Waker::noop()), now) {
            Poll::Ready(outgoing) => Some(outgoing),
            Poll::Pending => None,
        }
    }

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn overflow(outbound: &Outbound, now: Instant) {
        while outbound.push(&frame("push"), now) == Pushed::Queued {}
    }

    #[test]
    fn overflow_replaces_pushes_by_one_resync_and_keeps_replies() {
        let (outbound, now) = (Outbound::new(BOUNDS), Instant::now());
        outbound.accept_request();
        assert_eq!(outbound.push(&frame("p1"), now), Pushed::Queued);
        outbound.reply(frame("r1"));
        for _ in 0..3 {
            assert_eq!(outbound.push(&frame("p"), now), Pushed::Queued);
        }
        assert_eq!(outbound.push(&frame("p5"), now), Pushed::Resync);
        assert_eq!(outbound.push(&frame("p6"), now), Pushed::Dropped);
        assert_eq!(take(&outbound, now), Some(Outgoing::Frame(frame("r1"))));
        assert_eq!(take(&outbound, now), Some(Outgoing::Resync));
        assert_eq!(take(&outbound, now), None);
        assert_eq!(outbound.push(&frame("p7"), now), Pushed::Queued, "pushes flow once Resync was handed over");
        assert!(outbound.unanswered() == 0);
    }

    #[test]
    fn bytes_are_bounded_too_but_one_large_frame_gets_through() {
        let (outbound, now) = (Outbound::new(BOUNDS), Instant::now());
        let large = Bytes::from(vec![0; 2000]);
        assert_eq!(outbound.push(&large, now), Pushed::Queued);
        assert_eq!(outbound.push(&frame("p"), now), Pushed::Resync);
    }

    #[test]
    fn the_third_resync_in_a_minute_is_held_back() {
        let (outbound, start) = (Outbound::new(BOUNDS), Instant::now());
        for _ in 0..2 {
            overflow(&outbound, start);
            assert_eq!(take(&outbound, start), Some(Outgoing::Resync));
        }
        overflow(&outbound, start);
        assert_eq!(take(&outbound, start), None);
        assert_eq!(outbound.due(), Some(start + RESYNC_HOLD));
        assert_eq!(outbound.push(&frame("p"), start), Pushed::Dropped);
        let later = start + RESYNC_HOLD;
        assert_eq!(take(&outbound, later), Some(Outgoing::Resync));
        assert_eq!(outbound.push(&frame("p"), later), Pushed::Queued);

        let next = start + RESYNC_WINDOW + RESYNC_HOLD;
        assert_eq!(take(&outbound, next), Some(Outgoing::Frame(frame("p"))));
        overflow(&outbound, next);
        assert_eq!(take(&outbound, next), Some(Outgoing::Resync), "a quiet minute forgives");
    }

    #[test]
    fn an_end_comes_before_everything_that_waits() {
        let (outbound, now) = (Outbound::new(BOUNDS), Instant::now());
        outbound.push(&frame("p"), now);
        outbound.end(EndReason::Revoked);
        outbound.end(EndReason::Replaced);
        assert_eq!(take(&outbound, now), Some(Outgoing::End(EndReason::Revoked)));
    }

    #[test]
    fn a_closed_queue_holds_nothing() {
        let (outbound, now) = (Outbound::new(BOUNDS), Instant::now());
        outbound.push(&frame("p"), now);
        outbound.close();
        outbound.reply(frame("r"));
        assert_eq!(outbound.push(&frame("p"), now), Pushed::Dropped);
        assert_eq!(take(&outbound, now), None);
    }
}
