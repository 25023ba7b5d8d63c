//! The floor: what the same traffic costs a server that does nothing but echo it and insert it. The server is
//! `floor_server`, in a process of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::fleet::source;
use crate::floor_server::{ACK, frame, moment, room, take};
use crate::load::Load;
use crate::record::{Book, note};
use crate::scene::Pacing;
use crate::schedule::{Schedule, Turns};
use crate::shape::Shape;
use crate::stamp::{Clock, micros};
use crate::target::cpu;
use crate::{BenchError, Progress};

/// Bytes of a message's frame beside its text: header, conversation, id, and what a push adds.
const FRAME_BYTES: usize = 110;
/// The measured part is at most so long, because a floor does not vary much.
const LONGEST: Duration = Duration::from_secs(5);
/// Rows of one measurement of inserts.
const ROWS: usize = 100_000;
/// Without answers for so long, none will come any more.
const QUIET: Duration = Duration::from_secs(2);

/// What the floor takes.
#[derive(Debug)]
pub(crate) struct Floor {
    /// The server's processor time for echoing a message to all who get it.
    pub(crate) echo: Duration,
    /// Messages per second that were echoed.
    pub(crate) rate: f64,
    /// From the time a message was due to its answer.
    pub(crate) acked: Histogram<u64>,
    /// From the time a message was due to its arrival at another connection.
    pub(crate) delivered: Histogram<u64>,
    /// How late messages were written.
    pub(crate) lag: Histogram<u64>,
}

/// What inserting a row takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Insert {
    /// Processor time for a row.
    pub(crate) cpu: Duration,
    /// Rows per second.
    pub(crate) rate: f64,
}

