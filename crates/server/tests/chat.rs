//! Two people on a real node, over TCP, in both codecs.

use std::time::Duration;

use prost::Message as _;
use sparrow_protocol::preface::{self, PREFACE_BYTES};
use sparrow_protocol::{Body, Carrier, Codec, Command, Format, Frame, v1};
use sparrow_server::{Config, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

async fn node(data: &tempfile::TempDir) -> Server {
    let any = ([127, 0, 0, 1], 0).into();
    let mut config = Config { listen: any, tcp_listen: any, admin_listen: any, ..Config::default() };
    config.data = data.path().join("data");
    config.password_hashing.memory_kib = 8;
    config.password_hashing.passes = 1;
    Server::start(config).await.unwrap()
}

struct Person {
    token: String,
    id: i64,
    base: String,
}

impl Person {
    async fn register(server: &Server, name: &str) -> Self {
        let base = format!("http://{}/v1", server.addresses().http);
        let body = serde_json::json!({"name": name, "password": "correct horse", "deviceName": "test"});
        let answer = post(&format!("{base}/accounts"), None, &body).await;
        let session: v1::Session = serde_json::from_value(answer).unwrap();
        Self { token: session.access_token, id: session.user.unwrap().user_id, base }
    }

    async fn direct(&self, other: &Self) -> i64 {
        let body = serde_json::json!({"kind": "direct", "user": other.id.to_string()});
        let answer = post(&format!("{}/conversations", self.base), Some(&self.token), &body).await;
        let conversation: v1::Conversation = serde_json::from_value(answer).unwrap();
        conversation.state.unwrap().conversation_id
    }
}

async fn post(url: &str, token: Option<&str>, body: &serde_json::Value) -> serde_json::Value {
    let mut request = http().post(url).json(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{url}: {}", response.status());
    response.json().await.unwrap()
}

/// A bare TCP connection.
struct Wire {
    stream: TcpStream,
    format: Format,
    next: u32,
}

impl Wire {
    async fn connect(server: &Server, codec: Codec) -> Self {
        let mut stream = TcpStream::connect(server.addresses().tcp).await.unwrap();
        stream.write_all(&preface::encode(codec)).await.unwrap();
        let mut answer = [0; PREFACE_BYTES];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(preface::parse(answer), Ok(codec));
        Self { stream, format: Format { carrier: Carrier::Tcp, codec }, next: 1 }
    }

    async fn hello(server: &Server, person: &Person, codec: Codec) -> Self {
        let mut wire = Self::connect(server, codec).await;
        let id = wire.write(&v1::Hello { token: person.token.clone(), ..Default::default() }).await;
        let welcome: v1::Welcome = wire.answer(id).await;
        assert_eq!(welcome.user_id, person.id);
        wire
    }

    async fn write<M: Body>(&mut self, message: &M) -> u32 {
        let id = self.next;
        self.next += 1;
        self.stream.write_all(&self.format.encode_message(id, message).unwrap()).await.unwrap();
        id
    }

    async fn read(&mut self) -> Frame {
        let read = async {
            let length = self.stream.read_u32().await.unwrap();
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut frame).await.unwrap();
            self.format.decode(frame.into()).unwrap()
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap()
    }

    async fn answer<M: Body>(&mut self, id: u32) -> M {
        loop {
            let frame = self.read().await;
            if frame.id == id {
                assert_eq!(frame.command, Some(M::COMMAND), "{:?}", v1::Error::decode(frame.body.clone()));
                return frame.parse().unwrap();
            }
        }
    }

    async fn push<M: Body>(&mut self) -> M {
        loop {
            let frame = self.read().await;
            if frame.id == 0 && frame.command == Some(M::COMMAND) {
                return frame.parse().unwrap();
            }
        }
    }
}

fn send(conversation_id: i64, text: &str) -> v1::Send {
    v1::Send {
        conversation_id,
        client_msg_id: uuid::Uuid::now_v7().to_string(),
        content: Some(v1::Content { text: text.to_owned(), ..Default::default() }),
    }
}

#[tokio::test]
async fn what_one_sends_the_other_gets_and_finds_again_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut from = Wire::hello(&server, &ann, Codec::Protobuf).await;
    let mut to = Wire::hello(&server, &bob, Codec::Json).await;

    let message = send(conversation, "hello");
    let id = from.write(&message).await;
    let ack: v1::SendAck = from.answer(id).await;
    let push: v1::Push = to.push().await;
    assert_eq!(push.entries[0].seq, ack.seq);
    assert_eq!(push.entries[0].content, message.content);

    let id = to.write(&v1::Read { conversation_id: conversation, seq: ack.seq }).await;
    let read: v1::ReadAck = to.answer(id).await;
    assert_eq!(read.seq, ack.seq);
    let receipt: v1::Receipt = from.push().await;
    assert_eq!((receipt.user_id, receipt.read), (bob.id, ack.seq));

    server.shutdown().await;
    let goodbye: v1::Goodbye = from.push().await;
    assert!(goodbye.reconnect);

    let server = node(&data).await;
    let mut again = Wire::hello(&server, &ann, Codec::Protobuf).await;
    let id = again.write(&message).await;
    let second: v1::SendAck = again.answer(id).await;
    assert_eq!((second.seq, second.duplicate), (ack.seq, true));
    let id = again.write(&v1::Pull { conversation_id: conversation, ..Default::default() }).await;
    let page: v1::PullPage = again.answer(id).await;
    assert!(page.entries.iter().any(|entry| entry.seq == ack.seq && entry.content == message.content));
    let id = again.write(&v1::Sync::default()).await;
    let sync: v1::SyncPage = again.answer(id).await;
    assert!(sync.full && sync.conversations.iter().any(|state| state.conversation_id == conversation));
    server.shutdown().await;
}

#[tokio::test]
async fn a_thousand_sends_at_once_are_acked_in_order_in_few_transactions() {
    const FIRST: u32 = 100;
    const SENDS: u32 = 1_000;
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut wire = Wire::hello(&server, &ann, Codec::Protobuf).await;
    let before = commits(&server).await;
    let mut frames = Vec::new();
    for id in FIRST..FIRST + SENDS {
        frames.extend_from_slice(&wire.format.encode_message(id, &send(conversation, "x")).unwrap());
    }
    wire.stream.write_all(&frames).await.unwrap();
    let mut seqs = Vec::new();
    for id in FIRST..FIRST + SENDS {
        let frame = wire.read().await;
        assert_eq!((frame.command, frame.id), (Some(Command::SendAck), id));
        seqs.push(frame.parse::<v1::SendAck>().unwrap().seq);
    }
    assert!(seqs.is_sorted());
    let commits = commits(&server).await - before;
    assert!(commits <= 100, "{commits} transactions");
    server.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_answers_what_was_accepted() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut wire = Wire::hello(&server, &ann, Codec::Protobuf).await;
    for _ in 0..50 {
        wire.write(&send(conversation, "x")).await;
    }
    // Once the first is answered, some of the others have been accepted, and some perhaps not.
    let first: v1::SendAck = wire.answer(2).await;
    let (_, last) = tokio::join!(server.shutdown(), async {
        let mut last = first.seq;
        loop {
            let frame = wire.read().await;
            match frame.command {
                Some(Command::SendAck) => last = frame.parse::<v1::SendAck>().unwrap().seq,
                _ => return last,
            }
        }
    });

    let server = node(&data).await;
    let mut wire = Wire::hello(&server, &ann, Codec::Json).await;
    let id = wire.write(&v1::Pull { conversation_id: conversation, ..Default::default() }).await;
    let page: v1::PullPage = wire.answer(id).await;
    assert_eq!(page.head, last, "what was stored was acked, and what was acked is stored");
    server.shutdown().await;
}

/// How many batches the lane has committed.
async fn commits(server: &Server) -> u64 {
    let url = format!("http://{}/metrics", server.addresses().admin);
    let text = http().get(url).send().await.unwrap().text().await.unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("sparrow_batch_commands_count "));
    count.unwrap_or_else(|| panic!("no such metric in\n{text}")).parse().unwrap()
}

fn http() -> reqwest::Client {
    // An error says that a provider is installed already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}
