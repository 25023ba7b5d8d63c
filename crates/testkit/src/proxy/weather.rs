//! What holds for the connections of a proxy. A change wakes every one of them.

use std::time::Duration;

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From client to node.
    Up,
    /// From node to client.
    Down,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// What one direction is like. The default is a perfect line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// How long bytes are under way.
    pub latency: Duration,
    /// Up to so much longer, drawn for each piece that is read; order is kept.
    pub jitter: Duration,
    /// Most bytes a second on one connection; `None` for no limit.
    pub bytes_per_second: Option<u32>,
    /// Most bytes written at once: 1 tears a frame at every byte. `None` for no limit.
    pub torn: Option<usize>,
    /// Nothing is read from the sender, as if the receiver had stopped reading.
    pub stalled: bool,
    /// Bytes are taken and dropped, and so is the end. A connection that has lost bytes stays deaf in this direction:
    /// what came after a gap would not be the stream any more.
    pub lost: bool,
}

/// What becomes of new connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Door {
    /// They lead to the target.
    #[default]
    Open,
    /// They are reset.
    Refusing,
    /// They are accepted and lead nowhere: nothing is answered.
    Silent,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    up: Line,
    down: Line,
    pub(super) door: Door,
    /// Connections with a number up to this are reset.
    pub(super) cut: u64,
    /// The ends of connections with a number up to this have vanished for each other.
    pub(super) vanished: u64,
}

impl Weather {
    pub(super) fn line(&self, direction: Direction) -> &Line {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    pub(super) fn line_mut(&mut self, direction: Direction) -> &mut Line {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    /// True if what this connection sends in this direction arrives nowhere.
    pub(super) fn loses(&self, direction: Direction, connection: u64) -> bool {
        self.line(direction).lost || connection <= self.vanished
    }

    pub(super) fn heal(&mut self) {
        *self = Self { cut: self.cut, vanished: self.vanished, ..Self::default() };
    }
}
