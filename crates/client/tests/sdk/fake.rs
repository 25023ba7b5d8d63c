//! A server that does what a test tells it, in any format. It pins what the SDK says on the wire.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use sparrow_client::{
    Carrier, Client, ConversationState, Entry, Event, Events, Interval, Options, Store, StoredSession,
};
use sparrow_client::{Content, Timings};
use sparrow_protocol::{Body, Carrier as Carried, Codec, Command, Format, Frame, preface, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

pub(crate) const ME: i64 = 7;
pub(crate) const OTHER: i64 = 8;
pub(crate) const GROUP: i64 = 100;
pub(crate) const TCP: Format = Format { carrier: Carried::Tcp, codec: Codec::Protobuf };
/// Whatever is awaited comes sooner than this.
const PATIENCE: Duration = Duration::from_secs(20);
const FOREVER: i64 = i64::MAX;

pub(crate) struct Fake {
    listener: TcpListener,
    format: Format,
    /// What time it says it is, in milliseconds since 1970 UTC.
    pub(crate) time: i64,
}

enum Wire {
    Tcp(TcpStream),
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

/// One connection of the client.
pub(crate) struct Peer {
    wire: Wire,
    format: Format,
}

impl Fake {
    pub(crate) async fn start(format: Format) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), format, time: 0 }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(crate) fn session(&self) -> StoredSession {
        StoredSession {
            server_url: format!("http://{}", self.address()),
            user_id: ME,
            user_name: "me".to_owned(),
            device_id: 1,
            access_token: "access".to_owned(),
            access_expires: FOREVER,
            refresh_token: "refresh".to_owned(),
            refresh_expires: FOREVER,
        }
    }

    /// A client whose connection this server will be asked for.
    pub(crate) async fn client(&self, directory: Option<&Path>) -> Client {
        Client::resume(self.session(), self.options(directory)).await.unwrap()
    }

    /// Options with which a client comes here, in a hurry.
    pub(crate) fn options(&self, directory: Option<&Path>) -> Options {
        let carrier = match self.format.carrier {
            Carried::WebSocket => Carrier::WebSocket,
            Carried::Tcp => Carrier::Tcp(self.address()),
        };
        let store = directory.map_or(Store::Memory, |directory| Store::Directory(directory.to_owned()));
        let millisecond = Duration::from_millis(1);
        let timings = Timings {
            back_off_base: millisecond,
            back_off_max: millisecond,
            ack_every: millisecond,
            ..Timings::default()
        };
        Options { carrier, codec: self.format.codec, store, timings, ..Options::default() }
    }

    /// Takes the next connection up to the welcome.
    pub(crate) async fn accept(&self, epoch: &str) -> Peer {
        self.accept_with("access", epoch).await
    }

    /// [`Fake::accept`], of a client that comes with this token.
    pub(crate) async fn accept_with(&self, token: &str, epoch: &str) -> Peer {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut peer = Peer { wire: Wire::open(stream, self.format).await, format: self.format };
        let (id, hello) = peer.expect::<v1::Hello>().await;
        assert_eq!(hello.token, token);
        let server_time = self.time;
        peer.say(id, &v1::Welcome { epoch: epoch.to_owned(), server_time, ..v1::Welcome::default() }).await;
        peer
    }

    /// [`Fake::accept`], and answers the first `Sync` with a group of this length.
    pub(crate) async fn accept_synced(&self, epoch: &str, head: i64) -> Peer {
        let mut peer = self.accept(epoch).await;
        peer.sync(epoch, head).await;
        peer
    }
}

impl Wire {
    async fn open(mut stream: TcpStream, format: Format) -> Self {
        match format.carrier {
            Carried::Tcp => {
                let mut theirs = [0; preface::PREFACE_BYTES];
                stream.read_exact(&mut theirs).await.unwrap();
                assert_eq!(preface::parse(theirs), Ok(format.codec));
                stream.write_all(&preface::encode(format.codec)).await.unwrap();
                Self::Tcp(stream)
            }
            Carried::WebSocket => {
                let choose = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
                    let offered = request.headers()["sec-websocket-protocol"].clone();
                    assert_eq!(offered, format.codec.sub_protocol());
                    response.headers_mut().insert("sec-websocket-protocol", offered);
                    Ok(response)
                };
                Self::WebSocket(Box::new(tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap()))
            }
        }
    }
}

impl Peer {
    async fn receive(&mut self) -> Frame {
        timeout(PATIENCE, self.next_frame()).await.unwrap()
    }

    async fn next_frame(&mut self) -> Frame {
        let message: Bytes = match &mut self.wire {
            Wire::Tcp(stream) => {
                let length = stream.read_u32().await.unwrap();
                let mut message = BytesMut::zeroed(usize::try_from(length).unwrap());
                stream.read_exact(&mut message).await.unwrap();
                message.freeze()
            }
            Wire::WebSocket(socket) => match socket.next().await.unwrap().unwrap() {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                other => panic!("not a frame: {other:?}"),
            },
        };
        self.format.decode(message).unwrap()
    }

    /// The next frame of the client, which must be this request. `Ack`s, whose moment is not fixed, are passed over.
    pub(crate) async fn expect<M: Body>(&mut self) -> (u32, M) {
        loop {
            let frame = self.receive().await;
            if frame.command == Some(Command::Ack) && M::COMMAND != Command::Ack {
                continue;
            }
            assert_eq!(frame.command, Some(M::COMMAND));
            return (frame.id, frame.parse().unwrap());
        }
    }

    /// The next `Send`, whatever is asked for before it.
    pub(crate) async fn expect_send(&mut self) -> (u32, v1::Send) {
        loop {
            let frame = self.receive().await;
            if frame.command == Some(Command::Send) {
                return (frame.id, frame.parse().unwrap());
            }
        }
    }

