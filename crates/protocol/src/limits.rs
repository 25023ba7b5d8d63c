//! Sizes, counts and times that both sides agree on. What a server lets its operator change is told in `Welcome`; these
//! are then the defaults.

use std::time::Duration;

/// Largest `Content`, in bytes as protobuf.
pub const CONTENT_BYTES: usize = 64 * 1024;
/// Largest `Content` that an operator may allow instead. In JSON, where an escaped character (`\u0001`) takes six times
/// its bytes, a push of one such message still fits into [`SERVER_FRAME_BYTES`].
pub const CONTENT_BYTES_MOST: usize = 128 * 1024;
/// Largest frame from a client, in bytes: a WebSocket message, or what follows the length of a TCP frame.
pub const CLIENT_FRAME_BYTES: usize = 512 * 1024;
/// Largest frame from a server, in bytes, counted likewise.
pub const SERVER_FRAME_BYTES: usize = 1024 * 1024;
/// Largest frame before a connection is authenticated, in bytes, counted likewise.
pub const HELLO_FRAME_BYTES: usize = 4 * 1024;

/// Requests of one connection that may wait for an answer; beyond, the server stops reading.
pub const UNANSWERED_REQUESTS: usize = 64;
/// Cursors in one `Ack`.
pub const ACK_CURSORS: usize = 1_000;
/// Mentions in one `Content`.
pub const MENTIONS: usize = 100;
/// References in one `Content`.
pub const REFS: usize = 100;
/// Files in one `Content`.
pub const FILES: usize = 20;
/// Bytes of a content, signal or reference type name.
pub const TYPE_NAME_BYTES: usize = 64;
/// Bytes of the name of a file that a message carries.
pub const FILE_NAME_BYTES: usize = 255;
/// Bytes of the media type of a file that a message carries.
pub const FILE_MIME_BYTES: usize = 127;
/// Bytes of a signal's `data`.
pub const SIGNAL_DATA_BYTES: usize = 4 * 1024;

/// Users in one `PresenceSubscribe`, and so those that one session is told about.
pub const PRESENCE_USERS: usize = 500;

/// Entries in one `PullPage`.
pub const PULL_ENTRIES: usize = 200;
/// Bytes of bodies in one `PullPage` in protobuf; the first entry comes whatever its size.
pub const PULL_BYTES: usize = 256 * 1024;
/// The same in JSON, where an escaped character (`\u0001`) takes six times its bytes: with this, the worst page still
/// fits into [`SERVER_FRAME_BYTES`].
pub const PULL_BYTES_JSON: usize = 128 * 1024;
/// Conversations and states on one `SyncPage`.
pub const SYNC_ITEMS: usize = 200;

/// Characters of a user name, least and most.
pub const NAME_CHARS: std::ops::RangeInclusive<usize> = 2..=32;
/// Bytes of a password, least and most.
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=1_024;
/// Characters of a display name.
pub const DISPLAY_NAME_CHARS: usize = 64;
/// Characters of the name of a group.
pub const GROUP_NAME_CHARS: usize = 64;
/// Characters of a bio or of a group's description.
pub const DESCRIPTION_CHARS: usize = 500;
/// Members named when a group is made, or added at once.
pub const MEMBERS_AT_ONCE: usize = 500;

/// `Hello` must be complete so soon after the connection is made.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// A server that has sent nothing, or received nothing, for so long sends `Ping`.
pub const PING_AFTER: Duration = Duration::from_secs(25);
/// A server that has received no complete frame for so long closes.
pub const CLIENT_SILENCE: Duration = Duration::from_secs(75);
/// A client that has heard nothing for so long reconnects.
pub const SERVER_SILENCE: Duration = Duration::from_secs(90);
/// A client that has heard nothing for so long after a request reconnects.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A client sends at most one `Ack` in this time.
pub const ACK_INTERVAL: Duration = Duration::from_millis(200);