/// The process of the floor's server, ended when dropped.
pub(crate) struct FloorServer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl FloorServer {
    /// Starts `program bench floor-server`. Blocks until it listens.
    pub(crate) fn start(program: &Path) -> Result<Self, BenchError> {
        let mut child = Command::new(program)
            .args(["bench", "floor-server"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(BenchError::NoNode)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or(BenchError::Silent)?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line).map_err(BenchError::Floor)?;
        match line.strip_prefix("listening ").and_then(|address| address.trim().parse().ok()) {
            Some(address) => Ok(Self { child, input, output, address }),
            None => {
                crate::node::end(&mut child);
                Err(BenchError::Silent)
            }
        }
    }

    /// Measures inserts in batches of this size, a hundred thousand rows or two seconds' worth of single ones. Blocks.
    pub(crate) fn insert(&mut self, batch: usize, body: usize) -> Result<Insert, BenchError> {
        let rows = ROWS.min(batch.max(1) * 5_000);
        let before = cpu(self.child.id())?;
        writeln!(self.input, "insert {batch} {rows} {body}").map_err(BenchError::Floor)?;
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(BenchError::Floor)?;
        let seconds: f64 =
            line.strip_prefix("inserted ").and_then(|seconds| seconds.trim().parse().ok()).ok_or(BenchError::Silent)?;
        let spent = cpu(self.child.id())?.saturating_sub(before);
        Ok(Insert { cpu: spent / u32::try_from(rows).unwrap_or(u32::MAX), rate: rows as f64 / seconds })
    }

    /// Measures the echo of a shape's messages at a rate.
    pub(crate) async fn echo(
        &self,
        shape: &Shape,
        load: &Load,
        rate: f64,
        progress: &dyn Progress,
    ) -> Result<Floor, BenchError> {
        let crowd = Arc::new(Crowd { clock: Clock::start(), book: Book::new(), answers: AtomicU64::new(0) });
        let mut readers = JoinSet::new();
        let streams = Arc::new(self.connect(shape, &crowd, &mut readers, progress).await?);
        let schedule = Schedule::new(rate, load.duration.min(LONGEST), load.burst);
        let due = schedule.count();
        progress.stage("measuring the floor", due);
        let before = cpu(self.child.id())?;
        let origin = Instant::now();
        let offset = crowd.clock.at(origin);
        let voices = shape.voices.clone();
        let mut turns = Turns::of(voices.len(), load.zipf, load.seed);
        let bytes = load.body + FRAME_BYTES;
        let lag = Pacing::start(schedule, origin, move |n, due| {
            let (line, room) = voices[turns.turn(n)];
            // A frame that does not fit is missed below.
            drop(streams[line].try_write(&frame(room as u32, offset + micros(due), bytes)));
        });
        lag.ends(progress).await;
        let lag = lag.stop().await?;
        let all = due + (due as f64 * shape.readers_per_send()) as u64;
        crowd.quiet(all).await;
        let took = origin.elapsed().max(schedule.lasts());
        let spent = cpu(self.child.id())?.saturating_sub(before);
        let notes = crowd.book.total();
        let echoed = notes.acked.len().max(1);
        Ok(Floor {
            echo: spent.div_f64(echoed as f64),
            rate: echoed as f64 / took.as_secs_f64(),
            acked: notes.acked,
            delivered: notes.delivered,
            lag,
        })
    }

    async fn connect(
        &self,
        shape: &Shape,
        crowd: &Arc<Crowd>,
        readers: &mut JoinSet<()>,
        progress: &dyn Progress,
    ) -> Result<Vec<Arc<TcpStream>>, BenchError> {
        progress.stage("connecting to the floor", shape.connections as u64);
        let mut streams = Vec::with_capacity(shape.connections);
        for (line, rooms) in shape.rooms_of().iter().enumerate() {
            let stream = join(self.address, line, if line < shape.mute_from { rooms } else { &[] }).await;
            let stream = Arc::new(stream.map_err(BenchError::Floor)?);
            readers.spawn(crowd.clone().listen(line, stream.clone()));
            streams.push(stream);
            progress.advance(1);
        }
        Ok(streams)
    }
}

impl Drop for FloorServer {
    fn drop(&mut self) {
        crate::node::end(&mut self.child);
    }
}

struct Crowd {
    clock: Clock,
    book: Book,
    answers: AtomicU64,
}

impl Crowd {
    async fn listen(self: Arc<Self>, line: usize, stream: Arc<TcpStream>) {
        let mut buffer = BytesMut::new();
        while stream.readable().await.is_ok() {
            buffer.reserve(4 * 1024);
            match stream.try_read_buf(&mut buffer) {
                Ok(0) => return,
                Ok(_) => self.take(line, &mut buffer),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    fn take(&self, line: usize, buffer: &mut BytesMut) {
        let now = self.clock.now();
        let mut notes = self.book.shard(line);
        while let Some(frame) = take(buffer) {
            let waited = now.saturating_sub(moment(&frame));
            note(if room(&frame) == ACK { &mut notes.acked } else { &mut notes.delivered }, waited);
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for so many answers, or until none come any more.
    async fn quiet(&self, all: u64) {
        let (mut before, mut since) = (0, Instant::now());
        while since.elapsed() < QUIET {
            let now = self.answers.load(Ordering::Relaxed);
            if now >= all {
                return;
            }
            if now != before {
                (before, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn join(address: SocketAddr, line: usize, rooms: &[usize]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(source) = source(address, line) {
        socket.bind((source, 0).into())?;
    }
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let mut greeting = vec![u32::try_from(rooms.len()).unwrap_or(u32::MAX)];
    greeting.extend(rooms.iter().filter_map(|room| u32::try_from(*room).ok()));
    let greeting: Vec<u8> = greeting.into_iter().flat_map(u32::to_be_bytes).collect();
    stream.write_all(&greeting).await?;
    stream.read_u8().await?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_the_floor_is_taken_as_it_was_made() {
        let mut wire = BytesMut::from(&frame(5, 77, 40)[..]);
        assert_eq!(take(&mut wire.split_to(39)), None);
        let mut wire = BytesMut::from(&frame(5, 77, 40)[..]);
        let frame = take(&mut wire).unwrap();
        assert_eq!((room(&frame), moment(&frame), frame.len()), (5, 77, 40));
    }
}
