//! Frames on a byte stream: a preface each way, then frames with their lengths.

use bytes::Bytes;
use futures_util::StreamExt;
use sparrow_protocol::{Codec, limits, preface};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::{LinkError, WRITE_WITHIN, broken, unreachable};

pub(super) struct Reader {
    frames: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
}

pub(super) async fn connect(address: &str, codec: Codec) -> Result<(Reader, OwnedWriteHalf), LinkError> {
    let mut stream = TcpStream::connect(address).await.map_err(|e| unreachable(&e))?;
    stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
    stream.write_all(&preface::encode(codec)).await.map_err(|e| unreachable(&e))?;
    let mut theirs = [0; preface::PREFACE_BYTES];
    stream.read_exact(&mut theirs).await.map_err(|e| unreachable(&e))?;
    match preface::parse(theirs) {
        Ok(spoken) if spoken == codec => {}
        Ok(_) => return Err(LinkError::Protocol("the server does not speak this codec".to_owned())),
        Err(error) => return Err(LinkError::Protocol(error.to_string())),
    }
    let (read, write) = stream.into_split();
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
pub(super) async fn write(mut sink: OwnedWriteHalf, mut frames: mpsc::Receiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        if !matches!(timeout(WRITE_WITHIN, sink.write_all(&frame)).await, Ok(Ok(()))) {
            return;
        }
    }
    // The peer may have gone first.
    drop(sink.shutdown().await);
}
