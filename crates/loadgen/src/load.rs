//! What a run is asked for: how much, how fast, in which formats, to what end.

use std::time::Duration;

use sparrow_protocol::{Carrier, Codec, Format};

use crate::schedule::Burst;

/// The formats of a fleet's connections.
#[derive(Debug, Clone, Copy)]
pub struct Formats {
    /// What carries the frames; `None` for half of the connections each.
    pub carrier: Option<Carrier>,
    /// How bodies are written; `None` for half of the connections each.
    pub codec: Option<Codec>,
}

impl Formats {
    /// Protobuf over WebSocket.
    pub const DEFAULT: Self = Self { carrier: Some(Carrier::WebSocket), codec: Some(Codec::Protobuf) };

    /// The format of one connection. If both halves are mixed, each of the four formats has a quarter.
    pub fn of(self, number: usize) -> Format {
        let is_tcp = number / 2 % 2 == 1;
        let is_json = number % 2 == 1;
        Format {
            carrier: self.carrier.unwrap_or(if is_tcp { Carrier::Tcp } else { Carrier::WebSocket }),
            codec: self.codec.unwrap_or(if is_json { Codec::Json } else { Codec::Protobuf }),
        }
    }
}

/// A latency that a rate has to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Which share of the messages, as `0.99`.
    pub quantile: f64,
    /// Within which time.
    pub within: Duration,
}

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct Load {
    /// Sends, pulls or frames per second.
    pub rate: f64,
    /// How long the measured part is.
    pub duration: Duration,
    /// Connections.
    pub connections: usize,
    /// Bytes of a message's text.
    pub body: usize,
    /// What the connections speak.
    pub formats: Formats,
    /// True if recipients say that they have read.
    pub receipts: bool,
    /// From which the order of the senders, and which pages are asked for, are drawn.
    pub seed: u64,
    /// The latency whose highest rate is searched for.
    pub search: Option<Goal>,
    /// The exponent of Zipf's law, if few conversations are to have most of the messages.
    pub zipf: Option<f64>,
    /// A time with more sends.
    pub burst: Option<Burst>,
    /// True if the floor is measured after the run, for the efficiency.
    pub floor: bool,
}

/// Whom a person who waits is told how far it is.
pub trait Progress: Send + Sync {
    /// Something new began that takes so many steps.
    fn stage(&self, what: &str, steps: u64);
    /// So many more steps are done.
    fn advance(&self, steps: u64);
}

/// Nobody waits.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn stage(&self, _what: &str, _steps: u64) {}

    fn advance(&self, _steps: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_formats_have_a_quarter_of_the_connections_each() {
        let mixed = Formats { carrier: None, codec: None };
        for format in Format::ALL {
            assert_eq!((0..8).filter(|number| mixed.of(*number) == *format).count(), 2, "{format:?}");
        }
    }
}
