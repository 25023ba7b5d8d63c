//! What a session must see of a conversation: every entry once, pushes in order, acks in the order of the sends.

use std::collections::BTreeSet;
use std::fmt;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// An entry came twice.
    Duplicate {
        /// Which.
        seq: i64,
    },
    /// A push came after one with a higher seq.
    Swapped {
        /// The late one.
        seq: i64,
        /// The highest before it.
        after: i64,
    },
    /// Entries never came.
    Hole {
        /// The first that is missing.
        from: i64,
        /// The last that is missing.
        to: i64,
    },
    /// A later send of a session got a lower seq than an earlier one.
    Overtaken {
        /// The seq of the later send, or of the earlier one if its ack came last.
        seq: i64,
        /// The seq that it has to be compared with.
        other: i64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { seq } => write!(f, "entry {seq} came twice"),
            Self::Swapped { seq, after } => write!(f, "entry {seq} was pushed after entry {after}"),
            Self::Hole { from, to } => write!(f, "entries {from} to {to} never came"),
            Self::Overtaken { seq, other } => write!(f, "sends were numbered out of order: {seq} beside {other}"),
        }
    }
}

/// One session's view of one conversation, from some head on. What lies under it is not looked at.
#[derive(Debug, Clone)]
pub struct Watch {
    base: i64,
    /// Everything below has come.
    next: i64,
    /// What has come beyond.
    early: BTreeSet<i64>,
    highest_push: i64,
    last_ack: (u32, i64),
    /// True once entries were pulled: what is pulled may have been pushed as well.
    pulled: bool,
}

impl Watch {
    /// A view that begins after this head.
    pub fn after(head: i64) -> Self {
        Self {
            base: head,
            next: head + 1,
            early: BTreeSet::new(),
            highest_push: head,
            last_ack: (0, head),
            pulled: false,
        }
    }

    /// The session was pushed an entry.
    pub fn push(&mut self, seq: i64) -> Result<(), Violation> {
        if seq <= self.base {
            return Ok(());
        }
        let after = self.highest_push;
        self.highest_push = after.max(seq);
        match seq.cmp(&after) {
            std::cmp::Ordering::Less => Err(Violation::Swapped { seq, after }),
            std::cmp::Ordering::Equal => Err(Violation::Duplicate { seq }),
            std::cmp::Ordering::Greater if self.take(seq) || self.pulled => Ok(()),
            std::cmp::Ordering::Greater => Err(Violation::Duplicate { seq }),
        }
    }

    /// A send of the session was acked. Its own entry is not pushed to it.
    pub fn ack(&mut self, request: u32, seq: i64) -> Result<(), Violation> {
        let (earlier, other) = self.last_ack;
        if request > earlier {
            self.last_ack = (request, seq);
        }
        if !self.take(seq) && !self.pulled {
            return Err(Violation::Duplicate { seq });
        }
        if (request > earlier) == (seq > other) { Ok(()) } else { Err(Violation::Overtaken { seq, other }) }
    }

    /// An entry was read from the log, which may repeat what was pushed.
    pub fn pull(&mut self, seq: i64) {
        self.pulled = true;
        self.take(seq);
    }

    /// The first entry that has not come.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// The holes below or at this head, which is known to have been acked.
    pub fn holes(&self, head: i64) -> Vec<Violation> {
        let mut holes = Vec::new();
        let mut from = self.next;
        for &came in self.early.iter().take_while(|came| **came <= head) {
            if came > from {
                holes.push(Violation::Hole { from, to: came - 1 });
            }
            from = came + 1;
        }
        if from <= head {
            holes.push(Violation::Hole { from, to: head });
        }
        holes
    }

    /// False if it had come before.
    fn take(&mut self, seq: i64) -> bool {
        if seq > self.next {
            return self.early.insert(seq);
        }
        if seq < self.next {
            return false;
        }
        self.next += 1;
        while self.early.first() == Some(&self.next) {
            self.early.pop_first();
            self.next += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_log_in_order_is_sound() {
        let mut watch = Watch::after(3);
        watch.push(4).unwrap();
        watch.ack(1, 6).unwrap();
        watch.push(5).unwrap();
        watch.push(7).unwrap();
        assert_eq!((watch.next(), watch.holes(7)), (8, vec![]));
    }

    #[test]
    fn a_hole_is_found_in_the_middle_and_at_the_end() {
        let mut watch = Watch::after(0);
        watch.push(1).unwrap();
        watch.push(4).unwrap();
        assert_eq!(watch.holes(6), [Violation::Hole { from: 2, to: 3 }, Violation::Hole { from: 5, to: 6 }]);
    }

    #[test]
    fn a_duplicate_is_found_whichever_way_it_came() {
        let mut watch = Watch::after(0);
        watch.push(1).unwrap();
        assert_eq!(watch.push(1), Err(Violation::Duplicate { seq: 1 }));
        watch.ack(1, 2).unwrap();
        assert_eq!(watch.push(2), Err(Violation::Duplicate { seq: 2 }));
        assert_eq!(watch.ack(2, 2), Err(Violation::Duplicate { seq: 2 }));
    }

    #[test]
    fn a_swap_is_found() {
        let mut watch = Watch::after(0);
        watch.push(2).unwrap();
        assert_eq!(watch.push(1), Err(Violation::Swapped { seq: 1, after: 2 }));
    }

    #[test]
    fn sends_numbered_out_of_order_are_found_in_whichever_order_the_acks_come() {
        let mut watch = Watch::after(0);
        watch.ack(5, 2).unwrap();
        assert_eq!(watch.ack(6, 1), Err(Violation::Overtaken { seq: 1, other: 2 }));
        let mut watch = Watch::after(0);
        watch.ack(6, 1).unwrap();
        assert_eq!(watch.ack(5, 2), Err(Violation::Overtaken { seq: 2, other: 1 }));
        let mut watch = Watch::after(0);
        watch.ack(6, 2).unwrap();
        watch.ack(5, 1).unwrap();
    }

    #[test]
    fn what_was_pulled_fills_holes_and_may_be_pushed_too() {
        let mut watch = Watch::after(0);
        watch.push(1).unwrap();
        watch.pull(2);
        watch.pull(3);
        watch.push(3).unwrap();
        assert_eq!(watch.holes(3), []);
        assert_eq!(watch.push(2), Err(Violation::Swapped { seq: 2, after: 3 }));
    }
}
