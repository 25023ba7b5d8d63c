//! Everything about a node that can be set, as one documented struct. Parsing (file, environment, flags) is the binary's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use ipnet::IpNet;
pub use sparrow_store::directory::WhenFull;

/// The settings of a node. `Config::default()` is a node on this machine alone, in `./sparrow-data`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where HTTP and WebSocket are served.
    pub listen: SocketAddr,
    /// Where the TCP protocol is served.
    pub tcp_listen: SocketAddr,
    /// Where health, metrics and administration are served.
    pub admin_listen: SocketAddr,
    /// The directory of the database and the node's secrets. Made with mode 0700 if it is not there.
    pub data: PathBuf,
    /// Sizes, counts and times that bound what clients may do.
    pub limits: Limits,
    /// How often clients may do things.
    pub rates: Rates,
    /// How many devices an account may be logged in on.
    pub login: Login,
    /// What browsers may do.
    pub web: Web,
    /// TLS of the public listeners.
    pub tls: Tls,
    /// Whose word on the addresses of clients is taken.
    pub proxies: Proxies,
    /// What computing one password hash costs, and how many may be computed at once.
    pub password_hashing: PasswordHashing,
}

/// Argon2id's cost, and the size of the pool that pays it. Hashes keep the cost they were made with.
#[derive(Debug, Clone)]
pub struct PasswordHashing {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Hashes computed at once; the pool holds `workers * memory_kib` at most.
    pub workers: usize,
    /// Registrations and log-ins that may wait for a worker; beyond, they are refused as `overloaded`.
    pub waiting: usize,
}

/// Sizes, counts and times that bound what clients may do. The defaults are those of docs/configuration.md.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message content, in bytes as protobuf; at most [`sparrow_protocol::limits::CONTENT_BYTES_MOST`].
    pub content_bytes: usize,
    /// Largest frame from a client, in bytes.
    pub client_frame_bytes: usize,
    /// Largest frame from a client before `Hello`, in bytes.
    pub hello_frame_bytes: usize,
    /// Time for what comes before a connection may speak: a balancer's PROXY header and the TLS handshake.
    pub handshake_within: Duration,
    /// Time for the header of an HTTP request.
    pub header_within: Duration,
    /// Time from connecting to `Hello`.
    pub hello_within: Duration,
    /// The server sends `Ping` when a connection was silent in one direction for so long.
    pub ping_after: Duration,
    /// A connection on which no complete frame arrived for so long is closed.
    pub idle_timeout: Duration,
    /// Longest time for one write to a connection.
    pub write_timeout: Duration,
    /// Frames that may wait to be written to one connection.
    pub session_queue_frames: usize,
    /// Bytes that may wait to be written to one connection.
    pub session_queue_bytes: usize,
    /// Requests of one connection that may wait for an answer; beyond, the server stops reading.
    pub unanswered_requests: usize,
    /// Most commands in one transaction of the append lane.
    pub batch_commands: usize,
    /// Most bytes of bodies in one transaction of the append lane.
    pub batch_bytes: usize,
    /// Commands that may wait for the append lane.
    pub lane_queue: usize,
    /// A send whose batch could not be stored for so long fails as `unavailable`.
    pub append_timeout: Duration,
    /// Members of a group.
    pub group_members: usize,
    /// Connections open at once on the public listeners together; fewer if the system's limit of file descriptors, less a
    /// reserve for health, administration and the database, is lower.
    pub connections: usize,
    /// Connections of one address that are not logged in; beyond, new ones are closed at once.
    pub address_connections: usize,
    /// Connections of one address that are logged in; beyond, `Hello` is refused.
    pub address_sessions: usize,
    /// Devices of a user.
    pub devices: u32,
    /// Life of an access token.
    pub access_token: Duration,
    /// Life of a refresh token.
    pub refresh_token: Duration,
    /// How long a refresh token is accepted again after its exchange.
    pub refresh_grace: Duration,
    /// Largest body of an HTTP request, in bytes.
    pub http_body_bytes: usize,
    /// Longest time for answering an HTTP request.
    pub http_timeout: Duration,
    /// How long open connections are served after a shutdown began.
    pub shutdown_deadline: Duration,
}

/// How many devices an account may be logged in on, and what happens to one too many.
#[derive(Debug, Clone)]
pub struct Login {
    /// Which devices may be logged in together.
    pub policy: DevicePolicy,
    /// Whether older devices make room.
    pub when_full: WhenFull,
}

/// TLS of the public listeners, HTTP and TCP. Without both files they speak plainly.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate and those that lead to its authority, in PEM, the node's own first.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM; a file that not everybody on the machine may read.
    pub key: Option<PathBuf>,
    /// How often the files are looked at for a change.
    pub check_every: Duration,
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate: None, key: None, check_every: Duration::from_secs(10) }
    }
}

/// Whose word on the addresses of clients is taken.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// The networks of the operator's own proxies and balancers.
    pub trusted: Vec<IpNet>,
    /// The header in which those that speak HTTP name the client.
    pub forwarded_by: ForwardedBy,
}

/// A header that names the client of a request. Only one is read, because a proxy that writes the one passes on what
/// clients wrote into the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
}

