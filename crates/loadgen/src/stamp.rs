//! Message ids that say when their message was due: what lets a receiver measure without a table that both ends share.
//!
//! An id is a UUID of version 7. Its time is that of the run's clock, so that it grows as real ones do; its random bits
//! hold a counter, the number of the run and the microsecond at which the send was due.

use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

const RUN_BITS: u32 = 22;
const DUE_BITS: u32 = 40;
const DUE_MASK: u64 = (1 << DUE_BITS) - 1;

/// The clock that all times of a run are told by: microseconds since it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    unix_ms: u64,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        let unix = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self { origin: Instant::now(), unix_ms: u64::try_from(unix.as_millis()).unwrap_or_default() }
    }

    /// Microseconds since the clock began.
    pub(crate) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// A moment by this clock, in microseconds; 0 for one before it began.
    pub(crate) fn at(&self, moment: Instant) -> u64 {
        micros(moment.saturating_duration_since(self.origin))
    }
}

/// A time in whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What an id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Which run of the fleet sent it; 22 bits.
    pub(crate) run: u32,
    /// When it was due, in microseconds by the fleet's clock; 40 bits, which is twelve days.
    pub(crate) due: u64,
}

impl Stamp {
    /// The id of this stamp. `counter` tells apart what one sender owes at the same microsecond, up to 4,096.
    pub(crate) fn id(self, clock: &Clock, counter: u64) -> Uuid {
        let time = (clock.unix_ms + self.due / 1_000) & ((1 << 48) - 1);
        let high = (time << 16) | 0x7000 | (counter & 0xfff);
        let run = u64::from(self.run) & ((1 << RUN_BITS) - 1);
        let low = (0b10 << 62) | (run << DUE_BITS) | (self.due & DUE_MASK);
        Uuid::from_u64_pair(high, low)
    }

    /// Reads an id; what somebody else made reads as some run and time that nobody asks for.
    pub(crate) fn read(id: &str) -> Option<Self> {
        let (_, low) = Uuid::try_parse(id).ok()?.as_u64_pair();
        let run = u32::try_from((low >> DUE_BITS) & ((1 << RUN_BITS) - 1)).ok()?;
        Some(Self { run, due: low & DUE_MASK })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_it_was_made_of_and_is_a_uuid_of_version_7() {
        let stamp = Stamp { run: 4_000_001, due: 987_654_321_012 };
        let id = stamp.id(&Clock::start(), 70_000);
        assert_eq!(Stamp::read(&id.to_string()), Some(stamp));
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
    }

    #[test]
    fn ids_of_one_moment_differ_by_their_counter() {
        let (stamp, clock) = (Stamp { run: 1, due: 5 }, Clock::start());
        assert_ne!(stamp.id(&clock, 1), stamp.id(&clock, 2));
    }
}
