//! The API through real HTTP: a node with a SQLite file, its routers on an ephemeral port, a clock that tests turn.

mod accounts;
mod conversations;
mod devices;
mod hardening;
mod health;
mod limits;
mod login_policy;
mod members;
mod messages;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sparrow_protocol::{Carrier, Codec, Format, Timestamp};
use sparrow_store::directory::Visibility;
use sparrow_store::{Sqlite, sqlite};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{Config, PasswordHashing, Rates};
use crate::core_tasks::CoreTasks;
use crate::messaging::{Bounds, EndReason, NewSession, Outgoing, Registered, Session};
use crate::metrics::Metrics;
use crate::node::Node;

/// The time at which every test begins.
const BEGIN_MS: i64 = 1_800_000_000_000;

/// The password of everybody.
const PASSWORD: &str = "correct horse battery";

/// A node that serves HTTP.
struct Site {
    node: Arc<Node>,
    time: Arc<AtomicI64>,
    url: String,
    admin_url: String,
    client: reqwest::Client,
    servers: [JoinHandle<()>; 2],
    _data: TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

impl Site {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        // A second test finds it installed.
        drop(rustls::crypto::ring::default_provider().install_default());
        let data = TempDir::new().unwrap();
        let time = Arc::new(AtomicI64::new(BEGIN_MS));
        let node = Arc::new(node(&data, &time, configure));
        let (url, server) = serve(super::router(node.clone(), Router::new())).await;
        let (admin_url, admin_server) = serve(super::admin_router(node.clone())).await;
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { node, time, url, admin_url, client, servers: [server, admin_server], _data: data }
    }

    /// Lets time pass.
    fn wait(&self, duration: Duration) {
        self.time.fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// A request without a token.
    fn ask(&self, method: Method, path: &str) -> Ask {
        Ask(self.client.request(method, format!("{}{path}", self.url)))
    }

    fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    fn post(&self, path: &str, body: &Value) -> Ask {
        self.ask(Method::POST, path).json(body)
    }

    /// A new account, logged in.
    async fn register(&self, name: &str) -> Person {
        let body = json!({"name": name, "password": PASSWORD, "deviceName": "first", "platform": "test"});
        Person::from(self.post("/v1/accounts", &body).answer(201).await)
    }

    /// A device more for an account.
    async fn log_in(&self, name: &str) -> Person {
        Person::from(self.post("/v1/sessions", &json!({"name": name, "password": PASSWORD})).answer(201).await)
    }

    /// The id of a new group of its founder and others.
    async fn group(&self, founder: &Person, others: &[&Person]) -> String {
        let members: Vec<&str> = others.iter().map(|person| person.id.as_str()).collect();
        let body = json!({"kind": "group", "name": "Birds", "members": members});
        let group = self.post("/v1/conversations", &body).by(founder).answer(201).await;
        text(&group, "/state/conversationId")
    }

    /// The id of the direct of two people.
    async fn direct(&self, one: &Person, other: &Person) -> String {
        let body = json!({"kind": "direct", "user": other.id});
        let direct = self.post("/v1/conversations", &body).by(one).answer(200).await;
        text(&direct, "/state/conversationId")
    }

    /// Sends a text; its seq.
    async fn say(&self, person: &Person, conversation: &str, words: &str) -> String {
        let body = json!({"content": {"text": words}});
        let ack = self.post(&format!("/v1/conversations/{conversation}/messages"), &body).by(person).answer(201).await;
        text(&ack, "/seq")
    }
}

/// A live session of a device, as the gateway makes one.
fn connect(site: &Site, person: &Person) -> Registered {
    let session = NewSession {
        user: person.id.parse().unwrap(),
        device: person.device.parse().unwrap(),
        generation: 1,
        format: Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf },
        pushes: true,
        visibility: Visibility::All,
        errors: site.node.metrics.errors.clone(),
        bounds: Bounds { frames: 16, bytes: 64 * 1024 },
    };
    site.node.messaging.register(Session::new(session))
}

/// Why a session was ended; `None` while it lives.
fn ended(registered: &Registered) -> Option<EndReason> {
    let mut cx = Context::from_waker(Waker::noop());
    match registered.session().outbound.poll_next(&mut cx, tokio::time::Instant::now()) {
        Poll::Ready(Outgoing::End(reason)) => Some(reason),
        _ => None,
    }
}

/// A request that is being put together.
struct Ask(reqwest::RequestBuilder);

impl Ask {
    fn by(self, person: &Person) -> Self {
        self.token(&person.token)
    }

    fn token(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    fn raw(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    /// The status, headers and text of the answer.
    async fn whole(self) -> (u16, HeaderMap, String) {
        let response = self.0.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.text().await.unwrap())
    }

    /// The answer, which must have this status.
    async fn answer(self, status: u16) -> Value {
        let (got, _, body) = self.whole().await;
        assert_eq!(got, status, "{body}");
        if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() }
    }

    /// Expects a refusal in the form that all of them have.
    async fn refused(self, status: u16, code: &str) -> Value {
        let (got, headers, body) = self.whole().await;
        assert_eq!(got, status, "{body}");
        assert_eq!(headers["content-type"], "application/json");
        let error: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(error["code"], code, "{body}");
        assert_eq!(error["requestId"], headers["x-request-id"].to_str().unwrap());
        assert!(error["message"].as_str().unwrap().ends_with('.'));
        error
    }
}

/// Somebody who is logged in.
#[derive(Clone)]
struct Person {
    id: String,
    device: String,
    token: String,
    refresh: String,
}

impl From<Value> for Person {
    fn from(session: Value) -> Self {
        let field = |pointer| text(&session, pointer);
        Self {
            id: field("/user/userId"),
            device: field("/deviceId"),
            token: field("/accessToken"),
            refresh: field("/refreshToken"),
        }
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}")).to_owned()
}

/// A field of every item of a list.
fn column(list: &Value, pointer: &str) -> Vec<String> {
    list["items"].as_array().into_iter().flatten().map(|item| text(item, pointer)).collect()
}

fn node(data: &TempDir, time: &Arc<AtomicI64>, configure: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config {
        password_hashing: PasswordHashing { memory_kib: 8, passes: 1, workers: 2, waiting: 64 },
        data: data.path().to_owned(),
        rates: Rates::all(1_000_000),
        ..Config::default()
    };
    configure(&mut config);
    let clock = Clock::manual(time.clone());
    let now = Timestamp::from_millis(BEGIN_MS);
    let store = Sqlite::open(data.path(), &sqlite::Options::default(), now).unwrap();
    Node::assemble(config, clock, Arc::new(store), Arc::new(Metrics::new()), &CoreTasks::default())
}

async fn serve(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}