/// Which devices of a user may be logged in together; never more than [`Limits::devices`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicePolicy {
    /// Any.
    Many,
    /// One of each platform.
    OnePerPlatform,
    /// One.
    Single,
}

impl Default for Login {
    fn default() -> Self {
        Self { policy: DevicePolicy::Many, when_full: WhenFull::KickOld }
    }
}

/// What browsers may do.
#[derive(Debug, Clone, Default)]
pub struct Web {
    /// Origins whose pages may connect, besides those of the address that is listened on.
    pub origins: Vec<Origin>,
}

/// Where a page comes from, as browsers write it: `https://chat.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads `http://HOST[:PORT]` or `https://HOST[:PORT]`; `None` for anything else. A port that the scheme implies
    /// anyway is left out, as browsers do.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let implied = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return None,
        };
        let authority = authority.strip_suffix(implied).unwrap_or(authority);
        let host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        (!authority.is_empty() && authority.bytes().all(host_byte)).then(|| Self(format!("{scheme}://{authority}")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How often clients may do things. Each is a token bucket: so many at once (as many as the rate names, if there is no
/// burst of its own), then at the rate. Per node, but for log-ins, which are counted in the database.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Commands of a user that make an entry, per second.
    pub user_sends_per_second: u32,
    /// The same at once.
    pub user_sends_burst: u32,
    /// Entries stored in one conversation, per second.
    pub conversation_sends_per_second: u32,
    /// Signals of a user, per second.
    pub signals_per_second: u32,
    /// The same at once.
    pub signals_burst: u32,
    /// Users that a user looks up by name, searches for, or lists as online, per minute.
    pub look_ups_per_minute: u32,
    /// Sessions that a user begins, on all devices, per minute.
    pub sessions_per_minute: u32,
    /// Accounts made from one address, per hour.
    pub registrations_per_hour: u32,
    /// Log-ins to one account, right or wrong, per minute.
    pub account_logins_per_minute: u32,
    /// Log-ins from one address, right or wrong, per minute.
    pub address_logins_per_minute: u32,
    /// Frames of one connection, per second; beyond, it is closed.
    pub frames_per_second: u32,
    /// The same at once.
    pub frames_burst: u32,
}

impl Rates {
    /// The same number for everything: rates that nothing reaches, for measurements and tests.
    pub fn all(count: u32) -> Self {
        Self {
            user_sends_per_second: count,
            user_sends_burst: count,
            conversation_sends_per_second: count,
            signals_per_second: count,
            signals_burst: count,
            look_ups_per_minute: count,
            sessions_per_minute: count,
            registrations_per_hour: count,
            account_logins_per_minute: count,
            address_logins_per_minute: count,
            frames_per_second: count,
            frames_burst: count,
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            user_sends_per_second: 30,
            user_sends_burst: 100,
            conversation_sends_per_second: 200,
            signals_per_second: 20,
            signals_burst: 60,
            look_ups_per_minute: 100,
            sessions_per_minute: 60,
            registrations_per_hour: 100,
            account_logins_per_minute: 5,
            address_logins_per_minute: 20,
            frames_per_second: 500,
            frames_burst: 2_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            listen: local(7700),
            tcp_listen: local(7701),
            admin_listen: local(7702),
            data: PathBuf::from("sparrow-data"),
            limits: Limits::default(),
            rates: Rates::default(),
            login: Login::default(),
            web: Web::default(),
            tls: Tls::default(),
            proxies: Proxies::default(),
            password_hashing: PasswordHashing::default(),
        }
    }
}

impl Default for PasswordHashing {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, workers: 2, waiting: 64 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            content_bytes: 64 * 1024,
            client_frame_bytes: 512 * 1024,
            hello_frame_bytes: 4 * 1024,
            handshake_within: Duration::from_secs(10),
            header_within: Duration::from_secs(10),
            hello_within: Duration::from_secs(10),
            ping_after: Duration::from_secs(25),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            session_queue_frames: 256,
            session_queue_bytes: 1024 * 1024,
            unanswered_requests: 64,
            batch_commands: 1024,
            batch_bytes: 4 * 1024 * 1024,
            lane_queue: 16 * 1024,
            append_timeout: Duration::from_secs(5),
            group_members: 10_000,
            connections: 100_000,
            address_connections: 200,
            address_sessions: 1_000,
            devices: 10,
            access_token: DAY,
            refresh_token: 30 * DAY,
            refresh_grace: Duration::from_secs(60),
            http_body_bytes: 1024 * 1024,
            http_timeout: Duration::from_secs(30),
            shutdown_deadline: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_writes() {
        let parse = |text| Origin::parse(text).map(|origin| origin.as_str().to_owned());
        assert_eq!(parse("https://Chat.Example.org:443").as_deref(), Some("https://chat.example.org"));
        assert_eq!(parse("http://127.0.0.1:7700").as_deref(), Some("http://127.0.0.1:7700"));
        assert_eq!(parse("http://[::1]:7700").as_deref(), Some("http://[::1]:7700"));
        for text in ["null", "", "chat.example.org", "ftp://a", "https://", "https://a/b", "https://a b", "https://*"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
