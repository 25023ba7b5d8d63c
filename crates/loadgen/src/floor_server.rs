//! The server that no server can beat: it echoes frames to the members of a room with tokio and no logic, and inserts
//! rows in bare batches. It runs in a process of its own, so that its processor time can be told from the generator's.
//!
//! Over TCP a client first writes the count and the numbers of the rooms it reads (`u32` each) and gets a byte when it
//! is in. Then both sides write frames: length `u32`, room `u32`, moment `u64`, padding. Big-endian.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::{BufMut as _, Bytes, BytesMut};
use rusqlite::Connection;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::BenchError;

/// Bytes of a frame in front of its padding.
pub(crate) const HEADER: usize = 16;
/// The room of a frame that answers its sender.
pub(crate) const ACK: u32 = u32::MAX;
/// Bytes of an answer: those of a `SendAck` in protobuf.
const ACK_BYTES: usize = 70;
/// Largest frame, and most rooms of a client: more than any workload has.
const MOST: u32 = 1 << 20;

#[derive(Debug)]
struct Peer(Mutex<OwnedWriteHalf>);

#[derive(Debug, Default)]
struct Rooms(RwLock<Vec<Vec<Arc<Peer>>>>);

impl Rooms {
    fn join(&self, room: u32, peer: &Arc<Peer>) {
        let mut rooms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let room = room as usize;
        if rooms.len() <= room {
            rooms.resize_with(room + 1, Vec::new);
        }
        rooms[room].push(peer.clone());
    }

    fn members(&self, room: u32) -> Vec<Arc<Peer>> {
        let rooms = self.0.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(room as usize).cloned().unwrap_or_default()
    }
}

/// Serves until standard input ends. Says `listening ADDRESS`, and answers each line `insert BATCH COUNT` by
/// `inserted SECONDS`.
pub async fn serve() -> Result<(), BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(BenchError::Floor)?;
    let address = listener.local_addr().map_err(BenchError::Floor)?;
    say(&format!("listening {address}\n")).map_err(BenchError::Floor)?;
    tokio::select! {
        done = commands() => done,
        error = accept(&listener) => Err(BenchError::Floor(error)),
    }
}

async fn accept(listener: &TcpListener) -> std::io::Error {
    let rooms = Arc::new(Rooms::default());
    // Every connection ends with this set, which ends with the process.
    let mut echoes = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let rooms = rooms.clone();
                // A client that leaves is no error here.
                echoes.spawn(async move { drop(echo(stream, &rooms).await) });
            }
            Err(error) => return error,
        }
    }
}

async fn echo(stream: TcpStream, rooms: &Rooms) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut read, write) = stream.into_split();
    let peer = Arc::new(Peer(Mutex::new(write)));
    for _ in 0..read.read_u32().await?.min(MOST) {
        rooms.join(read.read_u32().await?.min(MOST), &peer);
    }
    peer.0.lock().await.write_all(&[1]).await?;
    let mut buffer = BytesMut::new();
    loop {
        while let Some(frame) = take(&mut buffer) {
            forward(&frame, &peer, rooms).await?;
        }
        if more(&mut read, &mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

async fn forward(frame: &Bytes, sender: &Arc<Peer>, rooms: &Rooms) -> std::io::Result<()> {
    let mut ack = BytesMut::with_capacity(ACK_BYTES);
    ack.put_u32(ACK_BYTES as u32);
    ack.put_u32(ACK);
    ack.put_slice(&frame[8..HEADER]);
    ack.resize(ACK_BYTES, 0);
    sender.0.lock().await.write_all(&ack).await?;
    for member in rooms.members(room(frame)) {
        if !Arc::ptr_eq(&member, sender) {
            // A member that left costs the others nothing.
            drop(member.0.lock().await.write_all(frame).await);
        }
    }
    Ok(())
}

async fn more(read: &mut OwnedReadHalf, buffer: &mut BytesMut) -> std::io::Result<usize> {
    buffer.reserve(4 * 1024);
    read.read_buf(buffer).await
}

/// Takes the next whole frame.
pub(crate) fn take(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(*buffer.first_chunk()?).clamp(HEADER as u32, MOST) as usize;
    (buffer.len() >= length).then(|| buffer.split_to(length).freeze())
}

/// The room of a frame.
pub(crate) fn room(frame: &[u8]) -> u32 {
    frame.get(4..8).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The moment of a frame.
pub(crate) fn moment(frame: &[u8]) -> u64 {
    frame.get(8..HEADER).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// A frame of so many bytes.
pub(crate) fn frame(room: u32, moment: u64, bytes: usize) -> Bytes {
    let bytes = bytes.max(HEADER);
    let mut frame = BytesMut::with_capacity(bytes);
    frame.put_u32(u32::try_from(bytes).unwrap_or(MOST));
    frame.put_u32(room);
    frame.put_u64(moment);
    frame.resize(bytes, 0);
    frame.freeze()
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

async fn commands() -> Result<(), BenchError> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.map_err(BenchError::Floor)? {
        let mut words = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok());
        if let (Some(batch), Some(count), Some(body)) = (words.next(), words.next(), words.next()) {
            let seconds = tokio::task::block_in_place(|| insert(batch, count, body))?;
            say(&format!("inserted {seconds}\n")).map_err(BenchError::Floor)?;
        }
    }
    Ok(())
}

/// Inserts rows as an entry's, with its indexes, in durable transactions of `batch`; answers the seconds it took.
fn insert(batch: usize, count: usize, body: usize) -> Result<f64, BenchError> {
    const CONVERSATIONS: usize = 1_000;
    let directory = tempfile::tempdir().map_err(BenchError::NoDirectory)?;
    let db = Connection::open(directory.path().join("floor.db"))?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         CREATE TABLE rows (conversation INTEGER NOT NULL, seq INTEGER NOT NULL, sender INTEGER NOT NULL,
             id BLOB NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL,
             UNIQUE (conversation, seq), UNIQUE (id, sender, conversation));",
    )?;
    let body = vec![7_u8; body];
    let started = Instant::now();
    for first in (0..count).step_by(batch.max(1)) {
        db.execute_batch("BEGIN IMMEDIATE")?;
        let mut statement = db.prepare_cached("INSERT INTO rows VALUES ($1, $2, $3, $4, $5, $6)")?;
        for n in first..(first + batch.max(1)).min(count) {
            let (conversation, seq) = (n % CONVERSATIONS, n / CONVERSATIONS);
            let id = uuid::Uuid::now_v7();
            statement.execute((
                conversation as i64,
                seq as i64,
                conversation as i64,
                id.as_bytes(),
                [9_u8; 32],
                &body,
            ))?;
        }
        drop(statement);
        db.execute_batch("COMMIT")?;
    }
    Ok(started.elapsed().as_secs_f64())
}
