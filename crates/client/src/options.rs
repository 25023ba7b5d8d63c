//! How a client connects, where it keeps its data, and how long it waits. Values only.

use std::path::PathBuf;
use std::time::Duration;

use sparrow_protocol::{Codec, limits};

/// Who logs in. The password is not kept.
#[derive(Clone)]
pub struct Credentials {
    /// The account's name.
    pub name: String,
    /// Its password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What carries the frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Carrier {
    /// `/v1/ws` at the server's URL.
    #[default]
    WebSocket,
    /// The server's TCP listener, as `host:port`; with TLS if the server's URL is `https`.
    Tcp(String),
}

/// Where session, outbox and cache are kept. One account per place, one client at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Store {
    /// Nowhere: gone with the client.
    #[default]
    Memory,
    /// In this directory, made if need be: `session.json` and `cache.db`, both readable by their owner only.
    Directory(PathBuf),
}

/// Where the entry stream of a new device begins in conversations that exist already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first entry one may see.
    #[default]
    Beginning,
    /// After the last entry that the user has read.
    Unread,
    /// With what comes from now on.
    Head,
}

/// All that can be chosen. `Options::default()` is a working choice for tests and bots.
#[derive(Debug, Clone)]
pub struct Options {
    /// What carries the frames.
    pub carrier: Carrier,
    /// How they are written.
    pub codec: Codec,
    /// A file of certificates, in PEM: a server with TLS has to have one of these authorities. Without a file, one that
    /// the system trusts.
    pub authorities: Option<PathBuf>,
    /// Where data is kept.
    pub store: Store,
    /// Where the stream of a new device begins.
    pub start: Start,
    /// Of each conversation, so many of the newest entries are kept in the store, besides those that nobody has handled;
    /// earlier ones are asked of the server when they are wanted.
    pub keep_entries: u32,
    /// False for a program that only sends: it gets no pushes and keeps no log.
    pub receive: bool,
    /// What the device list calls this installation.
    pub device_name: String,
    /// `terminal`, `bot`, `ios`, ...
    pub platform: String,
    /// The program's name, told to the server.
    pub client_name: String,
    /// The program's version, told to the server.
    pub client_version: String,
    /// How long to wait for what.
    pub timings: Timings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            carrier: Carrier::default(),
            codec: Codec::Protobuf,
            authorities: None,
            store: Store::default(),
            start: Start::default(),
            keep_entries: 10_000,
            receive: true,
            device_name: "sparrow-client".to_owned(),
            platform: "bot".to_owned(),
            client_name: "sparrow-client".to_owned(),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            timings: Timings::default(),
        }
    }
}

/// How long to wait for what. The defaults are those of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// The first wait before connecting again; each further one is twice as long, and a random part is taken off.
    pub back_off_base: Duration,
    /// The longest wait before connecting again.
    pub back_off_max: Duration,
    /// For a connection, for `Welcome`, and for a sign of life after a request.
    pub answer: Duration,
    /// For any frame of the server.
    pub silence: Duration,
    /// Between two `Ack`s.
    pub ack_every: Duration,
    /// Between two `Sync`s nobody asked for.
    pub resync_every: Duration,
    /// So long before its end an access token is renewed.
    pub refresh_before: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            back_off_base: Duration::from_millis(250),
            back_off_max: Duration::from_secs(30),
            answer: limits::ANSWER_WITHIN,
            silence: limits::SERVER_SILENCE,
            ack_every: limits::ACK_INTERVAL,
            resync_every: Duration::from_secs(15 * 60),
            refresh_before: Duration::from_secs(120),
        }
    }
}
