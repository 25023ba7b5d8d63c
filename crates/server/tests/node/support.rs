//! A node in this process, people who registered on it, and bare TCP connections to it.

use std::time::Duration;

use prost::Message as _;
use sparrow_protocol::preface::{self, PREFACE_BYTES};
use sparrow_protocol::{Body, Carrier, Codec, Format, Frame, v1};
use sparrow_server::{Config, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Reached only by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn node(data: &tempfile::TempDir) -> Server {
    node_with(data, |_| ()).await
}

/// A node with other settings.
pub(crate) async fn node_with(data: &tempfile::TempDir, change: impl FnOnce(&mut Config)) -> Server {
    let any = ([127, 0, 0, 1], 0).into();
    let mut config = Config { listen: any, tcp_listen: any, admin_listen: any, ..Config::default() };
    config.data = data.path().join("data");
    config.password_hashing.memory_kib = 8;
    config.password_hashing.passes = 1;
    config.rates = sparrow_server::config::Rates::all(1_000_000);
    change(&mut config);
    Server::start(config).await.unwrap()
}

pub(crate) struct Person {
    pub(crate) token: String,
    pub(crate) id: i64,
    base: String,
}

impl Person {
    pub(crate) async fn register(server: &Server, name: &str) -> Self {
        let base = format!("http://{}/v1", server.addresses().http);
        let body = serde_json::json!({"name": name, "password": "correct horse", "deviceName": "test"});
        let answer = post(&format!("{base}/accounts"), None, &body).await;
        let session: v1::Session = serde_json::from_value(answer).unwrap();
        Self { token: session.access_token, id: session.user.unwrap().user_id, base }
    }

    pub(crate) async fn direct(&self, other: &Self) -> i64 {
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
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) format: Format,
    next: u32,
}

impl Wire {
    pub(crate) async fn connect(server: &Server, codec: Codec) -> Self {
        let mut stream = TcpStream::connect(server.addresses().tcp).await.unwrap();
        stream.write_all(&preface::encode(codec)).await.unwrap();
        let mut answer = [0; PREFACE_BYTES];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(preface::parse(answer), Ok(codec));
        Self { stream, format: Format { carrier: Carrier::Tcp, codec }, next: 1 }
    }

    pub(crate) async fn hello(server: &Server, person: &Person, codec: Codec) -> Self {
        let mut wire = Self::connect(server, codec).await;
        let id = wire.write(&v1::Hello { token: person.token.clone(), ..Default::default() }).await;
        let welcome: v1::Welcome = wire.answer(id).await;
        assert_eq!(welcome.user_id, person.id);
        wire
    }

    pub(crate) async fn write<M: Body>(&mut self, message: &M) -> u32 {
        let id = self.next;
        self.next += 1;
        self.stream.write_all(&self.format.encode_message(id, message).unwrap()).await.unwrap();
        id
    }

    pub(crate) async fn read(&mut self) -> Frame {
        let read = async {
            let length = self.stream.read_u32().await.unwrap();
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut frame).await.unwrap();
            self.format.decode(frame.into()).unwrap()
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap()
    }

    pub(crate) async fn answer<M: Body>(&mut self, id: u32) -> M {
        loop {
            let frame = self.read().await;
            if frame.id == id {
                assert_eq!(frame.command, Some(M::COMMAND), "{:?}", v1::Error::decode(frame.body.clone()));
                return frame.parse().unwrap();
            }
        }
    }

    pub(crate) async fn push<M: Body>(&mut self) -> M {
        loop {
            let frame = self.read().await;
            if frame.id == 0 && frame.command == Some(M::COMMAND) {
                return frame.parse().unwrap();
            }
        }
    }
}

pub(crate) fn send(conversation_id: i64, text: &str) -> v1::Send {
    v1::Send {
        conversation_id,
        client_msg_id: uuid::Uuid::now_v7().to_string(),
        content: Some(v1::Content { text: text.to_owned(), ..Default::default() }),
    }
}

/// How many batches the lane has committed.
pub(crate) async fn commits(server: &Server) -> u64 {
    metric(server, "sparrow_batch_commands_count").await
}

/// The value of a metric without labels.
pub(crate) async fn metric(server: &Server, name: &str) -> u64 {
    let url = format!("http://{}/metrics", server.addresses().admin);
    let text = http().get(url).send().await.unwrap().text().await.unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    count.unwrap_or_else(|| panic!("no such metric in\n{text}")).parse().unwrap()
}

fn http() -> reqwest::Client {
    // An error says that a provider is installed already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}
