//! Which message goes out next. Pure; the messages themselves are on disk, a window of them is here.
//!
//! One lane a conversation. Messages of a lane are sent in order, many in flight. After a retryable refusal the lane
//! sends nothing until everything in flight is answered and the wait is over; then its first message goes alone, because
//! the server refuses all others until that one is answered; then the rest. So none overtakes. One value lives as long
//! as one connection: on a new one everything unanswered is sent again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::cache::Outgoing;

/// Waits after a retryable refusal, where the server names none.
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: HashMap<i64, Lane>,
    /// Lanes that may send, each once, in turn.
    ready: VecDeque<i64>,
    waiting: usize,
}

#[derive(Debug)]
struct Lane {
    messages: VecDeque<Outgoing>,
    /// How many from the front were sent and not removed since.
    sent: usize,
    /// How many of those have had no answer.
    unanswered: usize,
    gate: Gate,
    backoff: Backoff,
    /// True while the lane stands in `ready`.
    queued: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Refused; answers to what is in flight are awaited, then the wait begins.
    Draining(Duration),
    Shut(Instant),
    /// The first message is sent alone.
    Probing,
}

impl Lane {
    fn new() -> Self {
        let backoff = Backoff::new(RETRY_BASE, RETRY_MAX);
        Self { messages: VecDeque::new(), sent: 0, unanswered: 0, gate: Gate::Open, backoff, queued: false }
    }

    fn may_send(&self) -> bool {
        match self.gate {
            Gate::Open => self.sent < self.messages.len(),
            Gate::Probing => self.sent == 0 && !self.messages.is_empty(),
            Gate::Draining(_) | Gate::Shut(_) => false,
        }
    }

    fn shut_if_drained(&mut self, now: Instant) {
        if let Gate::Draining(wait) = self.gate
            && self.unanswered == 0
        {
            self.gate = Gate::Shut(now + wait);
            self.sent = 0;
        }
    }
}

impl Outbox {
    /// Messages held here.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Adds the next message from disk.
    pub(crate) fn push(&mut self, message: Outgoing) {
        let conversation = message.conversation;
        self.lanes.entry(conversation).or_insert_with(Lane::new).messages.push_back(message);
        self.waiting += 1;
        self.ready(conversation);
    }

    /// The next message to send.
    pub(crate) fn next(&mut self) -> Option<Outgoing> {
        while let Some(conversation) = self.ready.pop_front() {
            let Some(lane) = self.lanes.get_mut(&conversation) else { continue };
            lane.queued = false;
            if !lane.may_send() {
                continue;
            }
            let message = lane.messages[lane.sent].clone();
            lane.sent += 1;
            lane.unanswered += 1;
            self.ready(conversation);
            return Some(message);
        }
        None
    }

    /// The message is in the log, or refused for good: it is taken out.
    pub(crate) fn settled(&mut self, conversation: i64, local_id: &str, now: Instant) -> Option<Outgoing> {
        let lane = self.lanes.get_mut(&conversation)?;
        let index = lane.messages.iter().position(|message| message.local_id == local_id)?;
        let message = lane.messages.remove(index)?;
        self.waiting -= 1;
        if index < lane.sent {
            lane.sent -= 1;
            lane.unanswered = lane.unanswered.saturating_sub(1);
        }
        if lane.gate == Gate::Probing {
            lane.gate = Gate::Open;
        }
        lane.backoff.reset();
        lane.shut_if_drained(now);
        if lane.messages.is_empty() {
            self.lanes.remove(&conversation);
        } else {
            self.ready(conversation);
        }
        Some(message)
    }

    /// The message was refused for now. `random` is in `0.0..1.0`.
    pub(crate) fn refused(&mut self, conversation: i64, retry_after: Duration, now: Instant, random: f64) {
        let Some(lane) = self.lanes.get_mut(&conversation) else { return };
        lane.unanswered = lane.unanswered.saturating_sub(1);
        match lane.gate {
            // Those behind the first are refused because of it; only the first one's wait counts.
            Gate::Draining(_) | Gate::Shut(_) => {}
            Gate::Open | Gate::Probing => lane.gate = Gate::Draining(lane.backoff.next(random, retry_after)),
        }
        lane.shut_if_drained(now);
    }

