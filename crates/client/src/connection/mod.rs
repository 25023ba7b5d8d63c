//! One connection: frames in, frames out, over either carrier. What they mean is the core's.
//!
//! A [`Link`] reads where it is polled and writes in a task of its own behind a bounded queue, so that neither side of a
//! connection ever waits for the other.

mod dial;
mod tcp;
mod websocket;

use std::time::Duration;

use bytes::Bytes;
use sparrow_protocol::{Carrier as Carried, Format, Frame};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::options::{Carrier, Options};

pub(crate) use dial::Dialer;

/// Frames that may wait to be written. Requests in flight are bounded below this, so a full queue means a dead peer.
const WAITING_FRAMES: usize = 512;
/// Each write must be done so soon.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// It could not be made.
    #[error("the server cannot be reached")]
    Unreachable,
    /// The server's certificate is not trusted.
    #[error("the server's certificate is not trusted")]
    Untrusted,
    /// It broke.
    #[error("the connection was lost")]
    Broken,
    /// The peer ended it with this close code (0 for none).
    #[error("closed by the server with code {0}")]
    Closed(u16),
    /// What came is not the protocol.
    #[error("{0}")]
    Protocol(String),
    /// Nothing happened for too long.
    #[error("no answer in time")]
    TimedOut,
}

/// Reads messages; one type per carrier.
enum Reader {
    WebSocket(websocket::Reader),
    Tcp(tcp::Reader),
}

/// A connection.
pub(crate) struct Link {
    format: Format,
    reader: Reader,
    queue: mpsc::Sender<Bytes>,
    /// Ends with the link, or when everything queued has been written after [`Link::finish`].
    writer: AbortOnDropHandle<()>,
}

impl Link {
    /// Connects, within the time that `options` gives for an answer.
    pub(crate) async fn connect(dialer: &Dialer, options: &Options) -> Result<Self, LinkError> {
        let connecting = Self::connect_without_limit(dialer, options);
        tokio::time::timeout(options.timings.answer, connecting).await.map_err(|_| LinkError::TimedOut)?
    }

    async fn connect_without_limit(dialer: &Dialer, options: &Options) -> Result<Self, LinkError> {
        let (queue, frames) = mpsc::channel(WAITING_FRAMES);
        let (carrier, reader, writer) = match &options.carrier {
            Carrier::WebSocket => {
                let (reader, sink) = websocket::connect(dialer, options.codec).await?;
                let writer = tokio::spawn(websocket::write(sink, frames, options.codec));
                (Carried::WebSocket, Reader::WebSocket(reader), writer)
            }
            Carrier::Tcp(address) => {
                let (reader, sink) = tcp::connect(dialer, address, options.codec).await?;
                (Carried::Tcp, Reader::Tcp(reader), tokio::spawn(tcp::write(sink, frames)))
            }
        };
        let format = Format { carrier, codec: options.codec };
        Ok(Self { format, reader, queue, writer: AbortOnDropHandle::new(writer) })
    }

    /// Queues a frame.
    pub(crate) fn send(&self, command: sparrow_protocol::Command, id: u32, body: &[u8]) -> Result<(), LinkError> {
        let frame = self.format.encode(command, id, body).map_err(|e| LinkError::Protocol(e.to_string()))?;
        self.queue.try_send(frame).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => LinkError::TimedOut,
            mpsc::error::TrySendError::Closed(_) => LinkError::Broken,
        })
    }

    /// The next frame. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> Result<Frame, LinkError> {
        let message = match &mut self.reader {
            Reader::WebSocket(reader) => reader.next().await?,
            Reader::Tcp(reader) => reader.next().await?,
        };
        self.format.decode(message).map_err(|e| LinkError::Protocol(e.to_string()))
    }

    /// Writes what is queued, then closes.
    pub(crate) async fn finish(self) {
        let Self { queue, writer, .. } = self;
        drop(queue);
        // Late or broken: it is closed all the same.
        drop(tokio::time::timeout(WRITE_WITHIN, writer).await);
    }
}

/// The details are for whoever debugs; people are told one plain sentence.
fn unreachable(error: &impl std::fmt::Display) -> LinkError {
    tracing::debug!(%error, "cannot connect");
    LinkError::Unreachable
}

fn broken(error: &impl std::fmt::Display) -> LinkError {
    tracing::debug!(%error, "the connection broke");
    LinkError::Broken
}
