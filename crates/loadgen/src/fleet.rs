//! Many connections at once: making them, reading them, and waiting until they have seen everything.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use sparrow_protocol::v1;
use tokio::task::JoinSet;

use crate::line::{Line, Room, Shared};
use crate::load::Formats;
use crate::record::{Book, Counts};
use crate::stamp::Clock;
use crate::target::check_version;
use crate::{BenchError, Connection, ConnectionError, Progress, Target};

/// Connections being made at a time.
const AT_ONCE: usize = 32;
/// Connections from one address of this machine, which has some 28,000 ports.
const PER_ADDRESS: usize = 10_000;
/// A fleet to which nothing comes for so long has seen all that it will see.
const QUIET: Duration = Duration::from_secs(5);
/// How often a fleet looks whether it is complete.
const LOOK: Duration = Duration::from_millis(20);

/// Who connects.
#[derive(Debug)]
pub(crate) struct Berth<'a> {
    /// The device's token.
    pub(crate) token: &'a str,
    /// False for a session that only sends.
    pub(crate) reads: bool,
    /// The conversations it will use; their numbers are those of its seats.
    pub(crate) rooms: Vec<Arc<Room>>,
}

/// Connections with the tasks that read them. Dropping it cuts them.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// What they share.
    pub(crate) shared: Arc<Shared>,
    /// The connections, in the order of their berths.
    pub(crate) lines: Vec<Arc<Line>>,
    readers: JoinSet<()>,
}

impl Fleet {
    /// A fleet without connections, whose messages have bodies of so many bytes.
    pub(crate) fn new(body: usize, receipts: bool) -> Self {
        let content: Bytes = content(body).encode_to_vec().into();
        let shared = Shared { clock: Clock::start(), book: Book::new(), content, receipts };
        Self { shared: Arc::new(shared), lines: Vec::new(), readers: JoinSet::new() }
    }

    /// Connects and introduces everybody.
    pub(crate) async fn connect(
        &mut self,
        target: &Target,
        formats: Formats,
        berths: Vec<Berth<'_>>,
        progress: &dyn Progress,
    ) -> Result<(), BenchError> {
        progress.stage("connecting", berths.len() as u64);
        let first = self.lines.len();
        let readers = &mut self.readers;
        let shared = &self.shared;
        let opening = berths.into_iter().enumerate().map(|(at, berth)| async move {
            let number = first + at;
            let format = formats.of(number);
            let address = target.address(format.carrier);
            let stream = Connection::bare(source(address, number), address, format).await?;
            let line = Arc::new(Line::new(number, format, stream, shared.clone()));
            for room in &berth.rooms {
                line.sit(room.clone(), berth.reads);
            }
            Ok::<_, BenchError>((line, berth))
        });
        let mut opening = stream::iter(opening).buffered(AT_ONCE);
        let mut hellos = Vec::new();
        while let Some((line, berth)) = opening.try_next().await? {
            let hello = line.hello(berth.token, !berth.reads);
            readers.spawn(read_until_lost(line.clone()));
            self.lines.push(line);
            hellos.push(hello);
            if hellos.len() >= AT_ONCE {
                welcomed(&mut hellos).await?;
            }
            progress.advance(1);
        }
        welcomed(&mut hellos).await
    }

    /// Waits until every connection has every answer and every entry, or nothing comes any more. To be called when nothing
    /// more is sent.
    pub(crate) async fn complete(&self) {
        // When all sends are answered the heads do not move any more, so what has been seen up to them stays seen.
        if self.until(Line::is_answered).await {
            self.until(Line::has_seen).await;
        }
        if self.shared.receipts {
            self.lines.iter().for_each(|line| line.tell_read());
            self.until(Line::is_read).await;
        }
    }

    /// Waits until this holds of each connection, which it then keeps doing; false if nothing comes any more before.
    async fn until(&self, holds: impl Fn(&Line) -> bool) -> bool {
        let mut before = 0;
        let mut since = Instant::now();
        let mut done = 0;
        while since.elapsed() < QUIET {
            done += self.lines[done..].iter().take_while(|line| holds(line)).count();
            if done == self.lines.len() {
                return true;
            }
            let counts = &self.shared.book.counts;
            let now = Counts::get(&counts.answered) + Counts::get(&counts.arrived);
            if now != before {
                (before, since) = (now, Instant::now());
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    /// Notes every hole and every lost connection.
    pub(crate) fn note_holes(&self) {
        self.lines.iter().for_each(|line| line.note_holes());
    }
}

/// From which address of this machine to connect: several for a node on this machine, because each has too few ports. The
/// first connections name none, because the system then searches for a port only among those to this server.
pub(crate) fn source(address: SocketAddr, number: usize) -> Option<IpAddr> {
    let host = u8::try_from(number / PER_ADDRESS + 1).unwrap_or(u8::MAX);
    let is_local = address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
    (is_local && host > 1).then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
}

/// A body of about so many bytes.
pub(crate) fn content(body: usize) -> v1::Content {
    v1::Content { text: "sparrow ".chars().cycle().take(body).collect(), ..Default::default() }
}

async fn welcomed(
    hellos: &mut Vec<tokio::sync::oneshot::Receiver<Result<v1::Welcome, ConnectionError>>>,
) -> Result<(), BenchError> {
    for hello in hellos.drain(..) {
        let welcome = hello.await.unwrap_or(Err(ConnectionError::Closed(None)))?;
        check_version(&welcome.server)?;
    }
    Ok(())
}

async fn read_until_lost(line: Arc<Line>) {
    let mut buffer = BytesMut::new();
    let error = loop {
        if let Err(error) = line.stream.readable().await {
            break error.into();
        }
        buffer.reserve(buffer.len().max(4 * 1024));
        match line.stream.try_read_buf(&mut buffer) {
            Ok(0) => break ConnectionError::Closed(None),
            Ok(read) => {
                line.note_read(read);
                if let Err(error) = line.read(&mut buffer) {
                    break error;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => break error.into(),
        }
    };
    line.lost(error);
}
