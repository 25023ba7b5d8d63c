//! Every setting of a node, once: its key, its documentation, what it accepts and the field it becomes.
//!
//! The file, the environment, `config print` and docs/configuration.md are all made from this table. To add a setting,
//! add a field to `sparrow_server::Config` with its default, and a line here.

use sparrow_protocol::limits;
use sparrow_server::config::{DevicePolicy, ForwardedBy, WhenFull};

use super::kinds::{
    Address, Bytes, Count, DAY, Directory, File, HOUR, Kind, LogFilter, MINUTE, Networks, Origins, SECOND, Time, Word,
};

const POLICIES: &[(&str, DevicePolicy)] = &[
    ("many", DevicePolicy::Many),
    ("one_per_platform", DevicePolicy::OnePerPlatform),
    ("single", DevicePolicy::Single),
];
const WHEN_FULL: &[(&str, WhenFull)] = &[("kick_old", WhenFull::KickOld), ("reject_new", WhenFull::RejectNew)];

const FORWARDED_BY: &[(&str, ForwardedBy)] =
    &[("x-forwarded-for", ForwardedBy::XForwardedFor), ("forwarded", ForwardedBy::Forwarded)];

/// The highest rate: no limit at all, in practice.
pub(super) const RATE: u64 = 1_000_000;

/// What the binary is run with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The node's own settings.
    pub(crate) node: sparrow_server::Config,
    /// What is logged.
    pub(crate) log: String,
    /// How it is logged.
    pub(crate) log_format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self { node: sparrow_server::Config::default(), log: "info".to_owned(), log_format: LogFormat::Text }
    }
}

/// One setting.
pub(super) struct Setting {
    /// The key in a file, `section.name` or `name`.
    pub(super) key: &'static str,
    /// What it is, a line each.
    pub(super) doc: &'static [&'static str],
    /// What it accepts, to follow the word "give".
    pub(super) accepts: fn() -> String,
    /// Reads a value; false if it is not accepted.
    pub(super) set: fn(&mut Settings, &str) -> bool,
    /// The value as it is written in a file.
    pub(super) show: fn(&Settings) -> toml::Value,
}

impl Setting {
    /// The variable of the environment that sets it.
    pub(super) fn variable(&self) -> String {
        format!("SPARROW_{}", self.key.replace('.', "_").to_uppercase())
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $key:literal = $($field:ident).+ : $kind:expr;)+) => {
        /// Every setting, in the order in which they are shown; those outside a section first.
        pub(super) const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            doc: &[$($doc),+],
            accepts: || $kind.accepts(),
            set: |settings, text| match $kind.parse(text) {
                Some(value) => {
                    settings.$($field).+ = value;
                    true
                }
                None => false,
            },
            show: |settings| $kind.show(&settings.$($field).+),
        }),+];
    };
}

