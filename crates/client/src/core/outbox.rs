//! Which message goes out next. Pure; the messages themselves are on disk, a window of them is here.
//!
//! One lane a conversation. Messages of a lane are sent in order, many in flight. After a retryable refusal the lane
//! sends nothing until everything in flight is answered and the wait is over; then its first message goes alone, because
//! the server refuses all others until that one is answered; then the rest, so that none overtakes. They too go one at a
//! time, until some have been taken in a row: where a rate is what was reached, each message in flight would be refused
//! with the first. One value lives as long as one connection: on a new one everything unanswered is sent again.
//!
//! A lane holds a part of what is on disk. What waits behind a refused message does not keep other lanes from theirs.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::cache::{OutboxPage, Outgoing, Whose};

/// Waits after a retryable refusal, where the server names none.
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Messages taken in a row after a refusal, before more than one are in flight again.
const STEADY: usize = 8;
/// Messages that all lanes may hold together, without those that were refused and wait.
const WINDOW: usize = 256;
/// Messages that one lane holds.
const LANE_WINDOW: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: HashMap<i64, Lane>,
    /// Lanes that may send, each once, in turn.
    ready: VecDeque<i64>,
}

#[derive(Debug)]
struct Lane {
    messages: VecDeque<Outgoing>,
    /// How many from the front were sent and not removed since.
    sent: usize,
    /// How many of those have had no answer, and how many may be so at once.
    unanswered: usize,
    most: usize,
    /// Messages taken since the last refusal.
    taken: usize,
    /// The place of the last message that was read from disk.
    read_to: i64,
    /// True if there may be more on disk that only this lane asks for.
    more: bool,
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
        Self {
            messages: VecDeque::new(),
            sent: 0,
            unanswered: 0,
            most: LANE_WINDOW,
            taken: 0,
            read_to: 0,
            more: false,
            gate: Gate::Open,
            backoff,
            queued: false,
        }
    }

    fn may_send(&self) -> bool {
        match self.gate {
            Gate::Open => self.sent < self.messages.len() && self.unanswered < self.most,
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
    /// What is worth reading from disk now, given that everything up to `loaded_to` has been, but for what lanes left
    /// there, and that there is more beyond only if `more`.
    pub(crate) fn wanted(&self, loaded_to: i64, more: bool) -> Option<OutboxPage> {
        let short = self.lanes.iter().find(|(_, lane)| lane.more && lane.messages.len() <= LANE_WINDOW / 2);
        if let Some((conversation, lane)) = short {
            let limit = LANE_WINDOW - lane.messages.len();
            return Some(OutboxPage { after: lane.read_to, of: Whose::One(*conversation), limit });
        }
        let open = self.lanes.values().filter(|lane| lane.gate == Gate::Open);
        let room = WINDOW.saturating_sub(open.map(|lane| lane.messages.len()).sum());
        if !more || room < WINDOW / 2 {
            return None;
        }
        let mut except: Vec<_> = self.lanes.iter().filter(|(_, lane)| lane.more).map(|(id, _)| *id).collect();
        except.sort_unstable();
        Some(OutboxPage { after: loaded_to, of: Whose::AllBut(except), limit: room })
    }

    /// Adds what was read from disk.
    pub(crate) fn read(&mut self, page: &OutboxPage, messages: Vec<Outgoing>) {
        if let Whose::One(conversation) = page.of
            && let Some(lane) = self.lanes.get_mut(&conversation)
        {
            lane.more = messages.len() >= page.limit;
            if lane.messages.is_empty() && messages.is_empty() && !lane.more {
                self.lanes.remove(&conversation);
            }
        }
        for message in messages {
            self.push(message);
        }
    }

    /// Adds the next message of its conversation, or leaves it on disk for later.
    fn push(&mut self, message: Outgoing) {
        let conversation = message.conversation;
        let lane = self.lanes.entry(conversation).or_insert_with(Lane::new);
        // One that a lane asked for by itself comes again with those of all.
        if message.place <= lane.read_to {
            return;
        }
        if lane.messages.len() >= LANE_WINDOW {
            lane.more = true;
            return;
        }
        lane.read_to = message.place;
        lane.messages.push_back(message);
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
        if index < lane.sent {
            lane.sent -= 1;
            lane.unanswered = lane.unanswered.saturating_sub(1);
        }
        if lane.gate == Gate::Probing {
            lane.gate = Gate::Open;
        }
        lane.backoff.reset();
        lane.taken += 1;
        if lane.taken >= STEADY && lane.most < LANE_WINDOW {
            lane.most += 1;
        }
        lane.shut_if_drained(now);
        if lane.messages.is_empty() && !lane.more {
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
        (lane.most, lane.taken) = (1, 0);
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

    /// Gives the outbox all that it asks for, from a disk with these messages, until it asks for no more.
    fn load(outbox: &mut Outbox, disk: &[Outgoing], loaded_to: &mut i64) {
        while let Some(page) = outbox.wanted(*loaded_to, disk.last().is_some_and(|last| last.place > *loaded_to)) {
            let wanted = |message: &&Outgoing| match &page.of {
                Whose::One(conversation) => message.conversation == *conversation,
                Whose::AllBut(except) => !except.contains(&message.conversation),
            };
            let after = disk.iter().filter(|message| message.place > page.after).filter(wanted);
            let read: Vec<_> = after.take(page.limit).cloned().collect();
            if matches!(page.of, Whose::AllBut(_)) {
                let end = read.len() < page.limit;
                *loaded_to = if end { i64::MAX } else { read.last().unwrap().place };
            }
            outbox.read(&page, read);
        }
    }

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
        for place in 2..=4 {
            assert_eq!(drain(&mut outbox), [place], "one at a time");
            outbox.settled(7, &place.to_string(), now + wait).unwrap();
        }
    }

    #[test]
    fn a_pause_of_the_rate_costs_one_refusal() {
        let (mut now, wait) = (Instant::now(), Duration::from_millis(33));
        let messages: Vec<_> = (1..=60).map(|place| (place, 7)).collect();
        let mut outbox = outbox(&messages);
        // The server takes five at once, and then one a pause.
        let (mut tokens, mut refusals, mut pauses, mut taken) = (5, 0, 0, Vec::new());
        while taken.len() < 60 {
            let mut gated = false;
            for place in drain(&mut outbox) {
                if tokens > 0 && !gated {
                    tokens -= 1;
                    taken.push(place);
                    outbox.settled(7, &place.to_string(), now).unwrap();
                } else {
                    gated = true;
                    refusals += 1;
                    outbox.refused(7, wait, now, 0.0);
                }
            }
            if let Some(wake) = outbox.next_wake() {
                (now, tokens, pauses) = (wake, tokens + 1, pauses + 1);
                outbox.tick(now);
            }
        }
        assert_eq!(taken, (1..=60).collect::<Vec<_>>());
        // The first pause finds everything in flight.
        assert!(refusals <= 55 + pauses, "{refusals} refusals, {pauses} pauses");
    }

    #[test]
    fn after_some_were_taken_in_a_row_more_are_in_flight_again() {
        let now = Instant::now();
        let messages: Vec<_> = (1..=60).map(|place| (place, 7)).collect();
        let mut outbox = outbox(&messages);
        for _ in drain(&mut outbox) {
            outbox.refused(7, Duration::ZERO, now, 0.0);
        }
        let later = outbox.next_wake().unwrap();
        outbox.tick(later);
        let (mut turns, mut at_once) = (0, 0);
        loop {
            let sent = drain(&mut outbox);
            if sent.is_empty() {
                break;
            }
            turns += 1;
            at_once = at_once.max(sent.len());
            for place in sent {
                outbox.settled(7, &place.to_string(), later).unwrap();
            }
        }
        assert!(turns <= 16 && at_once >= 16, "{turns} turns, {at_once} at once");
    }

    #[test]
    fn what_waits_behind_a_refusal_does_not_hold_up_other_conversations() {
        let now = Instant::now();
        let many = (1..=1_000).map(|place| message(place, 7));
        let others = (1_001..=1_200).map(|place| message(place, 8 + place % 3));
        let mut disk: Vec<_> = many.chain(others).collect();
        let (mut outbox, mut loaded_to) = (Outbox::default(), 0);
        load(&mut outbox, &disk, &mut loaded_to);
        let mut taken: HashMap<i64, Vec<i64>> = HashMap::new();
        let mut refused = true;
        // Conversation 7 takes nothing until all the others are done.
        for _ in 0..10_000 {
            for place in drain(&mut outbox) {
                let at = disk.iter().position(|message| message.place == place).unwrap();
                let conversation = disk[at].conversation;
                if conversation == 7 && refused {
                    outbox.refused(7, Duration::from_secs(1), now, 0.0);
                } else {
                    disk.remove(at);
                    outbox.settled(conversation, &place.to_string(), now).unwrap();
                    taken.entry(conversation).or_default().push(place);
                }
            }
            load(&mut outbox, &disk, &mut loaded_to);
            if disk.iter().all(|message| message.conversation == 7) && refused {
                refused = false;
                outbox.tick(now + Duration::from_secs(9));
            }
        }
        assert_eq!(taken[&7], (1..=1_000).collect::<Vec<_>>());
        assert_eq!(taken.values().map(Vec::len).sum::<usize>(), 1_200);
        assert!(taken.values().all(|places| places.is_sorted()));
        assert!(outbox.lanes.is_empty());
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
        assert_eq!(drain(&mut outbox), [1]);
    }
}
