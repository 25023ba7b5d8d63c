//! Frames on a byte stream: a preface each way, then frames with their lengths.

use bytes::Bytes;
use futures_util::StreamExt;
use sparrow_protocol::{Codec, limits, preface};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::dial::{Dialer, Stream};
use super::{LinkError, WRITE_WITHIN, broken, unreachable};

pub(super) struct Reader {
    frames: FramedRead<ReadHalf<Stream>, LengthDelimitedCodec>,
}

/// What writes.
pub(super) type Sink = WriteHalf<Stream>;

pub(super) async fn connect(dialer: &Dialer, address: &str, codec: Codec) -> Result<(Reader, Sink), LinkError> {
    let mut stream = dialer.dial(address).await?;
    stream.write_all(&preface::encode(codec)).await.map_err(|e| unreachable(&e))?;
    stream.flush().await.map_err(|e| unreachable(&e))?;
    let mut theirs = [0; preface::PREFACE_BYTES];
    stream.read_exact(&mut theirs).await.map_err(|e| unreachable(&e))?;
    match preface::parse(theirs) {
        Ok(spoken) if spoken == codec => {}
        Ok(_) => return Err(LinkError::Protocol("the server does not speak this codec".to_owned())),
        Err(error) => return Err(LinkError::Protocol(error.to_string())),
    }
    let (read, write) = tokio::io::split(stream);
    let framing = LengthDelimitedCodec::builder().max_frame_length(limits::SERVER_FRAME_BYTES).new_codec();
    Ok((Reader { frames: FramedRead::new(read, framing) }, write))
}

impl Reader {
    pub(super) async fn next(&mut self) -> Result<Bytes, LinkError> {
        match self.frames.next().await {
            Some(Ok(frame)) => Ok(frame.freeze()),
            Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(LinkError::Protocol("a frame of the server is too large".to_owned()))
            }
            Some(Err(error)) => Err(broken(&error)),
            None => Err(LinkError::Closed(0)),
        }
    }
}

/// Writes frames until the queue is closed and empty. Ends early when a write fails or takes too long.
pub(super) async fn write(mut sink: Sink, mut frames: mpsc::Receiver<Bytes>) {
    while let Some(first) = frames.recv().await {
        let mut next = Some(first);
        while let Some(frame) = next {
            if !matches!(timeout(WRITE_WITHIN, sink.write_all(&frame)).await, Ok(Ok(()))) {
                return;
            }
            next = frames.try_recv().ok();
        }
        if !matches!(timeout(WRITE_WITHIN, sink.flush()).await, Ok(Ok(()))) {
            return;
        }
    }
    // The peer may have gone first.
    drop(sink.shutdown().await);
}
