//! When to ask whether a client is still there, and when to stop waiting. Pure; the connection owns the clock.

use std::time::Duration;

use tokio::time::Instant;

/// The part of the time to `Ping` that is left to chance, so that connections made together do not beat together.
const JITTER: f64 = 0.1;

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing.
    Wait,
    /// A `Ping`.
    Ping,
    /// The end: no complete frame came for too long.
    Dead,
}

/// The heartbeat of one connection.
#[derive(Debug)]
pub(super) struct Heartbeat {
    ping_after: Duration,
    idle_timeout: Duration,
    sent: Instant,
    received: Instant,
    pinged: Instant,
}

impl Heartbeat {
    /// A heartbeat that begins now; `chance` in 0..1 shortens its period.
    pub(super) fn new(ping_after: Duration, idle_timeout: Duration, chance: f64, now: Instant) -> Self {
        let ping_after = ping_after.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0));
        Self { ping_after, idle_timeout, sent: now, received: now, pinged: now }
    }

    /// Something was written.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// A complete frame came.
    pub(super) fn received(&mut self, now: Instant) {
        self.received = now;
    }

    /// What is due now. A `Ping` counts as asked for once it is answered here.
    pub(super) fn due(&mut self, now: Instant) -> Beat {
        if now >= self.dead_at() {
            return Beat::Dead;
        }
        if now >= self.ping_at() {
            self.pinged = now;
            return Beat::Ping;
        }
        Beat::Wait
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Instant {
        self.ping_at().min(self.dead_at())
    }

    fn ping_at(&self) -> Instant {
        self.sent.min(self.received).max(self.pinged) + self.ping_after
    }

    fn dead_at(&self) -> Instant {
        self.received + self.idle_timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Duration = Duration::from_secs(25);
    const IDLE: Duration = Duration::from_secs(75);

    #[test]
    fn silence_in_either_direction_makes_a_ping_and_no_flood_of_them() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(PING, IDLE, 0.0, start);
        assert_eq!((heartbeat.due(start), heartbeat.next()), (Beat::Wait, start + PING));
        let mut now = start + PING;
        heartbeat.sent(now);
        assert_eq!(heartbeat.due(now), Beat::Ping, "nothing was received");
        heartbeat.sent(now);
        assert_eq!((heartbeat.due(now), heartbeat.next()), (Beat::Wait, now + PING));
        now += PING;
        heartbeat.received(now);
        assert_eq!(heartbeat.due(now), Beat::Ping, "nothing was sent");
    }

    #[test]
    fn a_client_that_sends_nothing_is_given_up() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(PING, IDLE, 0.0, start);
        heartbeat.sent(start + IDLE);
        assert_eq!(heartbeat.due(start + IDLE), Beat::Dead);
        heartbeat.received(start + IDLE);
        assert_ne!(heartbeat.due(start + IDLE), Beat::Dead);
    }

    #[test]
    fn chance_only_shortens_the_period() {
        let start = Instant::now();
        let heartbeat = Heartbeat::new(PING, IDLE, 1.0, start);
        assert_eq!(heartbeat.next(), start + PING.mul_f64(0.9));
    }
}
