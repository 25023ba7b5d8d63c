//! A TCP proxy that fails on demand: the network between two programs.
//!
//! Between a client and a node, and in the same way between a node and its database or bus. What holds for all
//! connections (`weather`) can be changed while they live; what each direction does with its bytes is in `pump`; where
//! the protocol is known (`framing`), chosen frames can be dropped, doubled, or be the last (`rules`). What was done is
//! counted (`tally`) and is the evidence of a fault. All chance comes from one seed.

mod carry;
mod framing;
mod pump;
mod rules;
mod tally;
#[cfg(test)]
mod tests;
mod weather;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Evidence;
use carry::accept;
use rules::Rules;
use tally::Tally;
use weather::Weather;

pub use framing::Framing;
pub use rules::{Fate, Rule};
pub use weather::{Direction, Door, Line};

/// How many bytes connections may carry before they are cut.
#[derive(Default)]
struct Cuts {
    /// For the next connections, one each.
    planned: VecDeque<(Direction, usize)>,
    /// For every other one.
    random: Option<(StdRng, usize)>,
}

/// What the connections of a proxy share.
struct Shared {
    target: Mutex<SocketAddr>,
    cuts: Mutex<Cuts>,
    framing: Framing,
    rules: Rules,
    chance: Mutex<StdRng>,
    weather: watch::Sender<Weather>,
    tally: Tally,
}

/// The proxy. Dropping it resets its connections and closes its port.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Opens a port that leads to `target`, in good weather; jitter is drawn from `seed`.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn open(target: SocketAddr, seed: u64) -> io::Result<Self> {
        Self::speaking(Framing::Bytes, target, seed).await
    }

    /// The same for a link whose protocol is known, so that [`Proxy::at`] can choose frames.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn speaking(framing: Framing, target: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            cuts: Mutex::default(),
            framing,
            rules: Rules::default(),
            chance: Mutex::new(StdRng::seed_from_u64(seed)),
            weather: watch::Sender::default(),
            tally: Tally::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// The same for a test that does not use jitter.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start(target: SocketAddr) -> Self {
        Self::open(target, 0).await.expect("a port for the proxy")
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections lead to from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        *lock(&self.shared.target) = target;
    }

    /// What one direction is like from now on, for connections there are and new ones.
    pub fn set(&self, direction: Direction, line: Line) {
        self.shared.weather.send_modify(|weather| *weather.line_mut(direction) = line);
    }

    /// What becomes of new connections from now on.
    pub fn door(&self, door: Door) {
        self.shared.weather.send_modify(|weather| weather.door = door);
    }

    /// From now on something happens to chosen frames. Rules add up; the first that fits decides.
    pub fn at(&self, rule: Rule) {
        self.shared.rules.add(rule);
    }

    /// Good weather again: both directions as they were at first, the door open, no cuts and no rules to come. Connections that lost
    /// bytes, or whose peer vanished, stay as they are until they end.
    pub fn heal(&self) {
        *lock(&self.shared.cuts) = Cuts::default();
        self.shared.rules.clear();
        self.shared.weather.send_modify(Weather::heal);
    }

    /// Resets every connection there is; answers how many there were.
    pub fn cut(&self) -> u64 {
        let open = self.shared.tally.open();
        self.shared.weather.send_modify(|weather| weather.cut = self.shared.tally.last());
        open
    }

    /// For every connection there is, each end finds that the other has vanished: nothing arrives any more, no end and no
    /// reset either. Answers how many there were.
    pub fn vanish(&self) -> u64 {
        let open = self.shared.tally.open();
        self.shared.tally.vanished_connections.add(usize::try_from(open).unwrap_or(usize::MAX));
        self.shared.weather.send_modify(|weather| weather.vanished = self.shared.tally.last());
        open
    }

    /// Resets the next new connection exactly after this many bytes in one direction. Calls add up, one connection each.
    pub fn cut_next_at(&self, direction: Direction, bytes: usize) {
        lock(&self.shared.cuts).planned.push_back((direction, bytes));
    }

    /// From now on every new connection is reset, mid-frame as it happens, after a random number of bytes.
    pub fn cut_at_random(&self, random: StdRng, mean_bytes: usize) {
        lock(&self.shared.cuts).random = Some((random, mean_bytes));
    }

    /// New connections last until [`Proxy::cut`].
    pub fn no_more_random_cuts(&self) {
        lock(&self.shared.cuts).random = None;
    }

    /// Lets no byte pass in one direction until [`Proxy::flow`], as a reader does that stops reading.
    pub fn stall(&self, direction: Direction) {
        self.shared.weather.send_modify(|weather| weather.line_mut(direction).stalled = true);
    }

    /// Ends a stall; nothing was lost by it.
    pub fn flow(&self) {
        self.shared.weather.send_modify(|weather| {
            weather.line_mut(Direction::Up).stalled = false;
            weather.line_mut(Direction::Down).stalled = false;
        });
    }

    /// What the proxy has done to its connections so far; [`Evidence::since`] gives what one fault did.
    pub fn evidence(&self) -> Evidence {
        self.shared.tally.evidence()
    }

    /// Connections that are open.
    pub fn connections(&self) -> u64 {
        self.shared.tally.open()
    }

    /// Bytes passed on so far, up and down.
    pub fn carried(&self) -> (u64, u64) {
        self.shared.tally.carried()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Shared {
    /// How many bytes a new connection may carry: in both directions together, and in one.
    fn allowance(&self) -> Allowance {
        let mut cuts = lock(&self.cuts);
        if let Some((direction, bytes)) = cuts.planned.pop_front() {
            return Allowance { direction: Some(direction), left: Some(bytes) };
        }
        let left = cuts.random.as_mut().map(|(random, mean)| random.random_range(1..=2 * *mean));
        Allowance { direction: None, left }
    }
}

/// How many bytes a connection may still carry, in one direction or in both together.
struct Allowance {
    direction: Option<Direction>,
    left: Option<usize>,
}

impl Allowance {
    /// Takes up to `length` bytes off; answers how many may pass.
    fn spend(&mut self, direction: Direction, length: usize) -> usize {
        match &mut self.left {
            Some(left) if self.direction.is_none_or(|counted| counted == direction) => {
                let passed = length.min(*left);
                *left -= passed;
                passed
            }
            _ => length,
        }
    }

    /// True if the connection is to be cut now.
    fn is_used_up(&self) -> bool {
        self.left == Some(0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
