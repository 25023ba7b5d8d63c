//! What a connection needs of the thing that carries its frames.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sparrow_protocol::CloseCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::socket::Socket;

/// How long a closed connection is read on, so that what was written last is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Something came from the client.
#[derive(Debug)]
pub(super) enum Received {
    /// A whole frame.
    Frame(Bytes),
    /// A sign of life below frames.
    Alive,
}

/// Why nothing more comes from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// It is gone.
    Gone,
    /// It claims a frame larger than allowed.
    TooLarge,
    /// It sent a frame that is shorter than its header.
    Truncated,
    /// It broke the rules of WebSocket; the close code of RFC 6455.
    Violation(u16),
}

/// Why the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// By the rules of this protocol.
    Code(CloseCode),
    /// By those of RFC 6455.
    Rfc(u16),
    /// The client left.
    Left,
}

/// A socket that carries frames in both directions. All polls are cancel-safe.
pub(super) trait Carrier: Send + Unpin + 'static {
    /// The next frame of at most `limit` bytes.
    fn poll_receive(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Result<Received, Lost>>;

    /// Ready when another frame can be taken for writing.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>>;

    /// Takes a frame for writing, after [`Carrier::poll_ready`].
    fn start_send(&mut self, frame: Bytes) -> Result<(), Lost>;

    /// Ready when everything taken is written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>>;

    /// Says why, and closes.
    fn close(self, closing: Closing) -> impl Future<Output = ()> + Send;
}

/// Ends the sending side and reads on for a moment: closing a socket with unread input would reset it, and a reset
/// makes the other side lose what it has not yet read, the reason for the end above all.
pub(super) async fn linger(stream: &mut Socket) {
    let mut unread = [0; 2048];
    let drain = async {
        stream.shutdown().await?;
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    if let Ok(Err(error)) = timeout(LINGER, drain).await {
        tracing::trace!(%error, "the client left first");
    }
}