    pub(crate) async fn say<M: Body>(&mut self, id: u32, message: &M) {
        let frame = self.format.encode_message(id, message).unwrap();
        match &mut self.wire {
            Wire::Tcp(stream) => stream.write_all(&frame).await.unwrap(),
            Wire::WebSocket(socket) => {
                let message = match self.format.codec {
                    Codec::Protobuf => Message::Binary(frame),
                    Codec::Json => Message::Text(Utf8Bytes::try_from(frame).unwrap()),
                };
                socket.send(message).await.unwrap();
            }
        }
    }

    /// Waits until the client has closed its side.
    pub(crate) async fn gone(mut self) {
        let Wire::Tcp(stream) = &mut self.wire else { panic!("only over TCP") };
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    }

    /// Answers a `Sync` with one group that has `head` entries.
    pub(crate) async fn sync(&mut self, epoch: &str, head: i64) {
        let (id, _) = self.expect::<v1::Sync>().await;
        self.answer_sync(id, epoch, head).await;
    }

    /// The answer to a `Sync`: one group that has `head` entries.
    pub(crate) async fn answer_sync(&mut self, id: u32, epoch: &str, head: i64) {
        let group = ConversationState {
            conversation_id: GROUP,
            kind: "group".to_owned(),
            head,
            floor: 1,
            intervals: vec![Interval { join_seq: 1, leave_seq: 0 }],
            role: "member".to_owned(),
            ..ConversationState::default()
        };
        let cursor = format!("{epoch}-{head}");
        let page =
            v1::SyncPage { conversations: vec![group], cursor, epoch: epoch.to_owned(), ..v1::SyncPage::default() };
        self.say(id, &page).await;
    }

    /// Answers a `Pull` from this log.
    pub(crate) async fn serve_pull(&mut self, log: &[Entry]) -> (i64, i64) {
        let (id, pull) = self.expect::<v1::Pull>().await;
        let inside = |entry: &&Entry| (pull.from_seq..=pull.to_seq).contains(&entry.seq);
        let page = v1::PullPage {
            conversation_id: GROUP,
            entries: log.iter().filter(inside).cloned().collect(),
            covered_from: pull.from_seq,
            covered_to: pull.to_seq,
            floor: 1,
            head: log.last().map_or(0, |entry| entry.seq),
            ..v1::PullPage::default()
        };
        self.say(id, &page).await;
        (pull.from_seq, pull.to_seq)
    }

    /// Closes a WebSocket with this code.
    pub(crate) async fn close(self, code: u16) {
        let Wire::WebSocket(mut socket) = self.wire else { panic!("TCP has no close codes") };
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::default() };
        (*socket).close(Some(frame)).await.unwrap();
        // The close frame of the client, or nothing any more.
        while let Some(Ok(_)) = socket.next().await {}
    }

    pub(crate) async fn push(&mut self, entries: Vec<Entry>) {
        self.say(0, &v1::Push { conversation_id: GROUP, entries }).await;
    }

    pub(crate) async fn acknowledge(&mut self, id: u32, send: &v1::Send, seq: i64) {
        let ack = v1::SendAck {
            conversation_id: send.conversation_id,
            client_msg_id: send.client_msg_id.clone(),
            seq,
            time: 1,
            duplicate: false,
        };
        self.say(id, &ack).await;
    }

    pub(crate) async fn refuse(&mut self, id: u32, code: &str, retryable: bool) {
        let error = v1::Error { code: code.to_owned(), retryable, retry_after_ms: 1, ..v1::Error::default() };
        self.say(id, &error).await;
    }
}

/// An entry of somebody's in the group.
pub(crate) fn entry(seq: i64, sender: i64) -> Entry {
    Entry {
        conversation_id: GROUP,
        seq,
        kind: "message".to_owned(),
        sender_id: sender,
        client_msg_id: format!("00000000-0000-0000-0000-{seq:012}"),
        content: Some(Content { text: format!("text {seq}"), ..Content::default() }),
        ..Entry::default()
    }
}

/// The text of a send.
pub(crate) fn text(send: &v1::Send) -> &str {
    send.content.as_ref().map_or("", |content| &content.text)
}

/// The seq of the next entry.
pub(crate) async fn next_seq(events: &mut Events) -> i64 {
    loop {
        if let Event::Entry(entry) = timeout(PATIENCE, events.next()).await.unwrap().unwrap() {
            return entry.seq;
        }
    }
}

/// The next event for which `pick` has something; others are passed over.
pub(crate) async fn next_that<T>(events: &mut Events, pick: impl Fn(&Event) -> Option<T>) -> T {
    loop {
        if let Some(picked) = pick(&timeout(PATIENCE, events.next()).await.unwrap().unwrap()) {
            return picked;
        }
    }
}

/// Answers HTTP requests: a renewal with a session, anything else that comes with its token with a user. Counts renewals.
pub(crate) async fn http(listener: TcpListener, renewals: Arc<AtomicUsize>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).await.unwrap();
            request.extend_from_slice(&part[..read]);
        }
        let (status, body) = if request.starts_with(b"POST /v1/sessions/refresh") {
            renewals.fetch_add(1, Ordering::SeqCst);
            ("200 OK", r#"{"accessToken":"new","accessExpires":"9223372036854775807","refreshToken":"next"}"#)
        } else if String::from_utf8_lossy(&request).to_lowercase().contains("authorization: bearer new") {
            ("200 OK", "{}")
        } else {
            ("401 Unauthorized", r#"{"code":"unauthenticated"}"#)
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).await.unwrap();
    }
}