    /// When [`Outbox::tick`] has something to do.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let shut = self.lanes.values().filter_map(|lane| match lane.gate {
            Gate::Shut(until) => Some(until),
            _ => None,
        });
        shut.min()
    }

    /// Lets lanes try again whose wait is over.
    pub(crate) fn tick(&mut self, now: Instant) {
        let over = |lane: &Lane| matches!(lane.gate, Gate::Shut(until) if until <= now);
        let due: Vec<i64> = self.lanes.iter().filter(|(_, lane)| over(lane)).map(|(id, _)| *id).collect();
        for conversation in due {
            if let Some(lane) = self.lanes.get_mut(&conversation) {
                lane.gate = Gate::Probing;
            }
            self.ready(conversation);
        }
    }

    fn ready(&mut self, conversation: i64) {
        if let Some(lane) = self.lanes.get_mut(&conversation)
            && !lane.queued
            && lane.may_send()
        {
            lane.queued = true;
            self.ready.push_back(conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use sparrow_protocol::v1::Content;

    use super::*;

    fn message(place: i64, conversation: i64) -> Outgoing {
        Outgoing { place, local_id: place.to_string(), conversation, content: Content::default(), failure: None }
    }

    fn outbox(messages: &[(i64, i64)]) -> Outbox {
        let mut outbox = Outbox::default();
        for (place, conversation) in messages {
            outbox.push(message(*place, *conversation));
        }
        outbox
    }

    fn drain(outbox: &mut Outbox) -> Vec<i64> {
        std::iter::from_fn(|| outbox.next()).map(|message| message.place).collect()
    }

    #[test]
    fn lanes_take_turns_and_keep_their_order() {
        let mut outbox = outbox(&[(1, 7), (2, 7), (3, 8), (4, 7)]);
        assert_eq!(drain(&mut outbox), [1, 3, 2, 4]);
        assert_eq!(drain(&mut outbox), [0_i64; 0]);
    }

    #[test]
    fn after_a_refusal_the_first_goes_alone_and_then_the_rest_in_order() {
        let now = Instant::now();
        let mut outbox = outbox(&[(1, 7), (2, 7), (3, 7)]);
        assert_eq!(drain(&mut outbox), [1, 2, 3]);
        let wait = Duration::from_secs(1);
        outbox.refused(7, wait, now, 0.5);
        outbox.refused(7, Duration::ZERO, now, 0.5);
        assert_eq!(outbox.next_wake(), None, "3 is still in flight");
        outbox.refused(7, Duration::ZERO, now, 0.5);
        assert_eq!(outbox.next_wake(), Some(now + wait));
        outbox.push(message(4, 7));
        assert_eq!(drain(&mut outbox), [0_i64; 0], "not before the wait is over");
        outbox.tick(now + wait);
        assert_eq!(drain(&mut outbox), [1], "alone");
        outbox.settled(7, "1", now + wait).unwrap();
        assert_eq!(drain(&mut outbox), [2, 3, 4]);
    }

    #[test]
    fn a_refused_lane_does_not_hold_up_another() {
        let now = Instant::now();
        let mut outbox = outbox(&[(1, 7), (2, 8)]);
        assert_eq!(drain(&mut outbox), [1, 2]);
        outbox.refused(7, Duration::from_secs(9), now, 0.0);
        outbox.push(message(3, 8));
        assert_eq!(drain(&mut outbox), [3]);
    }

    #[test]
    fn a_final_refusal_of_the_probe_opens_the_gate() {
        let now = Instant::now();
        let mut outbox = outbox(&[(1, 7), (2, 7)]);
        drain(&mut outbox);
        outbox.refused(7, Duration::ZERO, now, 0.0);
        outbox.refused(7, Duration::ZERO, now, 0.0);
        let later = outbox.next_wake().unwrap();
        outbox.tick(later);
        assert_eq!(drain(&mut outbox), [1]);
        outbox.settled(7, "1", later).unwrap();
        assert_eq!(drain(&mut outbox), [2]);
    }

    #[test]
    fn an_answer_for_something_unknown_changes_nothing() {
        let mut outbox = outbox(&[(1, 7)]);
        assert_eq!(outbox.settled(7, "99", Instant::now()), None);
        assert_eq!(outbox.settled(9, "1", Instant::now()), None);
        assert_eq!(outbox.len(), 1);
    }
}