settings! {
    /// Where HTTP and WebSocket are served.
    "listen" = node.listen: Address;
    /// Where the TCP protocol is served.
    "tcp_listen" = node.tcp_listen: Address;
    /// Where health, metrics and administration are served.
    "admin_listen" = node.admin_listen: Address;
    /// The directory of the database and the node's secrets. Made with mode 0700 if it is not there.
    "data" = node.data: Directory;
    /// What is logged, to standard error.
    "log" = log: LogFilter;
    /// The form of log lines: for people, or one JSON object a line.
    "log_format" = log_format: Word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);

    /// Largest message content, as protobuf. Every client gets it in one frame of at most 1 MiB, also as JSON.
    "limits.content_bytes" = node.limits.content_bytes: Bytes(1 << 10, limits::CONTENT_BYTES_MOST as u64);
    /// Largest frame from a client. At least twice `content_bytes`, because a JSON frame is longer than its content.
    "limits.client_frame_bytes" = node.limits.client_frame_bytes: Bytes(4 << 10, 16 << 20);
    /// Largest frame from a client before `Hello`.
    "limits.hello_frame_bytes" = node.limits.hello_frame_bytes: Bytes(1 << 10, 64 << 10);
    /// What comes before a connection may speak, a balancer's PROXY header and the TLS handshake, has to be done so soon.
    "limits.handshake_within" = node.limits.handshake_within: Time(100, 5 * MINUTE);
    /// The header of an HTTP request has to be there so soon.
    "limits.header_within" = node.limits.header_within: Time(100, 5 * MINUTE);
    /// A connection that has not said `Hello` so long after connecting is closed.
    "limits.hello_within" = node.limits.hello_within: Time(100, 5 * MINUTE);
    /// The server sends `Ping` when a connection was silent in one direction for so long.
    "limits.ping_after" = node.limits.ping_after: Time(100, 10 * MINUTE);
    /// A connection on which no complete frame arrived for so long is closed. More than `ping_after`.
    "limits.idle_timeout" = node.limits.idle_timeout: Time(200, HOUR);
    /// Longest time for one write to a connection.
    "limits.write_timeout" = node.limits.write_timeout: Time(100, 5 * MINUTE);
    /// Frames that may wait to be written to one connection; beyond, pushes are replaced by one `Resync`.
    "limits.session_queue_frames" = node.limits.session_queue_frames: Count(4, 65_536);
    /// Bytes that may wait to be written to one connection; beyond, pushes are replaced by one `Resync`.
    "limits.session_queue_bytes" = node.limits.session_queue_bytes: Bytes(16 << 10, 256 << 20);
    /// Requests of one connection that may wait for an answer; beyond, the server stops reading it.
    "limits.unanswered_requests" = node.limits.unanswered_requests: Count(1, 65_536);
    /// Most commands in one transaction of the append lane.
    "limits.batch_commands" = node.limits.batch_commands: Count(1, 65_536);
    /// Most bytes of bodies in one transaction of the append lane.
    "limits.batch_bytes" = node.limits.batch_bytes: Bytes(64 << 10, 64 << 20);
    /// Commands that may wait for the append lane; beyond, sends are refused as `overloaded`.
    "limits.lane_queue" = node.limits.lane_queue: Count(1, 1 << 20);
    /// A send whose batch could not be stored for so long fails as `unavailable`.
    "limits.append_timeout" = node.limits.append_timeout: Time(100, 5 * MINUTE);
    /// Members of a group.
    "limits.group_members" = node.limits.group_members: Count(2, 1_000_000);
    /// Connections open at once on the public listeners together; beyond, new ones wait. Fewer, if the system's limit of
    /// file descriptors is lower: 128 are kept for health, administration and the database.
    "limits.connections" = node.limits.connections: Count(1, 10_000_000);
    /// Connections of one address that are not logged in (HTTP among them); beyond, new ones are closed at once. Behind a
    /// proxy that `proxies.trusted` does not name, all clients have its address.
    "limits.address_connections" = node.limits.address_connections: Count(1, 10_000_000);
    /// Connections of one address that are logged in; beyond, `Hello` is refused.
    "limits.address_sessions" = node.limits.address_sessions: Count(1, 10_000_000);
    /// Devices of a user.
    "limits.devices" = node.limits.devices: Count(1, 10_000);
    /// Life of an access token.
    "limits.access_token" = node.limits.access_token: Time(SECOND, 365 * DAY);
    /// Life of a refresh token.
    "limits.refresh_token" = node.limits.refresh_token: Time(SECOND, 10 * 365 * DAY);
    /// How long a refresh token is accepted again after its exchange, because the answer may have been lost.
    "limits.refresh_grace" = node.limits.refresh_grace: Time(0, HOUR);
    /// Largest body of an HTTP request.
    "limits.http_body_bytes" = node.limits.http_body_bytes: Bytes(1 << 10, 64 << 20);
    /// Longest time for answering an HTTP request.
    "limits.http_timeout" = node.limits.http_timeout: Time(100, 5 * MINUTE);
    /// How long open connections are served after a shutdown began.
    "limits.shutdown_deadline" = node.limits.shutdown_deadline: Time(0, HOUR);

    /// Commands of a user that make an entry, such as messages, per second. Beyond any of these rates a request is
    /// refused as `rate_limited` with the time to wait, and counted in `sparrow_limited_total`. All but log-ins are
    /// counted by each node for itself.
    "rates.user_sends_per_second" = node.rates.user_sends_per_second: Count(1, RATE);
    /// How many of them may come at once, after a time with fewer.
    "rates.user_sends_burst" = node.rates.user_sends_burst: Count(1, RATE);
    /// Entries stored in one conversation, by all its members, per second.
    "rates.conversation_sends_per_second" = node.rates.conversation_sends_per_second: Count(1, RATE);
    /// Signals of a user, such as typing, per second.
    "rates.signals_per_second" = node.rates.signals_per_second: Count(1, RATE);
    /// How many of them may come at once, after a time with fewer.
    "rates.signals_burst" = node.rates.signals_burst: Count(1, RATE);
    /// Users that a user looks up by name, searches for, or lists as online, per minute.
    "rates.look_ups_per_minute" = node.rates.look_ups_per_minute: Count(1, RATE);
    /// Sessions that a user begins, on all devices together, per minute.
    "rates.sessions_per_minute" = node.rates.sessions_per_minute: Count(1, RATE);
    /// Accounts made from one address, per hour.
    "rates.registrations_per_hour" = node.rates.registrations_per_hour: Count(1, RATE);
    /// Log-ins to one account, whether their password is right or wrong, per minute. Counted in the database. Nobody is
    /// locked out: the next one is let in when its time has come.
    "rates.account_logins_per_minute" = node.rates.account_logins_per_minute: Count(1, RATE);
    /// Log-ins from one address, per minute. Counted in the database.
    "rates.address_logins_per_minute" = node.rates.address_logins_per_minute: Count(1, RATE);
    /// Frames of one connection, pings included, per second. Beyond, the connection is closed.
    "rates.frames_per_second" = node.rates.frames_per_second: Count(1, RATE);
    /// How many of them may come at once, after a time with fewer.
    "rates.frames_burst" = node.rates.frames_burst: Count(1, RATE);

    /// Which devices of a user may be logged in together: any `many` (up to `limits.devices`), `one_per_platform`, or a
    /// `single` one.
    "login.policy" = node.login.policy: Word(POLICIES);
    /// What happens when one more logs in: the one that was away longest is logged out, and told why (`kick_old`), or the
    /// new one is refused (`reject_new`).
    "login.when_full" = node.login.when_full: Word(WHEN_FULL);

    /// Origins whose web pages may connect, besides the address of `listen` itself. Needed where people reach the node by
    /// another name.
    "web.origins" = node.web.origins: Origins;

    /// A file with the certificate, in PEM, the node's own first and then those that lead to its authority. With this and
    /// `key` both public listeners speak TLS and nothing else.
    "tls.certificate" = node.tls.certificate: File;
    /// A file with the certificate's private key, in PEM. Not everybody on the machine may be allowed to read it.
    "tls.key" = node.tls.key: File;
    /// How often both files are looked at for a change; SIGHUP looks at once. New connections get the new certificate,
    /// those that exist go on.
    "tls.check_every" = node.tls.check_every: Time(100, DAY);

    /// Networks of your own proxies and balancers, whose word on the addresses of clients is taken: in a PROXY header of
    /// version 2 before everything else, or in the header of `forwarded_by`. List a balancer that passes connections on as
    /// they come only if it writes a PROXY header; otherwise its clients could write one.
    "proxies.trusted" = node.proxies.trusted: Networks;
    /// The header in which your proxies that speak HTTP name the client. The other one is not read, because they pass on
    /// what clients write into it.
    "proxies.forwarded_by" = node.proxies.forwarded_by: Word(FORWARDED_BY);

    /// Memory of one password hash (Argon2id), in KiB. Hashes keep the cost they were made with.
    "password_hashing.memory_kib" = node.password_hashing.memory_kib: Count(8, 4 << 20);
    /// Passes of one password hash over its memory.
    "password_hashing.passes" = node.password_hashing.passes: Count(1, 1_000);
    /// Hashes computed at once; together they take at most `workers` times `memory_kib`.
    "password_hashing.workers" = node.password_hashing.workers: Count(1, 1_024);
    /// Registrations and log-ins that may wait for a worker; beyond, they are refused as `overloaded`.
    "password_hashing.waiting" = node.password_hashing.waiting: Count(1, 65_536);
}

