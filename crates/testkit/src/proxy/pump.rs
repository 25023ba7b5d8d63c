//! One direction of one connection: bytes are read, wait as long as the weather says, and are written.
//!
//! Reading goes on while bytes are under way, so latency costs no bandwidth.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::framing::{Frame, Framer};
use super::weather::Weather;
use super::{Allowance, Direction, Fate, Line, Shared, lock};

/// Most bytes read at once.
const PIECE: usize = 16 * 1024;
/// Pieces under way; beyond, the sender waits.
const UNDER_WAY: usize = 64;
/// What a limited bandwidth lets through at once: the bytes of this time.
const TICK: Duration = Duration::from_millis(20);

/// The connection has to be reset.
pub(super) struct Reset;

/// Bytes, and when they arrive.
struct Piece {
    due: Instant,
    bytes: Bytes,
    /// The connection is reset after them.
    is_last: bool,
}

pub(super) struct Pump<'a> {
    connection: u64,
    direction: Direction,
    shared: &'a Shared,
    allowance: &'a Mutex<Allowance>,
    weather: watch::Receiver<Weather>,
    /// True once bytes were lost: nothing passes in this direction any more.
    deaf: AtomicBool,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        connection: u64,
        direction: Direction,
        shared: &'a Shared,
        allowance: &'a Mutex<Allowance>,
    ) -> Self {
        let weather = shared.weather.subscribe();
        Self { connection, direction, shared, allowance, weather, deaf: AtomicBool::new(false) }
    }

    /// Passes bytes on until the sender has closed, which is passed on too.
    pub(super) async fn run(self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), Reset> {
        let (under_way, arriving) = mpsc::channel(UNDER_WAY);
        let reading = self.read(from, under_way);
        let writing = self.write(arriving, to);
        tokio::try_join!(reading, writing).map(drop)
    }

    async fn read(&self, mut from: ReadHalf<'_>, under_way: mpsc::Sender<Piece>) -> Result<(), Reset> {
        let mut buffer = vec![0; PIECE];
        let mut framer = Framer::new(self.shared.framing, self.direction);
        let mut due = Instant::now();
        loop {
            let waited = self.flowing().await?;
            let length = match from.read(&mut buffer).await {
                Ok(0) => {
                    let rest = Piece { due, bytes: framer.rest(), is_last: false };
                    // Nobody to take it is as good as nobody to hear of the end.
                    drop(under_way.send(rest).await);
                    return Ok(());
                }
                Ok(length) => length,
                Err(_) if self.is_deaf() => {
                    self.shared.tally.swallowed_ends.add(1);
                    return Ok(());
                }
                Err(_) => return Err(Reset),
            };
            if waited {
                self.shared.tally.held_bytes.add(length);
            }
            if self.is_deaf() {
                self.shared.tally.dropped_bytes.add(length);
                continue;
            }
            let delay = self.delay();
            if !delay.is_zero() {
                self.shared.tally.delayed_bytes.add(length);
            }
            due = due.max(Instant::now() + delay);
            framer.feed(&buffer[..length]);
            while let Some(frame) = framer.next() {
                for (bytes, is_last) in self.decide(&frame) {
                    if under_way.send(Piece { due, bytes, is_last }).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn write(&self, mut arriving: mpsc::Receiver<Piece>, mut to: WriteHalf<'_>) -> Result<(), Reset> {
        while let Some(piece) = arriving.recv().await {
            sleep_until(piece.due).await;
            self.flowing().await?;
            if self.is_deaf() {
                self.shared.tally.dropped_bytes.add(piece.bytes.len());
                continue;
            }
            let allowed = lock(self.allowance).spend(self.direction, piece.bytes.len());
            if self.write_piece(&piece.bytes[..allowed], &mut to).await.is_err() {
                // A reset that the receiver answers with is a packet of the other direction, and may be lost there.
                if !self.weather.borrow().loses(self.direction.opposite(), self.connection) {
                    return Err(Reset);
                }
                self.deaf.store(true, Ordering::Relaxed);
                self.shared.tally.swallowed_ends.add(1);
            }
            if piece.is_last || lock(self.allowance).is_used_up() {
                return Err(Reset);
            }
        }
        if self.is_deaf() {
            self.shared.tally.swallowed_ends.add(1);
            return Ok(());
        }
        to.shutdown().await.map_err(|_| Reset)
    }

    async fn write_piece(&self, mut bytes: &[u8], to: &mut WriteHalf<'_>) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let Line { bytes_per_second, torn, .. } = self.line();
            let at_once = torn.unwrap_or(usize::MAX).min(bytes_per_second.map_or(usize::MAX, tick_bytes)).max(1);
            let (now, later) = bytes.split_at(at_once.min(bytes.len()));
            to.write_all(now).await?;
            self.shared.tally.passed(self.direction, now.len());
            if torn.is_some() && !later.is_empty() {
                self.shared.tally.torn_writes.add(1);
                tokio::task::yield_now().await;
            }
            if let Some(rate) = bytes_per_second {
                self.shared.tally.throttled_bytes.add(now.len());
                tokio::time::sleep(Duration::from_secs_f64(now.len() as f64 / f64::from(rate.max(1)))).await;
            }
            bytes = later;
        }
        Ok(())
    }

    /// What is passed on of a frame, and whether that is the end.
    fn decide(&self, frame: &Frame) -> impl Iterator<Item = (Bytes, bool)> + use<> {
        let tally = &self.shared.tally;
        let bytes = frame.bytes.clone();
        let passed = match self.shared.rules.fate(self.direction, frame) {
            None => [Some((bytes, false)), None],
            Some(Fate::Dropped) => {
                tally.dropped_frames.add(1);
                [None, None]
            }
            Some(Fate::Doubled) => {
                tally.doubled_frames.add(1);
                [Some((bytes.clone(), false)), Some((bytes, false))]
            }
            Some(fate @ (Fate::CutBefore | Fate::CutAfter)) => {
                tally.cut_frames.add(1);
                [Some((if fate == Fate::CutAfter { bytes } else { Bytes::new() }, true)), None]
            }
        };
        passed.into_iter().flatten()
    }

    /// Waits while the direction is stalled; true if it had to.
    async fn flowing(&self) -> Result<bool, Reset> {
        let direction = self.direction;
        let mut weather = self.weather.clone();
        let stalled = weather.borrow().line(direction).stalled;
        // Without a proxy there is no line.
        weather.wait_for(|weather| !weather.line(direction).stalled).await.map_err(|_| Reset)?;
        Ok(stalled)
    }

    fn delay(&self) -> Duration {
        let Line { latency, jitter, .. } = self.line();
        if jitter.is_zero() {
            return latency;
        }
        latency + jitter.mul_f64(lock(&self.shared.chance).random::<f64>())
    }

    fn line(&self) -> Line {
        *self.weather.borrow().line(self.direction)
    }

    fn is_deaf(&self) -> bool {
        if self.weather.borrow().loses(self.direction, self.connection) {
            self.deaf.store(true, Ordering::Relaxed);
        }
        self.deaf.load(Ordering::Relaxed)
    }
}

fn tick_bytes(rate: u32) -> usize {
    (f64::from(rate) * TICK.as_secs_f64()) as usize
}
