//! Frames as WebSocket messages.

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use sparrow_protocol::{Codec, limits};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::dial::{Dialer, Stream};
use super::{LinkError, WRITE_WITHIN, broken, unreachable};

type Socket = WebSocketStream<Stream>;

pub(super) struct Reader {
    stream: SplitStream<Socket>,
}

pub(super) async fn connect(dialer: &Dialer, codec: Codec) -> Result<(Reader, SplitSink<Socket, Message>), LinkError> {
    let mut request = dialer.websocket.as_str().into_client_request().map_err(|e| unreachable(&e))?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(codec.sub_protocol()));
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits::SERVER_FRAME_BYTES))
        .max_frame_size(Some(limits::SERVER_FRAME_BYTES));
    let stream = dialer.dial(&dialer.websocket_address()).await?;
    let connected = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    let (socket, _) = connected.map_err(|e| unreachable(&e))?;
    let (sink, stream) = socket.split();
    Ok((Reader { stream }, sink))
}

impl Reader {
    pub(super) async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Text(text))) => return Ok(text.into()),
                Some(Ok(Message::Close(frame))) => {
                    return Err(LinkError::Closed(frame.map_or(0, |frame| frame.code.into())));
                }
                // The library answers pings of the carrier itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(broken(&error)),
                None => return Err(LinkError::Closed(0)),
            }
        }
    }
}

/// Writes frames until the queue is closed and empty, then says goodbye. Ends early when a write fails or takes too long.
pub(super) async fn write(mut sink: SplitSink<Socket, Message>, mut frames: mpsc::Receiver<Bytes>, codec: Codec) {
    while let Some(first) = frames.recv().await {
        let mut next = Some(first);
        while let Some(frame) = next {
            let message = match codec {
                Codec::Protobuf => Message::Binary(frame),
                Codec::Json => match Utf8Bytes::try_from(frame) {
                    Ok(text) => Message::Text(text),
                    Err(_) => return,
                },
            };
            if !matches!(timeout(WRITE_WITHIN, sink.feed(message)).await, Ok(Ok(()))) {
                return;
            }
            next = frames.try_recv().ok();
        }
        if !matches!(timeout(WRITE_WITHIN, sink.flush()).await, Ok(Ok(()))) {
            return;
        }
    }
    // The peer may have gone first.
    drop(timeout(WRITE_WITHIN, sink.close()).await);
}