/// What single settings cannot say: how they must go together. One sentence for each rule that is broken.
pub(super) fn contradictions(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let mut rule = |holds: bool, sentence: &str| {
        if !holds {
            found.push(sentence.to_owned());
        }
    };
    let node = &settings.node;
    let same = |a: std::net::SocketAddr, b| a == b && a.port() != 0;
    rule(
        !same(node.listen, node.tcp_listen)
            && !same(node.listen, node.admin_listen)
            && !same(node.tcp_listen, node.admin_listen),
        "listen, tcp_listen and admin_listen must differ: give each its own port",
    );
    let limits = &node.limits;
    rule(
        limits.content_bytes <= limits.client_frame_bytes / 2,
        "limits.client_frame_bytes must be at least twice limits.content_bytes: raise the one or lower the other",
    );
    rule(
        limits.ping_after < limits.idle_timeout,
        "limits.idle_timeout must be more than limits.ping_after, else a silent client is closed before it is asked",
    );
    rule(
        node.tls.certificate.is_some() == node.tls.key.is_some(),
        "tls.certificate and tls.key belong together: give both, or neither",
    );
    rule(
        limits.access_token <= limits.refresh_token,
        "limits.refresh_token must be at least limits.access_token: raise the one or lower the other",
    );
    found
}
