//! The TCP carrier: a preface, then frames with their lengths. An idle connection holds no buffer.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use sparrow_protocol::frame::{LENGTH_BYTES, frame_length};
use sparrow_protocol::preface::{self, PREFACE_BYTES, PrefaceError};
use sparrow_protocol::{Carrier as CarrierKind, CloseCode, Codec, Format, FrameErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};
use tokio_util::io::poll_read_buf;
use tracing::Span;

use super::Gateway;
use super::admission::Place;
use super::carrier::{Carrier, Closing, Lost, Received, linger};
use super::connection::Connection;
use super::socket::Socket;

/// Bytes read at once. A frame that is larger grows the buffer as its bytes arrive, not as they are announced.
const READ_BYTES: usize = 8 * 1024;
/// Bytes that may be taken for writing before the first of them has to be written.
const WRITE_BYTES: usize = 64 * 1024;
/// Frames that go into one system call.
const WRITE_SLICES: usize = 16;

/// Serves a connection that was just accepted.
pub(super) async fn serve(gateway: Gateway, mut stream: Socket, place: Place, span: Span) {
    let hello_due = Instant::now() + gateway.node.config.limits.hello_within;
    match timeout_at(hello_due, exchange_prefaces(&mut stream)).await {
        Ok(Ok(Some(codec))) => {
            let format = Format { carrier: CarrierKind::Tcp, codec };
            Connection::new(gateway, TcpFrames::new(stream), format, hello_due, place, span).run().await;
        }
        // Boxed: else every connection would hold the buffer that only this one needs.
        Ok(Ok(None)) => Box::pin(linger(&mut stream)).await,
        Ok(Err(error)) => tracing::debug!(%error, "the client left before its preface"),
        Err(_elapsed) => tracing::debug!("no preface in time"),
    }
}

/// Reads the client's preface and answers it. `None` if the client speaks something else.
async fn exchange_prefaces(stream: &mut Socket) -> std::io::Result<Option<Codec>> {
    let mut bytes = [0; PREFACE_BYTES];
    stream.read_exact(&mut bytes).await?;
    match preface::parse(bytes) {
        Ok(codec) => {
            stream.write_all(&preface::encode(codec)).await?;
            stream.flush().await?;
            Ok(Some(codec))
        }
        Err(PrefaceError::Version(_) | PrefaceError::Codec(_)) => {
            stream.write_all(&preface::encode(Codec::Protobuf)).await?;
            stream.flush().await?;
            Ok(None)
        }
        Err(PrefaceError::Magic) => Ok(None),
    }
}

/// Frames over a byte stream.
pub(super) struct TcpFrames {
    stream: Socket,
    input: BytesMut,
    output: VecDeque<Bytes>,
    output_bytes: usize,
}

impl TcpFrames {
    fn new(stream: Socket) -> Self {
        Self { stream, input: BytesMut::new(), output: VecDeque::new(), output_bytes: 0 }
    }

    /// The first frame of the input, if it is complete. Its length is checked as soon as it can be read.
    fn take_frame(&mut self, limit: usize) -> Result<Option<Bytes>, Lost> {
        let Some(prefix) = self.input.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = frame_length(*prefix, limit).map_err(|error| match error.kind {
            FrameErrorKind::TooLarge => Lost::TooLarge,
            FrameErrorKind::Truncated | FrameErrorKind::Malformed | FrameErrorKind::Body => Lost::Truncated,
        })?;
        if self.input.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.input.advance(LENGTH_BYTES);
        let frame = self.input.split_to(length).freeze();
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(Some(frame))
    }
}

impl Carrier for TcpFrames {
    fn poll_receive(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Result<Received, Lost>> {
        loop {
            if let Some(frame) = self.take_frame(limit)? {
                return Poll::Ready(Ok(Received::Frame(frame)));
            }
            ready!(self.stream.poll_read_ready(cx)).map_err(|_| Lost::Gone)?;
            self.input.reserve(READ_BYTES);
            match poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Lost::Gone)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    if self.input.is_empty() {
                        self.input = BytesMut::new();
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        if self.output_bytes < WRITE_BYTES { Poll::Ready(Ok(())) } else { self.poll_flush(cx) }
    }

    fn start_send(&mut self, frame: Bytes) -> Result<(), Lost> {
        self.output_bytes += frame.len();
        self.output.push_back(frame);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
            for (slice, frame) in slices.iter_mut().zip(&self.output) {
                *slice = IoSlice::new(frame);
            }
            let written =
                ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices)).map_err(|_| Lost::Gone)?;
            if written == 0 {
                return Poll::Ready(Err(Lost::Gone));
            }
            self.output_bytes -= written;
            drop_written(&mut self.output, written);
        }
        self.output = VecDeque::new();
        Pin::new(&mut self.stream).poll_flush(cx).map_err(|_| Lost::Gone)
    }

    async fn close(mut self, closing: Closing) {
        if closing != Closing::Code(CloseCode::Slow) {
            linger(&mut self.stream).await;
        }
    }
}

fn drop_written(output: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = output.front_mut() {
        if written < front.len() {
            front.advance(written);
            return;
        }
        written -= front.len();
        output.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_write_keeps_what_was_not_written() {
        let mut output: VecDeque<Bytes> = ["abc", "", "defg"].map(|text| Bytes::from_static(text.as_bytes())).into();
        drop_written(&mut output, 5);
        assert_eq!(output.iter().map(|bytes| &bytes[..]).collect::<Vec<_>>(), [b"fg"]);
        drop_written(&mut output, 2);
        assert!(output.is_empty());
    }
}
